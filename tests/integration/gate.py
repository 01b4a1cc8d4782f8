"""A way to a server that can be shut: `python -m tests.integration.gate PORT HOST:PORT`.

It passes bytes both ways. Ended, it cuts every connection and refuses new ones.
"""

import asyncio
import contextlib
import sys


async def serve(port: int, host: str, server_port: int) -> None:
    """Pass on what comes to the port, for ever."""

    async def pass_on(here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answer, there = await asyncio.open_connection(host, server_port)
        await asyncio.gather(pipe(here, there), pipe(answer, back))

    async with await asyncio.start_server(pass_on, "127.0.0.1", port) as listening:
        await listening.serve_forever()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from one to the other, until there are none."""
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


if __name__ == "__main__":
    name, _, number = sys.argv[2].rpartition(":")
    asyncio.run(serve(int(sys.argv[1]), name, int(number)))
