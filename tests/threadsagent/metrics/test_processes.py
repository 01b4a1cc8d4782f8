"""What processes counted is added up, also when they are gone, and once each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.processes import ROOT
from threadsagent.metrics import processes

# Counting into files has to be chosen before the library is imported, so that is another process.
BEGIN = """
import os, sys
from prometheus_client import Counter, Gauge, Histogram
from threadsagent.metrics import processes
things = Counter("things", "Things", ["kind"])
times = Histogram("times", "Times", buckets=(1, 5))
state = Gauge("state", "State", multiprocess_mode="livemin")

def child():
    if os.fork() == 0:
        things.labels("a").inc()
        times.observe(3)
        state.set(7)
        os._exit(0)
    os.wait()

def samples():
    text = processes.text().decode()
    return [line for line in text.splitlines() if line.startswith(("things", "times", "state"))]
"""


def run(folder: Path, script: str) -> None:
    """Run the script; it fails with an assertion of its own."""
    subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        env=os.environ | {processes.FOLDER: str(folder)},
        cwd=ROOT,
        check=True,
        timeout=120,
    )


def test_what_dead_processes_counted_stays_in_a_few_files(tmp_path):
    run(
        tmp_path,
        """
for _ in range(20):
    child()
    processes.fold_dead()
there = samples()
assert 'things_total{kind="a"} 20.0' in there, there
assert 'times_bucket{le="1.0"} 0.0' in there, there
assert 'times_bucket{le="5.0"} 20.0' in there, there
assert 'times_count 20.0' in there and 'times_sum 60.0' in there, there
assert 'state 7.0' not in there, there
files = [name for name in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])]
assert len(files) <= 6, files
""",
    )
    run(tmp_path, "assert 'things_total{kind=\"a\"} 20.0' in samples()")


def test_the_living_are_not_folded(tmp_path):
    run(
        tmp_path,
        """
things.labels("a").inc(2)
processes.fold_dead()
things.labels("a").inc(3)
assert 'things_total{kind="a"} 5.0' in samples()
""",
    )


def test_folding_while_others_scrape_counts_nothing_twice(tmp_path):
    run(
        tmp_path,
        """
for _ in range(3):
    child()
scrapers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        for _ in range(60):
            now = [line for line in samples() if line.startswith("things_total")]
            if now != ['things_total{kind="a"} 3.0']:
                print(now)
                os._exit(1)
        os._exit(0)
    scrapers.append(pid)
while "histogram_0.db" not in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"]):
    processes.fold_dead()
assert [os.waitpid(pid, 0)[1] for pid in scrapers] == [0, 0, 0]
""",
    )


def test_a_child_forked_during_a_scrape_does_not_keep_others_from_folding(tmp_path):
    run(
        tmp_path,
        """
child()
with processes._locked(processes.fcntl.LOCK_SH):
    processes.fold_dead()  # comes back at once
    forked = os.fork()
    if forked == 0:
        import time
        time.sleep(60)
assert "counter_0.db" not in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
processes.fold_dead()
assert "counter_0.db" in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
os.kill(forked, 9)
""",
    )


def test_memory_and_processor_time_are_those_of_all_processes():
    def measured() -> dict[str, float]:
        families = text_string_to_metric_families(processes.text().decode())
        return {sample.name: sample.value for family in families for sample in family.samples}

    before = measured()
    script = "x = b'x' * 100_000_000; sum(range(30_000_000)); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = measured()
        child.communicate(b"\n")
    after = measured()
    memory, seconds = "process_resident_memory_bytes", "process_cpu_seconds_total"
    assert 80e6 < during[memory] - before[memory] < 300e6
    assert after[memory] < during[memory] - 80e6
    assert before[seconds] + 0.2 < during[seconds] <= after[seconds]


@pytest.mark.parametrize(
    ("said", "limit"), [("max\n", None), ("536870912\n", 536870912), (f"{2**63 - 4096}\n", None)]
)
def test_the_limit_of_memory_is_the_containers(tmp_path, monkeypatch, said, limit):
    path = tmp_path / "memory.max"
    path.write_text(said)
    monkeypatch.setattr(processes, "LIMITS", (str(tmp_path / "none"), str(path)))
    assert processes.memory_limit() == limit


@pytest.mark.parametrize(
    ("said", "cores"),
    [
        (["150000 100000\n"], 1.5),
        (["max 100000\n"], None),
        (["50000\n", "100000\n"], 0.5),
        (["-1\n", "100000\n"], None),
    ],
)
def test_the_limit_of_processor_time_is_the_containers_or_the_machines(
    tmp_path, monkeypatch, said, cores
):
    paths = [tmp_path / str(number) for number in range(len(said))]
    for path, text in zip(paths, said, strict=True):
        path.write_text(text)
    monkeypatch.setattr(processes, "CPU_LIMITS", ((tmp_path / "none",), tuple(paths)))
    assert processes.cpu_limit() == (cores or len(os.sched_getaffinity(0)))
