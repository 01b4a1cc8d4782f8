"""``manage.py fake_platform``: runs the fake platform until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import sqlite3
from argparse import ArgumentTypeError
from contextlib import ExitStack, closing
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from threadsagent.fake_platform.chaos import Chaos, every_fault
from threadsagent.fake_platform.player import (
    SAMPLES,
    PushTarget,
    Sample,
    load_samples,
    playing,
)
from threadsagent.fake_platform.server import HOURLY_LIMIT, running
from threadsagent.fake_platform.store import Store
from threadsagent.fake_platform.webhooks import WebhookTarget
from threadsagent.settings import env

# A secret is not for a command line, which every user of the machine can list.
TOKEN_VARIABLE = "FAKE_PLATFORM_PUSH_TOKEN"  # noqa: S105 - a variable's name
SECRET_VARIABLE = "FAKE_PLATFORM_APP_SECRET"  # noqa: S105
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class Command(BaseCommand):
    """Serves the fake platform, and plays sample comments when asked to."""

    help = "Runs a stand-in for the social platform: comments in, private messages out."
    requires_system_checks = []  # it has no use for the database or the cache

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=_port, default=8900, help="0 takes a free one")
        parser.add_argument(
            "--data", default=":memory:", help="SQLite file to keep the state in (default: memory)"
        )
        parser.add_argument(
            "--play", type=_rate, metavar="RATE", help="play sample comments, RATE a second"
        )
        parser.add_argument(
            "--samples", type=Path, default=SAMPLES, help="JSON lines of post_id, author, text"
        )
        parser.add_argument(
            "--push-url",
            type=_http_url,
            help=f"push played comments here, with the token in {TOKEN_VARIABLE}",
        )
        parser.add_argument(
            "--webhook-url",
            type=_http_url,
            help=f"tell of private messages here, signed with the secret in {SECRET_VARIABLE}",
        )
        parser.add_argument(
            "--hourly-limit",
            type=_limit,
            default=HOURLY_LIMIT,
            help=f"messages of an account in any hour, 0: no limit (default: {HOURLY_LIMIT})",
        )
        parser.add_argument(
            "--chaos",
            type=_share,
            metavar="SHARE",
            help="have this share of the messages (0 to 1) meet some error, lost answer or hang",
        )
        parser.add_argument(
            "--seed",
            type=int,
            help="fixes the random order of the play, and what the chaos does (default there: 0)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        # Blocked before any thread starts, in all of them: the signals wait for sigwait below.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        push = _push_target(options["push_url"], options["play"])
        samples = _samples(options["samples"]) if options["play"] else []
        with ExitStack() as stack:
            try:
                store = stack.enter_context(closing(Store(options["data"])))
                platform = running(
                    store,
                    options["host"],
                    options["port"],
                    hourly_limit=options["hourly_limit"],
                    chaos=_chaos(options["chaos"], options["seed"]),
                    webhook=_webhook_target(options["webhook_url"]),
                )
                server = stack.enter_context(platform)
            except (OSError, sqlite3.Error) as error:
                raise CommandError(f"cannot start: {error}") from error
            self.stdout.write(f"fake platform listening on {server.url}")
            self.stdout.flush()
            if options["play"]:
                play = playing(store, samples, options["play"], seed=options["seed"], push=push)
                stack.enter_context(play)
            signal.sigwait(STOP_SIGNALS)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ArgumentTypeError("a port is 0 to 65535")
    return port


def _rate(text: str) -> float:
    rate = float(text)
    if not (isfinite(rate) and rate > 0):
        raise ArgumentTypeError("a rate is more than 0 comments a second")
    return rate


def _limit(text: str) -> int:
    limit = int(text)
    if limit < 0:
        raise ArgumentTypeError("a limit is 0 (none) or more messages an hour")
    return limit


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ArgumentTypeError("a share is 0 to 1")
    return share


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ArgumentTypeError("not an http:// or https:// address")
    return text


def _push_target(url: str | None, rate: float | None) -> PushTarget | None:
    if url is None:
        return None
    if rate is None:
        raise CommandError("--push-url pushes played comments: it needs --play")
    token = env.str(TOKEN_VARIABLE, default="")
    if not token:
        raise CommandError(f"--push-url needs a token in {TOKEN_VARIABLE}")
    return PushTarget(url, token)


def _webhook_target(url: str | None) -> WebhookTarget | None:
    if url is None:
        return None
    secret = env.str(SECRET_VARIABLE, default="")
    if not secret:
        raise CommandError(f"--webhook-url needs a secret in {SECRET_VARIABLE}")
    return WebhookTarget(url, secret)


def _chaos(share: float | None, seed: int | None) -> Chaos | None:
    return None if share is None else Chaos(seed or 0, every_fault(share))


def _samples(path: Path) -> list[Sample]:
    try:
        return load_samples(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read the samples: {error}") from error
