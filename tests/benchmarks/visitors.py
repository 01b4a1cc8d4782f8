"""People who follow links, as many at once as there are connections.

Sockets and not an HTTP library: the client has its share of the two cores, and of what it takes
the server gets none.
"""

import socket
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

USER_AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Mobile/15E148 Instagram 312.0"
END = b"\r\n\r\n"
FOUND = b"HTTP/1.1 302 "


class WrongAnswerError(RuntimeError):
    """A link led nowhere."""


def visit(url: str, tokens: Sequence[str], connections: int) -> tuple[float, list[float]]:
    """Follow every link once; the seconds in all, and those of each."""
    shares = [tokens[place::connections] for place in range(connections)]
    taken: list[list[float]] = [[] for _ in shares]
    threads = [
        threading.Thread(target=_follow, args=(url, share, times))
        for share, times in zip(shares, taken, strict=True)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    found = [each for times in taken for each in times]
    if len(found) != len(tokens):
        raise WrongAnswerError(f"{len(tokens) - len(found)} of {len(tokens)} links led nowhere")
    return seconds, found


def _follow(url: str, tokens: Sequence[str], times: list[float]) -> None:
    """Over one connection, which the server keeps."""
    address = urlsplit(url)
    place = (str(address.hostname), int(address.port or 80))
    connection = socket.create_connection(place)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = f"HTTP/1.1\r\nHost: {address.netloc}\r\nUser-Agent: {USER_AGENT}\r\n\r\n"
    for token in tokens:
        request = f"GET /r/{token} {head}".encode()
        started = time.perf_counter()
        connection.sendall(request)
        answer = connection.recv(4096)
        while END not in answer:
            more = connection.recv(4096)
            if not more:
                return
            answer += more
        times.append(time.perf_counter() - started)
        if not answer.startswith(FOUND) or f"ta={token}".encode() not in answer:
            times.pop()
            return
    connection.close()
