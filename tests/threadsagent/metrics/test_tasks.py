"""Our own tasks are counted by how they end."""

from celery import shared_task
from django.db import OperationalError
from prometheus_client import REGISTRY

from comments import partitions, polling
from comments.tasks import maintain_partitions, poll_monitors


def counted(task: str, outcome: str) -> float | None:
    labels = {"task": task, "outcome": outcome}
    return REGISTRY.get_sample_value("celery_tasks_total", labels)


def timed(task: str) -> float | None:
    return REGISTRY.get_sample_value("celery_task_duration_seconds_count", {"task": task})


def test_a_task_is_counted_by_how_it_ends_and_timed_in_any_case(monkeypatch):
    def fail() -> int:
        raise ValueError("a bug")

    name = "poll_monitors"
    before = counted(name, "success"), counted(name, "failure"), timed(name)
    monkeypatch.setattr(polling, "poll_monitors", lambda: 0)
    poll_monitors.apply()
    monkeypatch.setattr(polling, "poll_monitors", fail)
    poll_monitors.apply()
    after = counted(name, "success"), counted(name, "failure"), timed(name)
    moved = [new - old for new, old in zip(after, before, strict=True)]  # type: ignore[operator]
    assert moved == [1, 1, 2]


def test_one_that_is_tried_again_is_counted_as_that(monkeypatch):
    def fail() -> None:
        raise OperationalError("in use")

    monkeypatch.setattr(partitions, "ensure_partitions", fail)
    before = counted("maintain_partitions", "retry")
    maintain_partitions.apply()
    after = counted("maintain_partitions", "retry")
    assert after is not None
    assert after > (before or 0)


def test_tasks_of_others_are_not():
    @shared_task(name="somebody.elses")
    def other() -> None: ...

    other.apply()
    assert counted("somebody.elses", "success") is None
