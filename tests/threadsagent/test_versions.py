"""`/api/v1/…` and the spec's paths without a version are the same calls."""

import pytest

from comments.models import Comment
from tests.factories import CommentFactory, MonitorFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(api_of):
    return api_of(
        *("comments.view_comment", "comments.add_comment"),
        *("comments.view_monitor", "comments.change_monitor"),
        "dmtrigger.erase_person",
    )


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_a_call_is_there_with_and_without_the_version(api, prefix):
    item = {"id": "c1", "text": "?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}
    batch = {"post_id": "p1", "comments": [item]}
    answer = api.post(f"{prefix}/comments/process", batch, format="json")
    assert (answer.status_code, answer.json()["stored_count"]) == (200, 1)
    key = Comment.objects.get().pk
    assert api.get(f"{prefix}/comments/{key}").json()["author"] == "ada"
    task_id = MonitorFactory().task_id
    assert api.delete(f"{prefix}/comments/monitor/{task_id}").json()["status"] == "stopped"
    assert len(api.get(f"{prefix}/people/fake_platform/ada/data").json()["comments"]) == 1


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_the_next_page_is_on_the_path_that_was_called(api, prefix):
    CommentFactory.create_batch(2)
    page = api.get(f"{prefix}/comments?limit=1").json()
    assert page["next"].startswith(f"http://testserver{prefix}/comments?")
    back = api.get(page["next"]).json()["previous"]
    assert back.startswith(f"http://testserver{prefix}/comments?")


def test_a_post_has_one_limit_on_both_paths(api_of, settings):
    settings.RATE_LIMIT_PER_MINUTE = 1
    batch = {"post_id": "p1", "comments": []}
    for path, status in (("/comments/process", 200), ("/api/v1/comments/process", 429)):
        answer = api_of("comments.add_comment").post(path, batch, format="json")
        assert answer.status_code == status
    assert answer.json()["detail"].startswith("This post had")
