"""``manage.py export_reviews``: operators' decisions as a file to train with."""

import csv
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.utils import timezone
from tqdm import tqdm

from comments.csv_export import protect
from intents import export
from intents.labelled import Example


class Command(BaseCommand):
    help = (
        "Writes what operators decided as CSV with the columns text, label and slice, which "
        "train_intent_model and evaluate_intent_model read. Each text is there once, as it was "
        "decided last. What campaigns approved by themselves is left out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, help="file to write (default: standard output)")
        parser.add_argument(
            "--since", type=_day, help="only what was decided on this day (2026-01-31) or later"
        )

    def handle(self, *, output: Path | None, since: datetime | None, **_: Any) -> None:
        counts: Counter[str] = Counter()
        try:
            with _opened(output) if output else nullcontext(self.stdout) as file:
                _write(file, since, counts)
        except OSError as error:
            raise CommandError(f"The export could not be written: {error}") from error
        (self.stdout if output else self.stderr).write(_sentence(counts))


def _write(file: TextIO | OutputWrapper, since: datetime | None, counts: Counter[str]) -> None:
    # Every cell is quoted: a spreadsheet that takes another character for the comma splits none.
    rows = csv.writer(file, quoting=csv.QUOTE_ALL)
    rows.writerow(("text", "label", "slice"))
    total = export.decided(since).count()
    for outcome in tqdm(export.outcomes(since), total=total, delay=1, disable=None):
        if isinstance(outcome, Example):
            rows.writerow((protect(outcome.text), outcome.label, outcome.slices["slice"]))
            counts["written"] += 1
        else:
            counts[outcome] += 1


@contextmanager
def _opened(output: Path) -> Iterator[TextIO]:
    """The file gets its name when it is complete, so nobody trains with half of it."""
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _sentence(counts: Counter[str]) -> str:
    parts = [f"{counts['written']:,} comments written."]
    parts += [f"Left out: {counts[why]:,} {why.value}." for why in export.LeftOut if counts[why]]
    if counts[export.LeftOut.UNKNOWN]:
        parts.append("Say it under 'It is really' when you reject one, and it counts.")
    return "\n".join(parts)


def _day(value: str) -> datetime:
    try:
        return timezone.make_aware(datetime.strptime(value, "%Y-%m-%d"))  # noqa: DTZ007 - made aware
    except ValueError as error:
        raise ArgumentTypeError(f"{value!r} is no day; write it as 2026-01-31") from error
