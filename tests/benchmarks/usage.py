"""What processes use, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
# Fields of /proc/PID/stat, counted from the one after the command's name.
OWN_CPU, ENDED_CHILDRENS_CPU = slice(11, 13), slice(13, 15)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes and of those children that ended, in seconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[OWN_CPU] + fields[ENDED_CHILDRENS_CPU]))
    return ticks * TICK


def memory(pid: int, field: str) -> float:
    """VmRSS or VmHWM (the largest VmRSS so far) of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024 / 1e6
