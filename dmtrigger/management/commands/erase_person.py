"""``manage.py erase_person``: take a person out of everything that is stored."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dmtrigger.privacy import erase_person


class Command(BaseCommand):
    help = (
        "Erases what is stored of a person: their comments, what was said of them and sent to "
        "them. It cannot be undone. A wish not to be written to is kept, without the name."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the user name, as comments have it")
        parser.add_argument(
            "--source", default=settings.COMMENT_SOURCE, help="the platform (default: %(default)s)"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *, source: str, name: str, yes: bool, **_: Any) -> None:
        if not yes and not _confirmed(source, name):
            raise CommandError("Nothing was erased.")
        erased = erase_person(source, name, "manage.py")
        for what, count in erased.counts.items():
            self.stdout.write(f"{what}: {count}")
        self.stdout.write(f"confirmation code: {erased.code}")


def _confirmed(source: str, name: str) -> bool:
    try:
        answer = input(f"Erase all that is stored of {name} on {source}, for good? [y/N] ")
    except EOFError:  # nobody is there to answer
        return False
    return answer.strip().lower() in ("y", "yes")
