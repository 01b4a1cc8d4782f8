"""Plays sample comments into the fake platform, and pushes them to ThreadsAgent as it goes."""

from __future__ import annotations

import json
import logging
import queue
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from threadsagent.fake_platform.store import Comment, Store

logger = logging.getLogger(__name__)

SAMPLES = Path(__file__).with_name("samples.jsonl")

NEVER_PUSHED = 0.3  # share of the comments that only polling finds
PUSHED_TWICE = 0.1
PUSH_SECONDS = 5.0  # how long one push may take
PUSH_BACKLOG = 1000  # comments waiting for their push


@dataclass(frozen=True)
class Sample:
    """A comment to play; followers that the platform does not tell are None."""

    post_id: str
    author: str
    text: str
    author_followers: int | None = None
    author_verified: bool = False


@dataclass(frozen=True)
class PushTarget:
    """Where new comments are pushed to, and the token that lets them in."""

    url: str
    token: str


def load_samples(path: Path = SAMPLES) -> list[Sample]:
    """Reads samples: one JSON object ``{"post_id", "author", "text"}`` a line, optionally with
    ``"author_followers"`` and ``"author_verified"``.

    Raises OSError when the file cannot be read, ValueError when it holds no samples or a line
    is not one.
    """
    samples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            samples.append(_sample(line, f"{path}, line {number}"))
    if not samples:
        raise ValueError(f"{path}: no samples")
    return samples


def _sample(line: str, place: str) -> Sample:
    try:
        fields = json.loads(line)
        sample = Sample(**fields)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{place}: not a sample: {error}") from error
    texts = (sample.post_id, sample.author, sample.text)
    if not all(isinstance(value, str) and value.strip() for value in texts):
        raise ValueError(f"{place}: post_id, author and text must be non-empty strings")
    followers = sample.author_followers
    if followers is not None and (type(followers) is not int or followers < 0):
        raise ValueError(f"{place}: author_followers must be a whole number from 0 on, or null")
    if not isinstance(sample.author_verified, bool):
        raise ValueError(f"{place}: author_verified must be true or false")
    return sample


@contextmanager
def playing(
    store: Store,
    samples: list[Sample],
    rate: float,
    *,
    seed: int | None = None,
    push: PushTarget | None = None,
) -> Iterator[None]:
    """Plays samples into the store from a thread until the block ends.

    ``rate`` is in comments per second, fractions included. The order is random, and every sample
    comes once before any comes again. With ``push``, comments are pushed to its URL as they come:
    some never and some twice, as real platforms do. ``seed`` fixes the order and these draws;
    None makes them different each time.
    """
    player = _Player(store, samples, rate, seed, push)
    threads = [threading.Thread(target=player.play, name="fake-platform-player")]
    if push is not None:
        threads.append(threading.Thread(target=player.push_all, args=[push], name="fake-push"))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        player.stop()
        for thread in threads:
            thread.join()


class _Player:
    """The work of the two threads. Pushing has its own, so that a slow ThreadsAgent does not
    slow the comments down."""

    def __init__(
        self,
        store: Store,
        samples: list[Sample],
        rate: float,
        seed: int | None,
        push: PushTarget | None,
    ) -> None:
        self._store = store
        self._samples = samples
        self._rate = rate
        # Two, so that a seed gives the same order with and without pushing.
        self._order = random.Random(seed)  # noqa: S311 - to be reproducible, not secret
        self._delivery = random.Random(seed)  # noqa: S311
        self._pushing = push is not None
        self._pushes: queue.Queue[Comment | None] = queue.Queue(PUSH_BACKLOG)
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        try:
            self._pushes.put_nowait(None)  # wakes a pusher that waits for work
        except queue.Full:
            logger.debug("the pusher has work and will see the stop by itself")

    def play(self) -> None:
        start = time.monotonic()
        for played, sample in enumerate(self._in_random_order(), start=1):
            # Counted from the start, so that the time for the work itself does not add up.
            if self._stopping.wait(max(0.0, start + played / self._rate - time.monotonic())):
                return
            comment = self._store.add_comment(
                sample.post_id,
                sample.text,
                sample.author,
                author_followers=sample.author_followers,
                author_verified=sample.author_verified,
            )
            if self._pushing:
                self._enqueue(comment)

    def push_all(self, target: PushTarget) -> None:
        # No proxy from the environment: the target is on this machine or next to it.
        with httpx.Client(
            headers={"Authorization": f"Token {target.token}"},
            timeout=PUSH_SECONDS,
            trust_env=False,
        ) as client:
            while (comment := self._pushes.get()) is not None and not self._stopping.is_set():
                _push(client, target.url, comment)

    def _in_random_order(self) -> Iterator[Sample]:
        while True:
            yield from self._order.sample(self._samples, k=len(self._samples))

    def _enqueue(self, comment: Comment) -> None:
        draw = self._delivery.random()
        if draw < NEVER_PUSHED:
            return
        times = 2 if draw < NEVER_PUSHED + PUSHED_TWICE else 1
        try:
            for _ in range(times):
                self._pushes.put_nowait(comment)
        except queue.Full:
            logger.warning("comment %s is not pushed: too many are waiting", comment["id"])


def _push(client: httpx.Client, url: str, comment: Comment) -> None:
    """One delivery; when it fails, polling will have to find the comment."""
    listed = {name: value for name, value in comment.items() if name != "post_id"}
    try:
        response = client.post(url, json={"post_id": comment["post_id"], "comments": [listed]})
        response.raise_for_status()
    except httpx.HTTPError as error:
        logger.warning("comment %s was not pushed: %s", comment["id"], error)
