"""Two connections to the database at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, transaction

Answer = TypeVar("Answer")


def behind(write: Callable[[], object], call: Callable[[], Answer]) -> Answer:
    """What a call returns that does not see yet what we have written, and has to wait for it."""

    def on_its_own_connection() -> Answer:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            write()
            calling = pool.submit(on_its_own_connection)
            wait_until_somebody_waits()
        return calling.result(timeout=60)


def wait_until_somebody_waits() -> None:
    """For a lock of the database."""
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.05), count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[1]:
                return
    raise AssertionError("nobody waits")
