"""The Celery application; each app's tasks are in its `tasks.py`."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun, worker_process_init

from threadsagent import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "threadsagent.settings")

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
