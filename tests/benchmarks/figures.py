"""What was measured, by name; the clock; and how a table begins."""

import contextlib
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

WIDTH = 90  # of a table

Value = float | int | str | bool


@dataclass
class Times:
    """The seconds that the repetitions of one thing took."""

    seconds: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Take the time of the block."""
        started = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - started)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """The nearest rank: a time that was measured, and of few times the longest."""
        return sorted(self.seconds)[math.ceil(0.95 * len(self.seconds)) - 1]


class Figures(dict[str, Value]):
    """All figures; their names say the unit, and stay the same from version to version."""

    def add_times(self, name: str, times: Times, comments: int) -> None:
        """Median, 95th percentile, how often, and comments a second, of calls with `comments`."""
        self[f"{name}_median_s"] = times.median
        self[f"{name}_p95_s"] = times.p95
        self[f"{name}_n"] = len(times.seconds)
        self[f"{name}_comments_per_s"] = comments / times.median

    def number(self, name: str) -> float:
        """A figure that is a number."""
        return float(self[name])

    def ratio(self, upper: str, lower: str) -> float:
        """The quotient of two medians."""
        return self.number(f"{upper}_median_s") / self.number(f"{lower}_median_s")

    def rounded(self) -> dict[str, Value]:
        """For printing: four significant digits; whole numbers in full."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in self.items()}


def heading(text: str) -> str:
    """A line that begins a table."""
    return f"── {text} ".ljust(WIDTH, "─")
