"""What a run tells: where to look, what happens, and what it came to."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from threadsagent.run.processes import LOGS, RunError, Watch, end_of

STATUS_SECONDS = 5.0


@dataclass(frozen=True)
class Site:
    """Where the running system answers."""

    web: str
    fake_platform: str
    metrics_token: str
    password: str


@dataclass(frozen=True)
class Counts:
    """What has happened since the start of this run."""

    stored: int = 0
    duplicates: int = 0
    analysed: int = 0
    flagged: int = 0
    approved: int = 0
    delivered: int = 0
    failed: int = 0

    @classmethod
    def parse(cls, text: str) -> Counts:
        """The counts in the answer of `/metrics`."""
        wanted = {
            "stored": ("comments_stored_total", {}),
            "duplicates": ("comment_duplicates_detected_total", {}),
            "analysed": ("intent_analyzed_total", {}),
            "flagged": ("intent_reviews_flagged_total", {}),
            "approved": ("intent_review_decisions_total", {"decision": "approved"}),
            "delivered": ("direct_messages_total", {"state": "sent"}),
            "failed": ("direct_messages_total", {"state": "failed"}),
        }
        counts: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for name, (metric, labels) in wanted.items():
                    if sample.name == metric and labels.items() <= sample.labels.items():
                        counts[name] += int(sample.value)
        return cls(**counts)

    def __str__(self) -> str:
        return (
            f"comments {self.stored} (+{self.duplicates} duplicates)"
            f" · analysed {self.analysed} · flagged {self.flagged} · approved {self.approved}"
            f" · delivered {self.delivered} · failed {self.failed}"
        )


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def where_to_look(site: Site) -> str:
    """The box with the addresses."""
    lines = [
        "ThreadsAgent is running.",
        "",
        f"  Console        {site.web}/admin/    user demo, password {site.password}",
        "  Other roles    demo-viewer, demo-operator, demo-campaigns, demo-models: same password",
        f"  API            {site.web}/api/docs/    (sign in to the console first)",
        f"  Health         {site.web}/health",
        f"  Fake platform  {site.fake_platform}/    the messages it has delivered",
        f"  Logs           {LOGS}",
        "",
        'Commands: make manage ARGS="help"',
        "Comments come in by themselves; the first results take some 20 seconds. Ctrl-C stops all.",
    ]
    width = max(len(line) for line in lines)
    frame = "─" * (width + 2)
    return "\n".join([f"┌{frame}┐", *(f"│ {line:<{width}} │" for line in lines), f"└{frame}┘"])


def verdict(counts: Counts, ledger: Counter[str]) -> int:
    """Print what the run came to; 0 when it did all a run has to do."""
    say(
        f"In this run {counts.stored} comments came in"
        f" and {counts.duplicates} duplicates were recognised,"
        f" {counts.analysed} were analysed, {counts.flagged} flagged, {counts.approved} approved;"
        f" {counts.delivered} messages were delivered, {counts.failed} failed."
    )
    doubles = sorted(comment for comment, messages in ledger.items() if messages > 1)
    say(
        f"The platform's own ledger, of all runs, holds {ledger.total()} messages: "
        + (f"comments messaged twice: {', '.join(doubles)}" if doubles else "no comment got two.")
    )
    logs = {"stored": "web", "analysed": "analyze", "approved": "work", "delivered": "work"}
    missing = [
        f"nothing was {name}: read {LOGS / log}.log"
        for name, log in logs.items()
        if getattr(counts, name) == 0
    ]
    for line in missing:
        say(line)
    return 1 if missing or doubles else 0


def get(url: str, **headers: str) -> httpx.Response:
    """A successful answer of a process of ours. Raises httpx.HTTPError for any other."""
    return httpx.get(url, headers=headers, timeout=5, trust_env=False).raise_for_status()


def report(site: Site, seconds: float | None, watch: Watch) -> Counts:
    """Print what happens until the time is over (by default, never)."""
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    while (left := end - time.monotonic()) > 0:
        watch.pause(min(STATUS_SECONDS, left))
        now = time.strftime("%H:%M:%S")
        try:
            say(f"{now}  {fetch_counts(site)}")
        except httpx.HTTPError as error:
            say(f"{now}  no metrics: {error}")
    try:
        return fetch_counts(site)
    except httpx.HTTPError as error:
        raise RunError(f"No metrics: {error}. {end_of(LOGS / 'web.log')}") from error


def fetch_counts(site: Site) -> Counts:
    """What the system's metrics say. Raises httpx.HTTPError."""
    answer = get(f"{site.web}/metrics", Authorization=f"Bearer {site.metrics_token}")
    return Counts.parse(answer.text)


def fetch_ledger(site: Site) -> Counter[str]:
    """How many messages the platform took for each comment, by its own account."""
    try:
        messages = get(f"{site.fake_platform}/messages").json()["data"]
    except httpx.HTTPError as error:
        raise RunError(f"No ledger: {error}. {end_of(LOGS / 'fake_platform.log')}") from error
    return Counter(message["comment_id"] for message in messages)
