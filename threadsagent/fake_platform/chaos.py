"""Every error that Meta documents for replies, and faults that come by chance, from a seed."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import NamedTuple

from threadsagent.fake_platform.faults import Fault
from threadsagent.fake_platform.wire import (
    REPLY_IMPOSSIBLE,
    THROTTLED,
    TOKEN_MISSING,
    WINDOW_CLOSED,
    JsonObject,
    MetaError,
    allow_only,
    invalid,
    read_integer,
    read_object,
)

LONGEST_SEED = 2**63
PATIENCE = 35.0  # seconds: a hang that the callers we know do not wait for

# By what they mean; docs/platforms.md has the same table.
ERRORS: dict[str, tuple[MetaError, ...]] = {
    "throttled": (
        THROTTLED,
        *(
            MetaError(400, code, None, "The request limit is reached.")
            for code in (4, 17, 32, *range(80001, 80015))
        ),
    ),
    "restricted": (
        MetaError(403, 10, 1893063, "The account is restricted from sending messages."),
        MetaError(400, 368, None, "The account is blocked for a while for abuse."),
    ),
    "token": (
        TOKEN_MISSING,
        MetaError(401, 190, 458, "The app is not authorized any more."),
        MetaError(401, 190, 460, "The password was changed."),
        MetaError(401, 190, 463, "The access token has expired."),
        MetaError(401, 190, 467, "The access token is invalid."),
        MetaError(401, 102, None, "The session is invalid."),
    ),
    "permission": (
        MetaError(403, 10, None, "The app has no permission for this action."),
        *(
            MetaError(403, code, None, "The app has no permission for this.")
            for code in range(200, 300)
        ),
    ),
    "window": (
        WINDOW_CLOSED,
        MetaError(400, 10, 2018278, "This message is sent outside of the allowed window."),
    ),
    "used": (REPLY_IMPOSSIBLE,),
    "impossible": (
        MetaError(400, 10900, None, "The activity was already replied to."),
        MetaError(400, 10903, None, "This user cannot reply to this activity."),
    ),
    "person": (
        MetaError(400, 100, 2534014, "The user cannot be found."),
        MetaError(400, 551, 1545041, "This person isn't available right now."),
        MetaError(403, 200, 2534041, "The person does not take messages."),
        MetaError(400, 100, 2534029, "The person has blocked the account."),
    ),
    "thread": (MetaError(400, 100, 2534037, "Another app controls this thread."),),
    "unknown": (
        MetaError(500, 1, None, "An unknown error occurred."),
        MetaError(500, 2, None, "Service temporarily unavailable."),
        MetaError(503, 1, 99, "An unknown error occurred."),
    ),
}
SENT_BUT = MetaError(500, 1, 1357046, "The message was sent, but an error occurred afterwards.")


class Chance(NamedTuple):
    """A fault, and how likely each call is to meet it."""

    probability: float
    fault: Fault


def every_fault(share: float, hang_seconds: float = PATIENCE) -> list[Chance]:
    """All that can go wrong, so that this share of the calls meets something.

    Each row of the table is equally likely, and so are an answer that is lost and one that does
    not come in time, each before and after the delivery. That a reply is used is never made up:
    callers take it for a delivery, and the platform says it where it is true.
    """
    rows = [
        [Fault(1, after_delivery=False, error=error) for error in errors]
        for row, errors in ERRORS.items()
        if row != "used"
    ]
    rows.append([Fault(1, after_delivery=True, error=SENT_BUT)])
    for after in (False, True):
        rows.append([Fault(1, after_delivery=after)])
        rows.append([Fault(1, after_delivery=after, hang_seconds=hang_seconds)])
    return [Chance(share / len(rows) / len(faults), fault) for faults in rows for fault in faults]


@dataclass
class Chaos:
    """Draws for each call what happens to it; may be used from any thread.

    A seed fixes what the calls meet, in the order in which they come.
    """

    seed: int
    chances: list[Chance]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(self.seed)  # noqa: S311 - to be reproducible, not secret
        self._drawn = [0] * len(self.chances)

    @classmethod
    def parse(cls, body: JsonObject) -> Chaos:
        """Reads the body of ``PUT /chaos``. Raises PlatformError."""
        seed = read_integer(body, "seed", 0, LONGEST_SEED)
        if "share" in body:
            allow_only(body, "seed", "share", "hang_seconds")
            share = read_probability(body, "share")
            hang = Fault.parse({"times": 1, "hang_seconds": body.get("hang_seconds", PATIENCE)})
            return cls(seed, every_fault(share, hang.hang_seconds or 0.0))
        allow_only(body, "seed", "faults")
        given = body.get("faults")
        if not isinstance(given, list):
            raise invalid("Give a (share), or a list of (faults).")
        chances = [_chance(read_object(each, "faults")) for each in given]
        if sum(chance.probability for chance in chances) > 1 + 1e-9:
            raise invalid("The probabilities add up to more than 1.")
        return cls(seed, chances)

    def draw(self) -> Fault | None:
        """What the next call meets; None: nothing."""
        with self._lock:
            place = self._random.random()
            for number, (probability, fault) in enumerate(self.chances):
                place -= probability
                if place < 0:
                    self._drawn[number] += 1
                    return fault
        return None

    def as_json(self) -> JsonObject:
        """The form of ``PUT /chaos`` with a list, and how often each fault was drawn."""
        with self._lock:
            drawn = list(self._drawn)
        faults = [
            {"probability": probability, **fault.as_json(), "drawn": count}
            for (probability, fault), count in zip(self.chances, drawn, strict=True)
        ]
        for fault in faults:
            del fault["times"]
        return {"seed": self.seed, "faults": faults}


def _chance(body: JsonObject) -> Chance:
    rest = {name: value for name, value in body.items() if name != "probability"}
    return Chance(read_probability(body, "probability"), Fault.parse({"times": 1, **rest}))


def read_probability(body: JsonObject, name: str) -> float:
    """A field that must be there and be from 0 to 1."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise invalid(f"({name}) must be a number from 0 to 1.")
    return float(value)
