"""One comment's whole way, through the real processes: HTTP, PostgreSQL, RabbitMQ, Celery."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from django.utils import timezone
from knox.models import AuthToken

from comments.models import Comment
from dmtrigger import outbox
from dmtrigger.links import short_link
from dmtrigger.models import DirectMessage
from intents.models import Review
from tests.factories import CampaignFactory, CommentFactory, UserFactory
from tests.integration.processes import (
    beat_process,
    database_url,
    eventually,
    fake_platform_process,
    web_process,
    worker_process,
)

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@dataclass
class System:
    """Clients of the running system, and where its logs are."""

    web: httpx.Client  # as a superuser
    platform: httpx.Client
    logs: Path
    env: dict[str, str]

    def comment(self, post_id: str, text: str) -> dict[str, Any]:
        """Someone comments on the platform."""
        answer = self.platform.post(
            f"/posts/{quote(post_id, safe='')}/comments", json={"text": text, "author": "ada"}
        )
        return answer.raise_for_status().json()

    def ledger(self) -> list[dict[str, Any]]:
        """The messages that the platform has delivered."""
        return self.platform.get("/messages").json()["data"]

    def worker(self, name: str) -> Any:
        """A Celery worker for all queues."""
        return worker_process(self.logs / f"{name}.log", "-n", f"{name}@%h", **self.env)


@pytest.fixture
def system(tmp_path, rabbitmq_url, transactional_db) -> Iterator[System]:
    """Web process and fake platform on this test's database, with RabbitMQ; no worker yet."""
    _token, key = AuthToken.objects.create(UserFactory(username="root", is_superuser=True))
    with ExitStack() as stack:
        start = stack.enter_context
        platform = start(fake_platform_process(tmp_path))
        env = {
            "DATABASE_URL": database_url(),
            "CELERY_BROKER_URL": rabbitmq_url,
            "FAKE_PLATFORM_URL": platform,
        }
        web = start(web_process(tmp_path, **env))
        headers = {"Authorization": f"Token {key}"}
        yield System(
            web=start(httpx.Client(base_url=web, headers=headers, timeout=30)),
            platform=start(httpx.Client(base_url=platform)),
            logs=tmp_path,
            env=env,
        )


def beat(system: System) -> Any:
    env = system.env | {"SWEEP_SECONDS": "1", "POLL_SECONDS": "600"}
    return beat_process(system.logs, **env)


def test_a_comment_becomes_a_reviewed_intent_and_one_message(system):
    CampaignFactory()
    assert system.web.get("/health").json()["status"] == "ok"
    buyer = system.comment("p/1", "Where can I buy this? How much is shipping?")
    system.comment("p/1", "Bought it last week, love it so much!")

    answer = system.web.post("/comments/process", json={"post_id": "p/1"})
    assert answer.json()["stored_count"] == 2

    with system.worker("first"):
        log = system.logs / "first.log"
        review = eventually(lambda: Review.objects.first(), "a review", log=log)
        assert review.intent.comment.external_id == buyer["id"]
        assert not Comment.objects.filter(analyzed_at=None).exists()

        for _ in range(2):  # a nervous operator
            answer = system.web.post(f"/reviews/{review.pk}/approve")
            assert answer.json()["status"] == "approved"

        [message] = eventually(system.ledger, "a message in the platform's ledger", log=log)
        assert message["comment_id"] == buyer["id"]
        link = short_link(review.intent.comment_id)
        assert message["text"] == f"Hi ada: {link} (automated)"
        eventually(lambda: DirectMessage.objects.filter(state="sent").first(), "sent", log=log)
    assert DirectMessage.objects.get().platform_message_id == message["message_id"]
    assert len(system.ledger()) == 1


def test_what_a_killed_worker_was_at_is_done_by_the_next(system):
    CampaignFactory(auto_threshold=60)
    fault = {"times": 1, "hang_seconds": 60, "after_delivery": True}
    system.platform.post("/faults", json=fault).raise_for_status()
    system.comment("p1", "Where can I buy this? How much is shipping?")
    with system.worker("killed") as worker:
        system.web.post("/comments/process", json={"post_id": "p1"})
        eventually(system.ledger, "delivery", log=system.logs / "killed.log")
        os.killpg(worker.pid, signal.SIGKILL)  # the answer is still to come
    message = DirectMessage.objects.get()
    assert message.state == "sending"
    # time passes
    DirectMessage.objects.update(claimed_at=timezone.now() - outbox.STUCK_AFTER)
    assert outbox.rescue_stuck() == 1
    DirectMessage.objects.update(next_attempt_at=timezone.now())
    with system.worker("next"), beat(system):
        log = system.logs / "next.log"
        eventually(lambda: DirectMessage.objects.filter(state="sent").first(), "sent", log=log)
    assert len(system.ledger()) == 1


def test_comments_that_no_message_told_of_are_found_by_the_sweep(system):
    CommentFactory.create_batch(3)
    with system.worker("sweeper"), beat(system):
        log = system.logs / "sweeper.log"
        eventually(
            lambda: not Comment.objects.filter(analyzed_at=None).exists(), "analysed", log=log
        )
