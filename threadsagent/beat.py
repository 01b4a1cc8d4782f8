"""Beat's scheduler: Celery's own, which also says when it looked last."""

from typing import Any

from celery.beat import PersistentScheduler
from celery.signals import beat_init
from prometheus_client import Gauge

from threadsagent.metrics import processes, server

# Only beat imports this, so no other process has the sample.
LAST_TICK = Gauge(
    "celery_beat_last_tick_timestamp_seconds",
    "When beat last looked what is due, in seconds since 1970",
    multiprocess_mode="livemax",
)


class Scheduler(PersistentScheduler):
    """The schedule, in a file; beat is alive while it ticks."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Have done what is due; the seconds until the next time."""
        LAST_TICK.set_to_current_time()
        server.pulse.turned()
        return super().tick(*args, **kwargs)


@beat_init.connect
def begin(**_: object) -> None:
    """Beat serves its metrics where it is told to, and forgets those who were before it."""
    processes.fold_dead()
    server.start()
