"""Counts our own Celery tasks, and times them."""

import time
from importlib import import_module
from typing import Any

from celery import Task, current_app
from celery.signals import task_failure, task_postrun, task_prerun, task_retry, task_success
from prometheus_client import Counter, Histogram

from comments.gauges import APPS
from comments.metrics import WAKE_UPS

WOKEN = ("sent", "failed", "skipped")
OUTCOMES = ("success", "failure", "retry")
TOTAL = Counter("celery_tasks_total", "Tasks that ended, by how", ["task", "outcome"])
SECONDS = Histogram(
    "celery_task_duration_seconds",
    "Time that a task ran",
    ["task"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
_begun: dict[str, float] = {}


def connect() -> None:
    """Begin to count; each of our tasks is there from the start, with zero."""
    for app in APPS:
        import_module(f"{app}.tasks")
    for task in filter(_is_ours, current_app.tasks.values()):
        SECONDS.labels(task.name)
        for outcome in OUTCOMES:
            TOTAL.labels(task.name, outcome)
        for outcome in WOKEN:
            WAKE_UPS.labels(task.name, outcome)
    task_prerun.connect(_begins)
    task_postrun.connect(_ends)
    task_success.connect(_succeeded)
    task_failure.connect(_failed)
    task_retry.connect(_retried)


def _is_ours(task: "Task[Any, Any]") -> bool:
    return task.__module__.partition(".")[0] in APPS


def _begins(task_id: str, **_: Any) -> None:
    _begun[task_id] = time.perf_counter()


def _ends(task_id: str, task: "Task[Any, Any]", **_: Any) -> None:
    begun = _begun.pop(task_id, None)
    if begun is not None and _is_ours(task):
        SECONDS.labels(task.name).observe(time.perf_counter() - begun)


def _succeeded(sender: "Task[Any, Any]", **_: Any) -> None:
    _note(sender, "success")


def _failed(sender: "Task[Any, Any]", **_: Any) -> None:
    _note(sender, "failure")


def _retried(sender: "Task[Any, Any]", **_: Any) -> None:
    _note(sender, "retry")


def _note(task: "Task[Any, Any]", outcome: str) -> None:
    if _is_ours(task):
        TOTAL.labels(task.name, outcome).inc()
