"""The analysis task, and what wakes it."""

import pytest

from comments.ingest import ingest
from intents import tasks
from tests.factories import CommentFactory

ITEM = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}


@pytest.fixture
def woken(monkeypatch) -> list[str]:
    """The names of the tasks that were woken."""
    names: list[str] = []
    monkeypatch.setattr(tasks, "wake", lambda task: names.append(task.name))
    return names


@pytest.mark.django_db
def test_stored_comments_wake_the_analysis_once_a_batch(woken, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        ingest([ITEM, ITEM | {"id": "c2"}], source="fake_platform", post_id="p1")
    assert woken == ["analyze_comment_batch"]


@pytest.mark.django_db
def test_a_full_batch_wakes_another_worker_and_the_last_does_not(woken, settings):
    settings.COMMENT_BATCH_SIZE = 2
    CommentFactory.create_batch(3)
    assert tasks.analyze_comment_batch() == {"analyzed": 2}
    assert woken == ["analyze_comment_batch"]
    assert tasks.analyze_comment_batch() == {"analyzed": 1}
    assert woken == ["analyze_comment_batch"]
