"""A client that is generated from the OpenAPI document does an integrator's work."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import run
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission
from knox.models import AuthToken

from tests.factories import CampaignFactory, ReviewFactory, UserFactory
from tests.integration.processes import web_process

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

MAY = ("add_comment", "view_comment", "view_review", "decide_review", "view_directmessage")


@pytest.fixture
def client(tmp_path, transactional_db, monkeypatch) -> Iterator[ModuleType]:
    """The client's package, generated as docs/api.md says and set up for the running server."""
    user = UserFactory()
    user.user_permissions.set(Permission.objects.filter(codename__in=MAY))
    _token, key = AuthToken.objects.create(user)
    with web_process(tmp_path, RATE_LIMIT_PER_MINUTE="20") as url:
        generator = Path(sys.executable).with_name("openapi-generator-cli")
        command = [str(generator), "generate", "-g", "python"]
        command += ["-i", f"{url}/api/schema", "-a", f"Authorization:Token%20{key}"]
        command += ["-o", str(tmp_path / "client"), "--package-name", "threadsagent_client"]
        done = run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        monkeypatch.syspath_prepend(tmp_path / "client")
        package = importlib.import_module("threadsagent_client")
        token = {"api_key": {"knoxApiToken": key}, "api_key_prefix": {"knoxApiToken": "Token"}}
        # without retries: otherwise it waits by itself for as long as Retry-After says
        configuration = package.Configuration(host=url, retries=0, **token)
        package.ApiClient.set_default(package.ApiClient(configuration))
        yield package


def test_a_generated_client_works_from_the_comment_to_the_message(client):
    CampaignFactory()
    waiting = ReviewFactory(intent__comment__post_id="p1")
    comments = client.CommentsApi()
    batch = [
        client.Item(id=f"c{n}", text="?", author="ada", timestamp="2024-01-25T10:30:00Z")
        for n in range(5)
    ]
    report = comments.comments_process_create(
        client.ProcessRequest(post_id="p2", comments=[*batch, batch[0]])
    )
    assert (report.status, report.stored_count, report.duplicates_filtered) == ("success", 5, 1)

    read, cursor = [], None
    while True:
        page = comments.comments_list(post_id="p2", limit=2, ordering="oldest", cursor=cursor)
        read += [comment.external_id for comment in page.results]
        if page.next is None:
            break
        [cursor] = parse_qs(urlsplit(page.next).query)["cursor"]
    assert read == ["c0", "c1", "c2", "c3", "c4"]

    reviews = client.ReviewsApi()
    [review] = reviews.reviews_list().results
    assert review.intent.comment.id == waiting.intent_id
    said = client.Decision(note="surely", corrected_label="purchase_intent")
    decided = reviews.reviews_approve_create(review.id, idempotency_key="1", decision=said)
    assert (decided.status, decided.note) == ("approved", "surely")

    [message] = client.MessagesApi().messages_list(post_id="p1").results
    assert (message.state, message.events[0].state) == ("pending", "pending")


def again_and_again(call: Callable[[], object]) -> None:
    while True:
        call()


def test_a_generated_client_understands_what_is_refused(client):
    review = ReviewFactory()
    reviews = client.ReviewsApi()
    with pytest.raises(client.exceptions.BadRequestException) as refused:
        reviews.reviews_approve_create(review.pk, decision=client.Decision(corrected_label="spam"))
    problem = client.Problem.from_json(refused.value.body)
    assert (problem.status, problem.errors[0].var_field) == (400, "corrected_label")

    with pytest.raises(client.ApiException) as limited:
        again_and_again(lambda: reviews.reviews_retrieve(review.pk))
    assert limited.value.status == 429
    assert int(limited.value.headers["Retry-After"]) > 0
    assert client.Problem.from_json(limited.value.body).detail.startswith("This client had its")
