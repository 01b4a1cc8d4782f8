"""Faults that can be queued: what happens to the next messages instead of the usual."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace

from threadsagent.fake_platform.wire import (
    JsonObject,
    MetaError,
    allow_only,
    invalid,
    read_flag,
    read_integer,
    read_object,
    read_string,
)


@dataclass(frozen=True)
class Fault:
    """What happens to the next ``times`` messages instead of the usual: one of three things."""

    times: int
    after_delivery: bool
    error: MetaError | None = None
    hang_seconds: float | None = None

    @classmethod
    def parse(cls, body: JsonObject) -> Fault:
        """Reads the body of ``POST /faults``. Raises PlatformError."""
        allow_only(body, "times", "after_delivery", "error", "hang_seconds", "drop_connection")
        kinds = [name for name in ("error", "hang_seconds", "drop_connection") if name in body]
        if len(kinds) != 1:
            raise invalid("Give one of (error), (hang_seconds) and (drop_connection).")
        fault = cls(read_integer(body, "times", 1, 1_000_000), read_flag(body, "after_delivery"))
        if "error" in body:
            return replace(fault, error=_fault_error(read_object(body["error"], "error")))
        if "hang_seconds" in body:
            return replace(fault, hang_seconds=_fault_seconds(body["hang_seconds"]))
        if not read_flag(body, "drop_connection"):
            raise invalid("(drop_connection) must be true.")
        return fault

    def as_json(self) -> JsonObject:
        """The same form as in ``POST /faults``."""
        kind: JsonObject = {"drop_connection": True}
        if self.error is not None:
            kind = {
                "error": {
                    "status": self.error.status,
                    "code": self.error.code,
                    "error_subcode": self.error.error_subcode,
                    "message": self.error.message,
                }
            }
        elif self.hang_seconds is not None:
            kind = {"hang_seconds": self.hang_seconds}
        return {"times": self.times, **kind, "after_delivery": self.after_delivery}


def _fault_error(body: JsonObject) -> MetaError:
    allow_only(body, "status", "code", "error_subcode", "message")
    subcode = body.get("error_subcode")
    return MetaError(
        status=read_integer(body, "status", 400, 599),
        code=read_integer(body, "code", 0, 2**31),
        error_subcode=None if subcode is None else read_integer(body, "error_subcode", 0, 2**31),
        message=read_string(body, "message") if "message" in body else "An injected fault.",
    )


def _fault_seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid("(hang_seconds) must be a number.")
    if not 0 <= value <= threading.TIMEOUT_MAX:  # NaN is not, either
        raise invalid("(hang_seconds) must not be negative or beyond what a timer can wait.")
    return float(value)


class FaultQueue:
    """The faults still to come, oldest first; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: deque[Fault] = deque()

    def add(self, fault: Fault) -> None:
        """Queues a fault behind the others."""
        with self._lock:
            self._faults.append(fault)

    def take(self) -> Fault | None:
        """The fault for the next message, counted down; None when there is none."""
        with self._lock:
            if not self._faults:
                return None
            fault = self._faults.popleft()
            if fault.times > 1:
                self._faults.appendleft(replace(fault, times=fault.times - 1))
            return fault

    def left(self) -> list[Fault]:
        """The faults that are left."""
        with self._lock:
            return list(self._faults)

    def clear(self) -> None:
        """Forgets them all."""
        with self._lock:
            self._faults.clear()
