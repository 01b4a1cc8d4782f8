"""What the web process writes into its access log."""

from datetime import timedelta
from unittest import mock

import pytest
from gunicorn.glogging import Logger

from threadsagent.gunicorn import AccessLog


@pytest.mark.parametrize(
    ("path", "is_logged"),
    [
        ("/comments/process", True),
        ("/reviews", True),
        ("/r/AAAAAAAAAAAAAAAAAAAAAA", False),
        ("/o/AAAAAAAAAAAAAAAAAAAAAA", False),
        ("/health/live", False),
        ("/metrics", False),
    ],
)
def test_probes_and_peoples_links_are_not_logged(path, is_logged):
    log = object.__new__(AccessLog)
    with mock.patch.object(Logger, "access") as logged:
        log.access(mock.Mock(), mock.Mock(), {"PATH_INFO": path}, timedelta())
    assert logged.called is is_logged
