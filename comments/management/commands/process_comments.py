from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from comments.ingest import IngestReport
from comments.polling import process_post
from comments.sources import SourceError


class Command(BaseCommand):
    help = "Fetch all comments of a post from its source and store what is new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("post_id", help="the platform's id of the post")
        parser.add_argument(
            "--source", default=settings.COMMENT_SOURCE, help="default: %(default)s"
        )

    def handle(self, *, post_id: str, source: str, **_: Any) -> None:
        total = IngestReport()
        try:
            with tqdm(unit=" comments", disable=None) as progress:
                for report in process_post(post_id, source):
                    total.add(report)
                    progress.update(report.received)
        except SourceError as error:
            raise CommandError(f"{error}\nStored before that: {total.stored}.") from error
        for item in total.rejected:
            self.stderr.write(f"comment {item.id or item.index}: {item.field} {item.reason}")
        self.stdout.write(str(total))
