"""Tells ThreadsAgent of private messages, as Instagram's webhook ``messages`` does, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from threadsagent.fake_platform.wire import JsonObject

logger = logging.getLogger(__name__)

ACCOUNT = "fake_account"
PUSH_SECONDS = 5.0  # how long one call may take
ATTEMPTS = 3  # of one call, a second apart
AT_ONCE = 100  # events in one call
BACKLOG = 10_000  # events waiting for their call


@dataclass(frozen=True)
class WebhookTarget:
    """Where events are pushed to, and the app secret that signs them."""

    url: str
    secret: str


def user_id(name: str) -> str:
    """The platform's id of a person."""
    return f"fake_user_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def echo(account: str, to: str, message_id: str, text: str) -> JsonObject:
    """The event that repeats what the account itself has sent."""
    message = {"mid": message_id, "text": text, "is_echo": True}
    return _event(_account(account), _person(to), message)


def answer(by: str, message_id: str, text: str) -> JsonObject:
    """The event that a person has written to the account."""
    return _event(_person(by), _account(""), {"mid": message_id, "text": text})


def _account(name: str) -> JsonObject:
    return {"id": name or ACCOUNT}


def _person(name: str) -> JsonObject:
    return {"id": user_id(name), "username": name}


def _event(sender: JsonObject, recipient: JsonObject, message: JsonObject) -> JsonObject:
    now = time.time_ns() // 1_000_000
    return {"sender": sender, "recipient": recipient, "timestamp": now, "message": message}


def signature(secret: str, body: bytes) -> str:
    """The value of ``X-Hub-Signature-256``."""
    return f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"


class Webhooks:
    """Events on their way; they are pushed from a thread of its own, in the order they came."""

    def __init__(self, target: WebhookTarget) -> None:
        self._target = target
        self._events: queue.Queue[JsonObject | None] = queue.Queue(BACKLOG)
        self._stopping = threading.Event()

    def put(self, event: JsonObject) -> None:
        """Has an event pushed; while too many wait, it is lost, as it can be on the platform."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            logger.warning("an event is not pushed: too many are waiting")

    def push_all(self) -> None:
        # No proxy from the environment: the target is on this machine or next to it.
        with httpx.Client(timeout=PUSH_SECONDS, trust_env=False) as client:
            while not self._stopping.is_set() and (event := self._events.get()) is not None:
                self._push(client, [event, *self._more()])

    def stop(self) -> None:
        self._stopping.set()
        try:
            self._events.put_nowait(None)  # wakes a pusher that waits for work
        except queue.Full:
            logger.debug("the pusher has work and will see the stop by itself")

    def _more(self) -> Iterator[JsonObject]:
        for _ in range(AT_ONCE - 1):
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            if event is None:
                return
            yield event

    def _push(self, client: httpx.Client, events: list[JsonObject]) -> None:
        moment = events[-1]["timestamp"]
        entry = {"id": ACCOUNT, "time": moment, "messaging": events}
        body = json.dumps({"object": "instagram", "entry": [entry]}).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": signature(self._target.secret, body),
        }
        for _ in range(ATTEMPTS):
            try:
                client.post(self._target.url, content=body, headers=headers).raise_for_status()
            except httpx.HTTPError as error:
                logger.warning("%d events were not pushed: %s", len(events), error)
                if self._stopping.wait(1):
                    return
            else:
                return


@contextmanager
def pushing(target: WebhookTarget) -> Iterator[Webhooks]:
    """Pushes events to the target from a thread until the block ends."""
    webhooks = Webhooks(target)
    thread = threading.Thread(target=webhooks.push_all, name="fake-webhooks")
    thread.start()
    try:
        yield webhooks
    finally:
        webhooks.stop()
        thread.join()
