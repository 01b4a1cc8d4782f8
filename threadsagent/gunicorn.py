"""How gunicorn runs the web process: `gunicorn threadsagent.wsgi -c threadsagent/gunicorn.py`."""

import os
from typing import Any

from prometheus_client import multiprocess

from threadsagent.settings import LOGGING

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 4
timeout = 60  # seconds; a batch of 10,000 comments takes well under one
max_requests = 10_000
max_requests_jitter = 1_000
accesslog = "-"
control_socket_disable = True  # it would lie in the home folder
logconfig_dict = LOGGING


def child_exit(server: Any, worker: Any) -> None:
    """A dead worker's live gauges leave the metrics; its counters stay."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)
