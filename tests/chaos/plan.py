"""What is broken when: made from a seed before the run begins."""

import random
from enum import StrEnum
from typing import NamedTuple


class Blow(StrEnum):
    """A thing that is done to the running system."""

    WORKER_PROCESS = "worker_process"  # one of those that send
    WORKER = "worker"  # with all of its processes; started again at once
    BROKER = "broker"  # started again after a while, empty
    PLATFORM = "platform"  # started again after a while, with its ledger
    CONNECTIONS = "connections"  # all to the database


# Seconds between two of a kind, on average.
EVERY = {
    Blow.WORKER_PROCESS: 6.0,
    Blow.WORKER: 30.0,
    Blow.BROKER: 40.0,
    Blow.PLATFORM: 30.0,
    Blow.CONNECTIONS: 12.0,
}
SHORTEST_AWAY, LONGEST_AWAY = 0.5, 4.0  # seconds, of the broker and the platform
CALM = 0.1  # share of the time before the first, so that something is under way


class Step(NamedTuple):
    """One blow."""

    at: float
    """Seconds after the beginning."""
    blow: Blow
    away: float
    """Seconds until it is started again, where it is not at once."""
    choice: float
    """From 0 to 1: which of several."""


def make_plan(seed: int, seconds: float) -> list[Step]:
    """Each kind at least once, however short the run is."""
    rng = random.Random(seed)  # noqa: S311 - to be reproducible, not secret
    return sorted(
        Step(
            at=rng.uniform(CALM * seconds, seconds),
            blow=blow,
            away=rng.uniform(SHORTEST_AWAY, LONGEST_AWAY),
            choice=rng.random(),
        )
        for blow, every in EVERY.items()
        for _ in range(max(1, round(seconds / every)))
    )
