"""What processes use, from /proc."""

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
# Fields of /proc/PID/stat, counted from the one after the command's name.
OWN_CPU, ENDED_CHILDRENS_CPU = slice(11, 13), slice(13, 15)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def cpu_seconds(parent: int) -> float:
    """User and system time of a process and its children, those that ended included, in seconds.

    What a child used that ends while we look is in its parent's account by then, which is
    therefore read last.
    """
    ticks = 0
    for pid in [*children(parent), parent]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            if pid == parent:
                raise
            continue
        ticks += sum(map(int, fields[OWN_CPU] + fields[ENDED_CHILDRENS_CPU]))
    return ticks * TICK


def memory(pid: int, field: str) -> float:
    """VmRSS or VmHWM (the largest VmRSS so far) of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024 / 1e6
