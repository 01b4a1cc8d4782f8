"""Prometheus scrapes the running system, and who should know of what goes wrong is told.

What takes days, or more memory than there is, is tried in tests/charts/test_rules.py.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection
from django.utils import timezone
from django_redis import get_redis_connection
from knox.models import AuthToken

from comments.models import Comment, Monitor
from comments.partitions import first_id, id_at
from dmtrigger import outbox, pacing
from dmtrigger.models import Account, DirectMessage, WebhookEndpoint
from intents.models import AnalysisFailure, IntentResult, Review
from tests.charts.files import alerts, metric_names, panels, queries
from tests.factories import (
    AccountFactory,
    AnalysisFailureFactory,
    CampaignFactory,
    CommentFactory,
    DirectMessageFactory,
    MonitorFactory,
    ReviewFactory,
    UserFactory,
)
from tests.integration.monitoring import (
    WINDOW,
    Inbox,
    alertmanager,
    hurried_routes,
    inbox,
    prometheus,
    query,
)
from tests.integration.processes import (
    beat_process,
    database_url,
    eventually,
    fake_platform_process,
    process,
    web_process,
    worker_process,
)
from threadsagent.embedded import free_port
from threadsagent.metrics.processes import memory_limit

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

GATE = "tests.integration.gate"
PATIENCE = 120  # seconds, of a busy machine


@dataclass
class Watched:
    """The system with Prometheus and Alertmanager: clients of them, and how to start the rest."""

    web: httpx.Client  # as a superuser
    platform: httpx.Client
    prometheus: httpx.Client
    inbox: Inbox
    folder: Path
    env: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)

    def worker(self) -> Any:
        """A Celery worker for all queues, with metrics of its own."""
        return worker_process(self.folder / "worker.log", **self._measured("worker"))

    def beat(self) -> Any:
        """The scheduler, with metrics of its own."""
        return beat_process(self.folder, **self._measured("beat"))

    def _measured(self, name: str) -> dict[str, str]:
        port = {"METRICS_PORT": str(self.ports[name])}
        return self.env | metrics_folder(self.folder, name) | port

    def process(self, post: str, *texts: str) -> dict[str, Any]:
        """Comments come in over the API; those of a post have ids that are always the same."""
        now = timezone.now().isoformat()
        items = [
            {"id": f"{post}-{n}", "text": text, "author": f"{post}-{n}", "timestamp": now}
            for n, text in enumerate(texts)
        ]
        answer = self.web.post("/comments/process", json={"post_id": post, "comments": items})
        return answer.raise_for_status().json()

    def asks(self, post: str) -> None:
        """Somebody asks on the platform, and it is fetched."""
        said = {"text": "Where can I buy this? How much is it?", "author": post}
        self.platform.post(f"/posts/{post}/comments", json=said).raise_for_status()
        answer = self.web.post("/comments/process", json={"post_id": post})
        assert answer.raise_for_status().json()["stored_count"] == 1

    def wait_until_told(self, alerts: dict[str, tuple[str, ...]], *, firing: bool = True) -> None:
        """Wait until each receiver knows of its alerts that they fire, or that they are over."""
        expected = {(receiver, name) for receiver, names in alerts.items() for name in names}
        end = time.monotonic() + PATIENCE
        while missing := self.inbox.missing(expected, firing=firing):
            assert time.monotonic() < end, f"not told, firing={firing}: {missing}"
            time.sleep(0.2)


def metrics_folder(folder: Path, name: str) -> dict[str, str]:
    """Where a process counts, as in a container of its own."""
    (folder / name).mkdir(exist_ok=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(folder / name)}


@contextmanager
def watched(
    tmp_path: Path, prometheus_path: str, alertmanager_path: str, **env: str
) -> Iterator[Watched]:
    """Web process and fake platform on this test's database, watched; no worker yet, nor beat."""
    _token, key = AuthToken.objects.create(UserFactory(username="root", is_superuser=True))
    with ExitStack() as stack:
        start = stack.enter_context
        platform = start(fake_platform_process(tmp_path))
        env = {
            "DATABASE_URL": database_url(),
            "FAKE_PLATFORM_URL": platform,
            "SWEEP_SECONDS": "1",
            "GRACE_SECONDS": "0",
            **env,
        }
        web = start(web_process(tmp_path, **env, **metrics_folder(tmp_path, "web")))
        ports = {"worker": free_port(), "beat": free_port()}
        targets = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        told, url, mail_port = start(inbox())
        routes = hurried_routes(tmp_path, url, mail_port)
        router = start(alertmanager(alertmanager_path, tmp_path, routes))
        targets["web"] = urlsplit(web).netloc
        yield Watched(
            web=start(
                httpx.Client(base_url=web, headers={"Authorization": f"Token {key}"}, timeout=30)
            ),
            platform=start(httpx.Client(base_url=platform)),
            prometheus=start(prometheus(prometheus_path, tmp_path, targets, router)),
            inbox=told,
            folder=tmp_path,
            env=env,
            ports=ports,
        )


@pytest.fixture
def system(tmp_path, prometheus_path, alertmanager_path, transactional_db) -> Iterator[Watched]:
    with watched(tmp_path, prometheus_path, alertmanager_path) as system:
        yield system


def guess_passwords(system: Watched) -> None:
    """Somebody tries to sign in, again and again."""
    with httpx.Client(base_url=system.web.base_url) as client:
        client.get("/admin/login/")
        form = {"username": "root", "password": "guess"}
        form["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
        for _ in range(30):
            client.post("/admin/login/", data=form)


def test_what_waits_too_long_is_told_to_who_should_know_until_it_is_done(system):
    now = timezone.now()
    old, analysed = now - timedelta(minutes=40), {"intent__comment__analyzed_at": now}
    almost_closed = now - timedelta(days=7) + timedelta(minutes=50)

    # Neither worker nor beat runs, and much waits.
    CommentFactory(id=id_at(old), created_at=old, text="so nice")
    for part in range(6):
        system.process(f"busy-{part}", *["so nice"] * 100)
    AnalysisFailureFactory()
    MonitorFactory(status="degraded", next_poll_at=now + timedelta(hours=1))
    ReviewFactory(flagged_at=now - timedelta(days=2), **analysed)
    closing = ReviewFactory(intent__comment__posted_at=almost_closed, **analysed)
    DirectMessageFactory(review__intent__comment__analyzed_at=now, next_attempt_at=old)
    unknown = DirectMessageFactory(
        review__intent__comment__analyzed_at=now, state="unknown", next_attempt_at=None
    )
    paused = AccountFactory(name="paused", paused_until=now + timedelta(hours=1))
    DirectMessageFactory(review=closing, account=paused)
    olga = UserFactory(username="olga")
    for _ in range(20):
        ReviewFactory(status="rejected", decided_at=now, decided_by=olga, **analysed)
    guess_passwords(system)

    waiting = {
        "pagerduty": (
            "SchedulerSilent",
            "ModelSilent",
            "MessagesOverdue",
            "MessagesExpiring",
            "AccountPaused",
        ),
        "slack": (
            "TargetDown",
            "CommentQueueBacklog",
            "MonitorsDegraded",
            "ReviewsClosing",
            "MessagesUnknown",
            "ModelPrecisionLow",
        ),
        "email": ("CommentsParked", "ReviewsOld", "LoginsRefused"),
    }
    system.wait_until_told(waiting)
    slack = {each.alert for each in system.inbox.told if each.receiver == "slack"}
    assert not slack & {"MessagesOverdue", "AccountPaused"}, "the graver one was told already"

    # Now it is all seen to.
    AnalysisFailure.objects.all().delete()
    Monitor.objects.update(status="active")
    outbox.settle(unknown.pk, delivered=True, by="olga")
    pacing.resume(paused, "olga")
    last_week = now - timedelta(days=8)
    Review.objects.update(status="rejected", decided_at=last_week, decided_by=olga)
    with system.worker(), system.beat():
        system.wait_until_told(waiting, firing=False)
    assert not Comment.objects.filter(analyzed_at=None).exists()


def test_what_goes_wrong_is_told_to_who_should_know_until_it_goes_well(system):
    CampaignFactory(auto_threshold=60)
    WebhookEndpoint.objects.create(name="crm", url="http://127.0.0.1:9/hear")
    dead_token, refused = {"status": 401, "code": 190}, {"status": 400, "code": 10903}
    for times, error in ((1, dead_token), (1000, refused)):
        system.platform.post("/faults", json={"times": times, "error": error}).raise_for_status()
    with system.worker(), system.beat():
        # of what a counter is first seen at, nobody knows how much is new
        counter = 'account_pauses_total{component="worker", kind="needs_action"}'
        eventually(lambda: query(system.prometheus, counter), "a scraped worker", PATIENCE)
        for number in range(5):
            system.asks(f"post-{number}")
        system.wait_until_told({"pagerduty": ("AccountRestricted",)})
        pacing.resume(Account.objects.get(), "olga")
        system.process("broken", "so nice", *[""] * 50)  # an empty text is refused
        for _ in range(2):
            system.process("twice", *["so nice"] * 50)
        wrong = {
            "pagerduty": ("AccountRestricted", "CommentProcessingErrors", "MessagesNotSent"),
            "slack": ("MessagesFailing", "WebhookDeliveriesFailing"),
            "email": ("CommentDuplicateRate",),
        }
        system.wait_until_told(wrong)

        system.platform.delete("/faults").raise_for_status()
        system.asks("another")
        system.wait_until_told(wrong, firing=False)
        assert DirectMessage.objects.filter(state="sent").count() == 1


def test_what_follows_from_a_service_that_is_away_is_not_told(
    tmp_path, prometheus_path, alertmanager_path, transactional_db
):
    with ExitStack() as stack:
        env, gates = {}, []
        for name, url in (
            ("DATABASE_URL", database_url()),
            ("REDIS_URL", os.environ["REDIS_URL"]),
            ("CELERY_BROKER_URL", os.environ["CELERY_BROKER_URL"]),
        ):
            server, port = urlsplit(url), free_port()
            way = (str(port), f"{server.hostname}:{server.port}")
            env[name] = url.replace(f":{server.port}/", f":{port}/")
            gates.append(lambda name=name, way=way: process(tmp_path / f"{name}.log", GATE, *way))
        opened = stack.enter_context(ExitStack())
        for gate in gates:
            opened.enter_context(gate())
        system = stack.enter_context(watched(tmp_path, prometheus_path, alertmanager_path, **env))
        opened.close()

        away: dict[str, tuple[str, ...]] = {
            "pagerduty": ("DatabaseUnreachable", "BrokerUnreachable"),
            "slack": ("CacheUnreachable",),
        }
        system.wait_until_told(away)
        eventually(lambda: fails(system) and is_firing(system, "HttpErrors"), "HttpErrors")

        for gate in gates:
            stack.enter_context(gate())
        system.wait_until_told(away, firing=False)
        assert "HttpErrors" not in {each.alert for each in system.inbox.told}
        assert system.web.get("/health").json()["status"] == "ok"


def fails(system: Watched) -> bool:
    """Somebody calls, and it goes wrong."""
    return system.web.get("/comments").is_server_error


def is_firing(system: Watched, name: str) -> bool:
    """Whether the alert fires, told or not."""
    return bool(query(system.prometheus, f'ALERTS{{alertname="{name}", alertstate="firing"}}'))


def test_no_panel_is_empty_and_no_name_is_made_up(system):
    MonitorFactory(post_id="watched")
    CampaignFactory(auto_threshold=60)
    AccountFactory()
    now, olga = timezone.now(), UserFactory(username="olga")
    for _ in range(20):  # so many that the precision can be told
        ReviewFactory(
            intent__comment__analyzed_at=now,
            status="approved",
            decided_at=now,
            decided_by=olga,
        )
    later = {"next_attempt_at": now + timedelta(hours=1)}
    DirectMessageFactory(review__intent__comment__analyzed_at=now, **later)
    cache = get_redis_connection("default")
    cache.config_set("maxmemory", "1gb")
    try:
        with scores_of_two_days(), system.worker(), system.beat():
            system.asks("post")
            system.process("busy", *["so nice"] * 50)
            log = system.folder / "worker.log"
            sent = DirectMessage.objects.filter(state="sent")
            eventually(sent.first, "a message is sent", PATIENCE, log=log)
            eventually(lambda: not unknown_names(system), "all names", PATIENCE)
            eventually(lambda: not empty_panels(system), "data in all panels", PATIENCE)
    finally:
        cache.config_set("maxmemory", "0")


@contextmanager
def scores_of_two_days() -> Iterator[None]:
    """So many results of today and of an earlier day that a drift can be told."""
    now = timezone.now()
    earlier = now - timedelta(days=3)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE intents_earlier PARTITION OF intents_intentresult"
            " FOR VALUES FROM (%s) TO (%s)",
            [first_id(earlier.date()), first_id(now.date() - timedelta(days=2))],
        )
    said = {"label": "other", "confidence": 0.5, "band": "ignore", "model_version": "test"}
    try:
        for moment in (earlier, now + timedelta(hours=1)):  # with ids that no comment has
            IntentResult.objects.bulk_create(
                IntentResult(comment_id=id_at(moment) + number, score=number % 40, **said)
                for number in range(600)
            )
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE intents_earlier")


def unknown_names(system: Watched) -> set[str]:
    """The metrics that rules and dashboards ask for and that no scrape has brought."""
    expressions = [rule["expr"] for rule in alerts()]
    expressions += [query for panel in panels().values() for query in queries(panel, WINDOW)]
    asked = {name for expression in expressions for name in metric_names(expression)}
    if memory_limit() is None:
        asked.discard("process_memory_limit_bytes")  # of this machine
    answer = system.prometheus.get("/api/v1/label/__name__/values")
    return asked - set(answer.raise_for_status().json()["data"])


def empty_panels(system: Watched) -> list[str]:
    """The expressions of panels that have no answer."""
    return [
        f"{title}: {expression}"
        for title, panel in panels().items()
        for expression in queries(panel, WINDOW)
        if not query(system.prometheus, expression)
        and not (memory_limit() is None and "process_memory_limit_bytes" in expression)
    ]
