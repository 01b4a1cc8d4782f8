from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from threadsagent import tokens
from threadsagent.scopes import Scope


class Command(BaseCommand):
    help = (
        "Make an API token for a user and print it: once, for only its hash is stored. A client "
        "sends it as `Authorization: Token …` and may do what the user may do, or with --scope a "
        "part of it. Tokens are revoked in the admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--days", type=int, default=90, help="days until it expires (default: %(default)s)"
        )

        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            choices=Scope.values,
            help="what it may do of that; several with one --scope each (default: everything)",
        )

    def handle(self, *, username: str, days: int, scopes: list[str] | None, **_: Any) -> None:
        user = get_user_model().objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active user {username!r}; add one in the admin")
        if days < 1:
            raise CommandError("--days must be at least 1")
        _token, key = tokens.issue(user, scopes, timedelta(days=days))
        self.stdout.write(key)
