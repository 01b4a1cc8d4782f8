"""What the fake platform is told to do wrong: every row of docs/platforms.md, in a seeded order."""

import contextlib
import random
from typing import Any

import httpx

MARK = "made up by the chaos"
"""Stands in the text of every error that the platform was told to answer with."""
CALL_SECONDS = 5.0
PATIENCE = 35.0  # seconds: longer than a sender waits

Fault = dict[str, Any]

# HTTP status, code, subcode. After one of these nothing was delivered.
ERRORS = (
    *((400, code, None) for code in (4, 17, 32, 613, *range(80001, 80015))),  # throttled
    (403, 10, 1893063),  # restricted
    (400, 368, None),
    *((401, 190, subcode) for subcode in (None, 458, 460, 463, 467)),  # the token is dead
    (401, 102, None),
    (403, 10, None),  # permission missing
    (403, 200, None),
    (403, 299, None),
    (400, 10, 2534022),  # outside the window
    (400, 10, 2018278),
    (400, 10900, None),  # cannot be replied to
    (400, 10903, None),
    (400, 100, 2534014),  # the person
    (400, 551, 1545041),
    (403, 200, 2534041),
    (400, 100, 2534029),
    (400, 100, 2534037),  # another app has the thread
)
USED = (400, 100, 2534025)  # said falsely here: a sender cannot know
# After one of these nobody knows, so each comes both before and after the delivery.
UNCLEAR = ((500, 1, None), (500, 2, None), (503, 1, 99), (502, 100, None))
SENT_BUT = (500, 1, 1357046)


def deck(rng: random.Random, *, patient: bool) -> list[Fault]:
    """Each fault at least once, shuffled; `patient`: with answers that do not come at all."""
    faults = [_error(error) for error in (*ERRORS, USED)]
    faults += [_error(error, after=after) for error in UNCLEAR for after in (False, True)]
    # The commonest of the real accidents, and the most dangerous, several times.
    faults += [_error(SENT_BUT, after=True) for _ in range(4)]
    for after in (False, True):
        faults += [_fault(after, drop_connection=True) for _ in range(4)]
        faults += [_fault(after, hang_seconds=round(rng.uniform(0.1, 1.0), 2)) for _ in range(2)]
    if patient:
        faults += [_fault(after, hang_seconds=PATIENCE) for after in (False, True)]
    rng.shuffle(faults)
    return faults


class Faults:
    """Keeps the fake platform's queue of faults filled. A restart of the platform empties it."""

    def __init__(self, url: str, seed: int, *, longest: bool) -> None:
        self.queued = 0
        self._url = url
        self._rng = random.Random(seed)  # noqa: S311 - to be reproducible, not secret
        self._deck: list[Fault] = []
        self._hangs_left = 1 if longest else 0  # decks with answers that do not come at all

    def add(self, count: int) -> None:
        """Have the next calls go wrong; nothing happens while the platform is away."""
        with contextlib.suppress(httpx.TransportError), self._client() as client:
            for _ in range(count):
                client.post("/faults", json=self._next()).raise_for_status()
                self.queued += 1

    def end(self) -> None:
        """From now on all goes well."""
        with self._client() as client:
            left = client.get("/faults").raise_for_status().json()["data"]
            client.delete("/faults").raise_for_status()
        self.queued -= sum(fault["times"] for fault in left)

    def _next(self) -> Fault:
        if not self._deck:
            self._deck = deck(self._rng, patient=self._hangs_left > 0)
            self._hangs_left -= 1
        return self._deck.pop()

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, timeout=CALL_SECONDS, trust_env=False)


def _error(error: tuple[int, int, int | None], *, after: bool = False) -> Fault:
    status, code, subcode = error
    return _fault(
        after,
        error={"status": status, "code": code, "error_subcode": subcode, "message": MARK},
    )


def _fault(after: bool, **what: Any) -> Fault:
    return {"times": 1, "after_delivery": after, **what}
