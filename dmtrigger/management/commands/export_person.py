"""``manage.py export_person``: everything that is stored of a person, as JSON."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from dmtrigger.privacy import export_person


class Command(BaseCommand):
    help = (
        "Writes everything that is stored of a person as JSON to standard output: what they "
        "wrote, what models and operators said of it, what was sent to them and what came of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the user name, as comments have it")
        parser.add_argument(
            "--source", default=settings.COMMENT_SOURCE, help="the platform (default: %(default)s)"
        )

    def handle(self, *, source: str, name: str, **_: Any) -> None:
        document = export_person(source, name, "manage.py")
        text = json.dumps(document, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
        self.stdout.write(text)
