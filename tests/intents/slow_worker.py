"""The product's Celery application with a fake model, hanging at a place that a test names.

At `SLOW_AT`, a dotted name, it makes the file `REACHED` and sleeps.
"""

import os
import time
from pathlib import Path
from typing import Any

import django
from django.utils.module_loading import import_string

from threadsagent.celery import app

django.setup()

from intents import registry  # noqa: E402 - has models, which need the set-up
from tests.intents.fakes import FakeModel, active  # noqa: E402

__all__ = ["app"]


def hang(*_: Any) -> None:
    Path(os.environ["REACHED"]).touch()
    time.sleep(600)


owner, name = os.environ["SLOW_AT"].rsplit(".", 1)
setattr(import_string(owner), name, hang)
registry.active = lambda: active(FakeModel())
