"""Metrics are true: known traffic through real processes is counted as the rows and ledger say."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.utils import timezone
from knox.models import AuthToken
from prometheus_client.parser import text_string_to_metric_families

from comments.models import Comment
from dmtrigger.links import Purpose, token_of
from dmtrigger.models import Click, DirectMessage, Refusal
from intents.models import IntentResult, Review
from tests.factories import AccountFactory, CampaignFactory, MonitorFactory, UserFactory
from tests.integration.processes import (
    answers,
    beat_process,
    database_url,
    eventually,
    fake_platform_process,
    web_process,
    worker_process,
)
from tests.metric_names import declared
from threadsagent.embedded import free_port
from threadsagent.metrics.queries import OPERATIONS

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

WISH = "Where can I buy this? How much is shipping?"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"}
Samples = dict[str, float]
WHEN_IT_HAPPENS = {
    "intent_precision_7d": "below 20 decisions it would say nothing",
    "intent_score_drift": "below 500 results it would say nothing",
    "direct_messages_next_expiry_seconds": "only while a message waits",
    "comment_cache_memory_max_bytes": "only where Redis has a limit",
    "process_memory_limit_bytes": "only where the container has a limit",
}
"""Metrics that are not always there, and why."""


@dataclass
class System:
    """The running processes: those that serve metrics, their first processes, their logs."""

    web: httpx.Client  # as a superuser
    platform: httpx.Client
    scraped: dict[str, str]  # addresses by name
    pids: dict[str, int]
    folders: dict[str, Path]
    logs: Path

    def scrape(self, name: str) -> Samples:
        """Every sample of one; those with labels as `name{value,…}`, by the labels' names."""
        answer = httpx.get(
            f"{self.scraped[name]}/metrics", headers={"Authorization": "Bearer scraper"}, timeout=30
        )
        assert answer.status_code == 200, answer.text
        samples = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                labels = ",".join(value for _name, value in sorted(sample.labels.items()))
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return samples

    def added_up(self) -> Samples:
        """The samples of all, added up, as `sum()` does it."""
        total: Counter[str] = Counter()
        for name in self.scraped:
            total.update(self.scrape(name))
        return dict(total)

    def kill_a_child(self, name: str) -> None:
        """SIGKILL to one of the processes that do the work; wait until there is another."""
        parent = psutil.Process(self.pids[name])
        before = {child.pid for child in parent.children()}
        os.kill(min(before), signal.SIGKILL)

        def replaced() -> bool:
            now = {child.pid for child in parent.children()}
            return min(before) not in now and len(now) == len(before)

        eventually(replaced, f"another child of {name}")

    def comment(self, post_id: str, author: str, text: str = WISH) -> None:
        """Someone comments on the platform."""
        said = {"text": text, "author": author}
        self.platform.post(f"/posts/{post_id}/comments", json=said).raise_for_status()

    def ledger(self) -> list[dict[str, Any]]:
        """The messages that the platform has delivered."""
        return self.platform.get("/messages").json()["data"]


@pytest.fixture
def system(tmp_path, rabbitmq_url, transactional_db) -> Iterator[System]:
    """Two web processes, three children of a worker, beat, RabbitMQ, and the fake platform."""
    _token, key = AuthToken.objects.create(UserFactory(username="root", is_superuser=True))
    with ExitStack() as stack:
        start = stack.enter_context
        platform = start(fake_platform_process(tmp_path))
        env = {
            "DATABASE_URL": database_url(),
            "CELERY_BROKER_URL": rabbitmq_url,
            "FAKE_PLATFORM_URL": platform,
            "METRICS_TOKEN": "scraper",
            "GRACE_SECONDS": "0",
            "SWEEP_SECONDS": "1",
            "POLL_SECONDS": "600",
        }
        folders = {name: tmp_path / f"metrics-{name}" for name in ("web", "worker", "beat")}
        ports = {name: str(free_port()) for name in ("worker", "beat")}

        def of(name: str) -> dict[str, str]:
            folder = str(folders[name])
            return env | {"METRICS_PORT": ports[name], "PROMETHEUS_MULTIPROC_DIR": folder}

        recycled = ("--max-tasks-per-child", "50")
        worker = worker_process(tmp_path / "worker.log", *recycled, children="3", **of("worker"))
        beat = beat_process(tmp_path, **of("beat"))
        pids = {"worker": start(worker).pid, "beat": start(beat).pid}
        scraped = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        scraped["web"] = start(
            web_process(
                tmp_path, PROMETHEUS_MULTIPROC_DIR=str(folders["web"]), **env, WEB_CONCURRENCY="2"
            )
        )
        pids["web"] = _parent_of_web(scraped["web"])
        for name, address in scraped.items():
            log = tmp_path / f"{name}.log"
            eventually(lambda url=address: answers(f"{url}/health/live"), name, log=log)  # type: ignore[misc]
        headers = {"Authorization": f"Token {key}"}
        yield System(
            web=start(httpx.Client(base_url=scraped["web"], headers=headers, timeout=30)),
            platform=start(httpx.Client(base_url=platform)),
            scraped=scraped,
            pids=pids,
            folders=folders,
            logs=tmp_path,
        )


def _parent_of_web(address: str) -> int:
    """gunicorn's first process, which is a child of this one and listens there."""
    port = int(address.rpartition(":")[2])
    for child in psutil.Process().children():
        listening = [c.laddr.port for c in child.net_connections() if c.status == "LISTEN"]
        if port in listening:
            return child.pid
    raise AssertionError(f"nobody listens at {address}")


def fetch(system: System, post_id: str) -> dict[str, Any]:
    return system.web.post("/comments/process", json={"post_id": post_id}).raise_for_status().json()


def push(system: System, post_id: str, *items: dict[str, str]) -> None:
    """A batch that brings its comments; some of them may be refused."""
    answer = system.web.post("/comments/process", json={"post_id": post_id, "comments": items})
    assert answer.status_code in (200, 207, 400, 422), answer.text


def analysed(system: System) -> None:
    waiting = Comment.objects.filter(analyzed_at=None)
    log = system.logs / "worker.log"
    eventually(lambda: not waiting.exists(), "everything is analysed", log=log)


def review_of(author: str) -> int:
    return Review.objects.get(intent__comment__author=author, status="pending").pk


def decide(system: System, author: str, what: str) -> httpx.Response:
    return system.web.post(f"/reviews/{review_of(author)}/{what}", json={})


def settled(system: System) -> None:
    under_way = DirectMessage.objects.filter(state__in=("pending", "sending"))
    log = system.logs / "worker.log"
    eventually(lambda: not under_way.exists(), "no message is under way", log=log)


def click(system: System, author: str, **headers: str) -> None:
    message = DirectMessage.objects.get(recipient=author)
    address = f"{system.scraped['web']}/r/{token_of(message.comment_id)}"
    assert httpx.get(address, headers=headers).status_code == 302


def opt_out(system: System, author: str) -> None:
    message = DirectMessage.objects.get(recipient=author)
    path = f"/o/{token_of(message.comment_id, Purpose.OPT_OUT)}"
    answer = httpx.post(
        f"{system.scraped['web']}{path}",
        data={"for": "always", "csrfmiddlewaretoken": "a" * 32},
        headers={"Cookie": f"csrftoken={'a' * 32}"},
    )
    assert answer.status_code == 200


def item(number: int, author: str = "zoe", text: str = "Nice!") -> dict[str, str]:
    at = timezone.now().isoformat()
    return {"id": f"pushed-{number}", "text": text, "author": author, "timestamp": at}


def expected(system: System) -> Samples:
    """What the rows and the platform's ledger say; where they can't, what the test has done."""
    labels = Counter(IntentResult.objects.values_list("label", flat=True))
    decided = Counter(
        ("operator" if user else "campaign", status)
        for user, status in Review.objects.values_list("decided_by", "status")
        if status != "pending"
    )
    refused = Counter(Refusal.objects.values_list("rule", flat=True))
    states = Counter(DirectMessage.objects.values_list("state", flat=True))
    delivered = len(system.ledger())
    stored = Comment.objects.count()
    return {
        "comments_stored_total": stored,
        "intent_reviews_flagged_total": Review.objects.count(),
        "comment_to_message_seconds_count": delivered,
        "direct_messages_total{sent}": delivered,
        "direct_messages_total{failed}": states["failed"],
        "direct_messages_total{pending}": sum(states.values()),
        "direct_messages_total{sending}": sum(states.values()),
        **{f"direct_messages_refused_total{{{rule}}}": count for rule, count in refused.items()},
        "link_clicks_total{person}": Click.objects.filter(is_bot=False).count(),
        "link_clicks_total{bot}": Click.objects.filter(is_bot=True).count(),
        "link_clicks_lost_total": 0,
        **{f"intent_analyzed_total{{{label}}}": count for label, count in labels.items()},
        **{
            f"intent_review_decisions_total{{{by},{status}}}": count
            for (by, status), count in decided.items()
        },
        # read from the rows, by the web process
        "comment_processing_queue_length": 0,
        "comment_processing_queue_depth_seconds": 0,
        "intent_reviews_pending": Review.objects.filter(status="pending").count(),
        "intent_analysis_parked": 0,
        "direct_messages_overdue_seconds": 0,
        **{f"direct_messages_in_state{{{state}}}": count for state, count in states.items()},
        "monitors_in_status{stopped}": 1,
        "monitors_in_status{active}": 0,
        "account_paused{fake_platform}": 0,
        "account_limit_used_ratio{fake_platform}": delivered / 100,
        **{f"service_reachable{{{name}}}": 1 for name in ("database", "cache", "broker")},
        "model_active{champion}": 1,
    }


def agree(system: System, others: Samples) -> None:
    """The metrics say what the rows do, soon: some are counted right after the commit, or kept for
    some seconds."""
    differ: dict[str, tuple[float, float | None]] = {}

    def same() -> bool:
        wanted, said = expected(system) | others, system.added_up()
        differ.clear()
        differ.update(
            {
                name: (value, said.get(name))
                for name, value in wanted.items()
                if said.get(name) != pytest.approx(value)
            }
        )
        return not differ

    try:
        eventually(same, "metrics that are true", seconds=30)
    except AssertionError:
        raise AssertionError(f"(expected, said): {differ}") from None


def test_metrics_say_what_the_rows_and_the_ledger_say(system):
    CampaignFactory()
    MonitorFactory(status="stopped")
    for author in ("ada", "bea", "cleo", "dan"):
        system.comment("p1", author)
    system.comment("p1", "eve", "Bought it last week, love it so much!")
    assert fetch(system, "p1")["stored_count"] == 5
    assert fetch(system, "p1")["duplicates_filtered"] == 5
    push(system, "p2", item(1), item(1), item(2) | {"text": ""}, item(3))
    came_in: Samples = {
        "comment_processing_attempts_total": 14,
        "comment_processing_success_total": 13,
        "comment_duplicates_detected_total": 6,
        "comment_processing_errors_total{validation}": 1,
        "comment_processing_duration_seconds_count": 3,
        "comment_processing_stage_duration_seconds_count{fetch}": 2,
        "comment_processing_stage_duration_seconds_count{decode}": 3,
        "comment_processing_stage_duration_seconds_count{dedupe}": 3,
        "comment_processing_stage_duration_seconds_count{store}": 2,
        "comment_processing_stage_duration_seconds_count{queue}": 2,
        "comment_deduplication_cache_hits_total": 5,
    }
    analysed(system)
    assert decide(system, "ada", "approve").status_code == 200
    assert decide(system, "cleo", "reject").status_code == 200
    settled(system)
    no_such_user = {"status": 400, "code": 100, "error_subcode": 2534014, "message": "gone"}
    system.platform.post("/faults", json={"times": 1, "error": no_such_user}).raise_for_status()
    assert decide(system, "dan", "approve").status_code == 200
    settled(system)
    for _ in range(2):
        click(system, "ada", **BROWSER)
    click(system, "ada", **{"User-Agent": "facebookexternalhit/1.1"})
    eventually(lambda: Click.objects.count() == 3, "the clicks are stored")
    agree(system, came_in)

    for name in ("worker", "web"):
        system.kill_a_child(name)
    agree(system, came_in)

    assert decide(system, "bea", "approve").status_code == 200
    settled(system)
    opt_out(system, "ada")
    system.comment("p3", "ada", f"{WISH} I would take two.")
    assert fetch(system, "p3")["stored_count"] == 1
    analysed(system)
    assert Review.objects.get(status="rejected", decided_by=None)  # by the rule that heeds her wish
    assert Refusal.objects.filter(rule="opted_out").exists()
    click(system, "bea", **BROWSER)
    eventually(lambda: Click.objects.count() == 4, "the click is stored")
    system.kill_a_child("worker")
    came_in["comment_processing_attempts_total"] += 1
    came_in["comment_processing_success_total"] += 1
    for stage in ("fetch", "decode", "dedupe", "store", "queue"):
        came_in[f"comment_processing_stage_duration_seconds_count{{{stage}}}"] += 1
    came_in["comment_processing_duration_seconds_count"] += 1
    agree(system, came_in)
    assert len(system.ledger()) == 2
    _hang_together(system)
    eventually(lambda: _few_files(system), "files of dead children are folded")


def _hang_together(system: System) -> None:
    """What has no row of its own agrees with what else is counted of it."""
    said = system.added_up()
    for operation in OPERATIONS:
        begun = said[f"comment_db_operations_total{{{operation}}}"]
        timed = said[f"comment_db_query_duration_seconds_count{{{operation}}}"]
        assert 0 <= begun - timed < 20, operation  # some are under way, or ended with their process
    assert said["comment_db_operations_total{insert}"] > Comment.objects.count()
    worker = system.scrape("worker")
    assert worker["celery_tasks_total{success,analyze_comment_batch}"] > 3
    assert worker["celery_tasks_total{success,store_clicks}"] > 0
    for name in ("worker", "web"):
        assert system.scrape(name)["process_resident_memory_bytes"] > 50e6, name


def _few_files(system: System) -> bool:
    """Three at most of each child and of the parent, and the folded ones."""
    return len(list(system.folders["worker"].glob("*.db"))) <= 3 * (3 + 1) + 3


def test_each_metric_is_there_from_the_start(system):
    AccountFactory()

    def missing() -> set[str]:
        said = {name.partition("{")[0] for name in system.added_up()}
        return {
            name
            for name, kind in declared().items()
            if name + ("_count" if kind == "histogram" else "") not in said
        }

    eventually(lambda: missing() <= set(WHEN_IT_HAPPENS), "all metrics")
    assert "celery_beat_last_tick_timestamp_seconds" in system.scrape("beat")
    assert "model_active{champion}" in system.scrape("worker")
    assert "comment_processing_queue_length" not in system.scrape("worker")


def test_a_worker_that_waits_for_its_broker_is_alive(tmp_path):
    port = str(free_port())
    env = {
        "METRICS_PORT": port,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "CELERY_BROKER_URL": "redis://127.0.0.1:9/1",  # nobody answers there
    }
    log = tmp_path / "worker.log"
    with worker_process(log, queues="send", **env):
        eventually(lambda: "Trying again" in log.read_text(), "it misses its broker", log=log)
        assert answers(f"http://127.0.0.1:{port}/health/live")
