"""The Celery application; each app's tasks are in its `tasks.py`."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "threadsagent.settings")

app = Celery("threadsagent")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def use_django_logging(**_: Any) -> None:
    """Worker and beat write the same JSON lines as the web process."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
