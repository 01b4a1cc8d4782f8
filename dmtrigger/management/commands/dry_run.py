"""``manage.py dry_run``: what a campaign would have sent, and why not the rest."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dmtrigger import dry_run
from dmtrigger.dry_run import Line, Report
from dmtrigger.models import Campaign
from intents.models import IntentResult


class Command(BaseCommand):
    help = (
        "Says what would have been sent to the flagged comments of the last days if the campaign "
        "had been active, and why not the rest. Nothing is sent or stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--campaign", required=True, metavar="NAME")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--days", type=int, default=7, help="how many days back (default: 7)")
        which.add_argument("--comment", type=int, metavar="ID", help="this comment only")
        parser.add_argument("--json", action="store_true", help="JSON Lines, one a comment")

    def handle(
        self, *, campaign: str, days: int, comment: int | None, json: bool, **_: Any
    ) -> None:
        try:
            report = _report(Campaign.objects.get(name=campaign), days, comment)
        except Campaign.DoesNotExist as error:
            raise CommandError(f"there is no campaign {campaign}") from error
        except IntentResult.DoesNotExist as error:
            raise CommandError(f"comment {comment} is not there, or not analysed yet") from error
        for line in report.lines:
            self.stdout.write(_json(line) if json else _text(line))
        # Apart from the lines, which another program may read.
        for would, count in report.counts:
            self.stderr.write(f"{count:6,} {would.label}")
        if report.is_cut:
            self.stderr.write(f"Only the newest {dry_run.MOST_COMMENTS:,} comments were looked at.")


def _report(campaign: Campaign, days: int, comment: int | None) -> Report:
    if comment is not None:
        return dry_run.of_comment(campaign, comment)
    if not 1 <= days <= dry_run.MOST_DAYS:
        raise CommandError(f"--days must be between 1 and {dry_run.MOST_DAYS}")
    return dry_run.of_days(campaign, days)


def _json(line: Line) -> str:
    return json.dumps(
        {
            "comment": line.comment.pk,
            "author": line.comment.author,
            "score": line.intent.score,
            "would": line.would,
            "answered_by": line.answered_by.name if line.answered_by else None,
            "text": line.text,
            "reasons": line.reasons,
            "was": line.was,
        }
    )


def _text(line: Line) -> str:
    comment, why = line.comment, f": {'; '.join(line.reasons)}" if line.reasons else ""
    said = f"{comment.pk} {comment.author}: {comment.text[:80]}"
    return f"{_printable(said)}\n    {line.would.label}{_printable(why)}"


def _printable(text: str) -> str:
    """Strangers' control characters could do anything to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
