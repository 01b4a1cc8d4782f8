"""``manage.py fake_platform``: runs the fake platform until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import sqlite3
from argparse import ArgumentTypeError
from contextlib import ExitStack, closing
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from threadsagent.fake_platform.player import (
    SAMPLES,
    PushTarget,
    Sample,
    load_samples,
    playing,
)
from threadsagent.fake_platform.server import running
from threadsagent.fake_platform.store import Store

# A secret is not for a command line, which every user of the machine can list.
TOKEN_VARIABLE = "FAKE_PLATFORM_PUSH_TOKEN"  # noqa: S105 - a variable's name
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
        parser.add_argument("--seed", type=int, help="fixes the random order of the play")

    def handle(self, *_args: Any, **options: Any) -> None:
        # Blocked before any thread starts, in all of them: the signals wait for sigwait below.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        push = _push_target(options["push_url"], options["play"])
        samples = _samples(options["samples"]) if options["play"] else []
        with ExitStack() as stack:
            try:
                store = stack.enter_context(closing(Store(options["data"])))
                server = stack.enter_context(running(store, options["host"], options["port"]))
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
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise CommandError(f"--push-url needs a token in {TOKEN_VARIABLE}")
    return PushTarget(url, token)


def _samples(path: Path) -> list[Sample]:
    try:
        return load_samples(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read the samples: {error}") from error
