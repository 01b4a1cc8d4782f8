"""The Celery application; each app's tasks are in its `tasks.py`."""

import logging.config
import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import (
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
)

from threadsagent import tracing
from threadsagent.metrics import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "threadsagent.settings")

TICK_SECONDS = 5.0

app = Celery("threadsagent")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def use_django_logging(**_: Any) -> None:
    """Worker and beat write the same JSON lines as the web process."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@worker_process_init.connect
def start_tracing(**_: Any) -> None:
    tracing.start("worker")


@task_prerun.connect
@task_postrun.connect
def keep_good_connections(**_: Any) -> None:
    """Close database connections that are broken or old, as Django does around a request.

    Celery itself would close all of them after each task (see CELERY_DB_REUSE_MAX), and to connect
    takes longer than most of our tasks.
    """
    from django.db import close_old_connections

    close_old_connections()


@worker_init.connect
def serve_metrics(**_: Any) -> None:
    """A worker serves its metrics where it is told to, from before it has a broker."""
    from threadsagent.metrics import server

    processes.fold_dead()
    server.start()


@worker_process_init.connect
def leave_metrics_to_the_parent(**_: Any) -> None:
    """A child does not hold the parent's port."""
    from threadsagent.metrics import server

    server.let_go()


class Ticking(bootsteps.StartStopStep):
    """While the worker has a broker its loop turns, and says so; it also sweeps up after children
    that are gone, however they went."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer = None

    def start(self, consumer: Any) -> None:
        self.tick()
        self.timer = consumer.timer.call_repeatedly(TICK_SECONDS, self.tick)

    def stop(self, consumer: Any) -> None:
        from threadsagent.metrics import server

        server.pulse.rest()
        if self.timer is not None:
            self.timer.cancel()

    def tick(self) -> None:
        from threadsagent.metrics import server

        server.pulse.turned()
        processes.fold_dead()


app.steps["consumer"].add(Ticking)
