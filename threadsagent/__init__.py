"""The project that wires the three apps: comments -> intents -> dmtrigger."""

from threadsagent.celery import app as celery_app

__all__ = ["celery_app"]
