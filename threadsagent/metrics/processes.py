"""What the processes of a service count, and what they use: the part of `/metrics` without rows.

Each process has files of its own in `PROMETHEUS_MULTIPROC_DIR`, named by its number, and a scrape
adds them up. Processes come and go, so the files of those that are gone are folded into one: what
they counted stays, and there are never many more files than processes.

Knows no Django: gunicorn's parent, which has none, imports it too.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
from prometheus_client import (
    PROCESS_COLLECTOR,
    REGISTRY,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
ADDED_UP = ("counter", "histogram", "summary")  # the kinds of files that can be folded
FOLDED = "0"  # the number of no process
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
CPU_LIMITS = (  # files that say how many microseconds, and of how many
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
NO_LIMIT = 2**60  # what an old cgroup says where there is none

PARENT = os.getpid()
"""gunicorn's, the worker's or beat's first process: children are forked when this is imported."""

disable_created_metrics()  # files have no such samples
REGISTRY.unregister(PROCESS_COLLECTOR)  # `Usage` is that of all processes


def text() -> bytes:
    """The metrics of this service's processes in Prometheus' text format."""
    usage = CollectorRegistry()
    usage.register(Usage())
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(usage)
    counted = CollectorRegistry()
    MultiProcessCollector(counted)
    with _locked(fcntl.LOCK_SH):
        return generate_latest(counted) + generate_latest(usage)


def fold_dead() -> None:
    """Fold the files of processes that are gone. While somebody reads them it is left for later,
    so that no event loop ever waits here.

    Only first processes do this. One that is killed in the moment between the folded file and the
    end of those that are in it leaves counts that are there twice, until its folder is empty again.
    """
    if FOLDER not in os.environ:
        return
    with contextlib.suppress(BlockingIOError), _locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
        _fold_all(Path(os.environ[FOLDER]))


def _fold_all(folder: Path) -> None:
    for kind in ADDED_UP:
        dead = [path for path in folder.glob(f"{kind}_*.db") if not _is_alive(_number(path))]
        if dead:
            _fold(dead, folder / f"{kind}_{FOLDED}.db")
    for number in {_number(path) for path in folder.glob("gauge_live*.db")}:
        if not _is_alive(number):
            mark_process_dead(int(number))


def _fold(dead: list[Path], into: Path) -> None:
    sources = [str(path) for path in (*dead, into) if path.exists()]
    merged = into.with_suffix(".new")
    merged.unlink(missing_ok=True)
    values = MmapedDict(str(merged))
    for metric in MultiProcessCollector.merge(sources, accumulate=False):
        for name, labels, value, *_ in metric.samples:
            key = mmap_key(
                metric.name, name, list(labels), list(labels.values()), metric.documentation
            )
            values.write_value(key, value, 0.0)
    values.close()
    merged.replace(into)
    for path in dead:
        path.unlink()


def _number(path: Path) -> str:
    return path.stem.rpartition("_")[2]


def _is_alive(number: str) -> bool:
    return number == FOLDED or psutil.pid_exists(int(number))


@contextlib.contextmanager
def _locked(how: int) -> Iterator[None]:
    """Scrapes share the folder, and a fold has it alone: it would be counted twice, or missed."""
    descriptor = os.open(os.environ[FOLDER], os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        # To close it is not enough: a child that was forked meanwhile has it too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


class Usage(Collector):
    """Memory and processor time of `PARENT` and its children, under the standard names."""

    def collect(self) -> Iterator[Metric]:
        """Measured now; what a child used that is gone is in its parent's times."""
        memory, seconds = 0, 0.0
        parent = psutil.Process(PARENT)
        for process in (parent, *parent.children(recursive=True)):
            try:
                used = process.memory_full_info()
                memory += getattr(used, "pss", used.rss)  # an odd kernel does not say the former
                seconds += sum(process.cpu_times()[:4])
            except psutil.NoSuchProcess:  # meanwhile
                continue
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Memory of all processes of the service; what they share counts once",
            value=memory,
        )
        yield CounterMetricFamily(
            "process_cpu_seconds_total",
            "Processor time of all processes of the service, those that are gone included",
            value=seconds,
        )
        yield GaugeMetricFamily(
            "process_start_time_seconds",
            "When the service's first process began, in seconds since 1970",
            value=parent.create_time(),
        )
        yield GaugeMetricFamily(
            "process_cpu_limit_cores",
            "Cores whose time the container may use; all that there are, where it has no limit",
            value=cpu_limit(),
        )
        limit = memory_limit()
        if limit is not None:
            yield GaugeMetricFamily(
                "process_memory_limit_bytes", "What the container may use", value=limit
            )


def memory_limit() -> int | None:
    """The container's limit of memory; None where there is none."""
    for path in map(Path, LIMITS):
        if path.exists():
            said = path.read_text().strip()
            return int(said) if said != "max" and int(said) < NO_LIMIT else None
    return None


def cpu_limit() -> float:
    """The cores whose time the container may use; without a limit, those that there are."""
    for paths in CPU_LIMITS:
        if all(Path(path).exists() for path in paths):
            quota, period = " ".join(Path(path).read_text() for path in paths).split()
            if quota not in ("max", "-1"):
                return int(quota) / int(period)
    return len(os.sched_getaffinity(0))
