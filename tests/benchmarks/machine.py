"""What figures depend on besides the code."""

import os
import platform
import time
from pathlib import Path

from django_redis import get_redis_connection

from tests.benchmarks import database
from tests.benchmarks.figures import Value


def machine(*, quick: bool) -> dict[str, Value]:
    """The machine and the servers, to be told with the figures."""
    [(postgres, fsync)] = database.query(
        "SELECT current_setting('server_version'), current_setting('fsync')"
    )
    return {
        "quick": quick,
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "postgres": postgres,
        "postgres_fsync": fsync,
        "valkey": get_redis_connection("default").info()["valkey_version"],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
