"""Bar charts of numbers over time: where the bars stand. A template draws them; knows no model."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

WIDTH, HEIGHT = 300, 100
GAP = 0.25  # of a bar's place
TICKS = 4  # times that are written below, at most


class Bar(NamedTuple):
    """One stretch of time, in the picture's units from the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    name: str
    """The time."""
    value: int | None
    """None: it cannot be told."""
    is_last: bool
    """It goes on."""


class Tick(NamedTuple):
    """A time that is written below the bars."""

    x: float
    name: str


class Chart(NamedTuple):
    """A picture of numbers, each of one stretch of time."""

    bars: list[Bar]
    ticks: list[Tick]
    top: int
    """The number at the upper edge."""

    @property
    def most(self) -> Bar | None:
        """The highest bar; the first of several, None of nothing."""
        told = [bar for bar in self.bars if bar.value]
        return max(told, key=lambda bar: bar.value or 0, default=None)


def chart(values: Sequence[int | None], begin: datetime, step: timedelta) -> Chart:
    """Each value as a bar, the first of the stretch that begins at `begin`."""
    top = round_up(max((value or 0 for value in values), default=0))
    place = WIDTH / len(values)
    bars = []
    for number, value in enumerate(values):
        height = HEIGHT * (value or 0) / top
        name = name_of(begin + number * step, step)
        x, width = (number + GAP / 2) * place, (1 - GAP) * place
        is_last = number == len(values) - 1
        bars.append(Bar(x, HEIGHT - height, width, height, name, value, is_last))
    every = -(-len(values) // TICKS)
    ticks = [Tick(bar.x + bar.width / 2, bar.name) for bar in bars[every // 2 :: every]]
    return Chart(bars, ticks, top)


def name_of(moment: datetime, step: timedelta) -> str:
    """What people call a stretch of time: `14:00` or `3 Mar`."""
    return f"{moment:%H:%M}" if step < timedelta(days=1) else f"{moment.day} {moment:%b}"


def round_up(number: int) -> int:
    """The next number of one digit and zeros."""
    size: int = 10 ** (len(str(number)) - 1)
    return max(1, -(-number // size) * size)
