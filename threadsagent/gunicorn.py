"""How gunicorn runs the web process: `gunicorn threadsagent.wsgi -c threadsagent/gunicorn.py`."""

import os
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.http.wsgi import Response

from threadsagent.metrics import processes
from threadsagent.settings import LOGGING

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 3  # more of them wait for each other: a fourth answers no more requests, and fewer links
timeout = 60  # seconds; a batch of 10,000 comments takes well under one
max_requests = 10_000
max_requests_jitter = 1_000
accesslog = "-"
control_socket_disable = True  # it would lie in the home folder
logconfig_dict = LOGGING

UNLOGGED = ("/r/", "/o/", "/health", "/metrics")


class AccessLog(Logger):
    """Without probes, and without the links that people follow: these are counted elsewhere, and
    nobody's token belongs in a log."""

    def access(
        self,
        resp: Response,
        req: Request,
        environ: MutableMapping[str, Any],
        request_time: timedelta,
    ) -> None:
        if not environ["PATH_INFO"].startswith(UNLOGGED):
            super().access(resp, req, environ, request_time)


logger_class = AccessLog


def on_starting(server: Any) -> None:
    """What an earlier run left of its metrics is swept up."""
    processes.fold_dead()


def child_exit(server: Any, worker: Any) -> None:
    """What a dead worker counted stays in the metrics, and its files go."""
    processes.fold_dead()
