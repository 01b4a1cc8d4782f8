"""How long a call takes, beside the two baselines; and a call that brings nothing new."""

import gc
import time

from kombu import Connection, Queue

from tests.benchmarks import database
from tests.benchmarks.bench import LARGEST_CALL, PROCESS, Bench, progress, send
from tests.benchmarks.data import Comment
from tests.benchmarks.figures import Times
from tests.benchmarks.spec_approach import CREATE_TABLE, QUEUE, TABLE

SIZES = (1_000, 5_000, 10_000, 25_000)
SLOW_SIZE = 25_000  # takes the spec's approach more than ten seconds
UNCONFIRMED = "spec_unconfirmed"  # measured at one size
STORED_BEFORE = 20_000
POLLS = 5

COPY_STORED = f"""
    INSERT INTO {TABLE} (comment_id, post_id, text, author, timestamp)
    SELECT external_id, post_id, text, author, posted_at FROM comments_comment
"""  # noqa: S608 - the name is ours


def measure_calls(bench: Bench) -> None:
    """Calls of all sizes by all approaches, in random order, so that all meet the same machine."""
    stored = bench.stored(STORED_BEFORE)
    database.execute(CREATE_TABLE, COPY_STORED)
    for _ in range(8):  # every thread of both web processes has its connections then
        bench.process(bench.platform.mixed(100, stored))
        _spec(bench, 100, stored, Times())
    bench.figures["rss_warm_mb"] = bench.memory("VmRSS")
    times = {(kind, size): Times() for kind in KINDS for size in SIZES}
    times = {key: t for key, t in times.items() if key[0] != UNCONFIRMED or key[1] == LARGEST_CALL}
    rounds = range(bench.scale.repetitions)
    for number in progress(rounds, "calls and baselines"):
        order = list(times)
        bench.platform.random.shuffle(order)
        for kind, size in order:
            if (kind, size) == ("spec", SLOW_SIZE) and number >= bench.scale.slow_repetitions:
                continue
            gc.collect()  # none during a measurement
            KINDS[kind](bench, size, stored, times[kind, size])
    for (kind, size), taken in times.items():
        new = size - size // 3
        bench.figures.add_times(f"{kind}_{size}", taken, new if kind == "copy_new" else size)
    bench.figures["rss_after_25000_mb"] = bench.memory("VmRSS")
    _compare(bench)


def _process(bench: Bench, size: int, stored: list[Comment], times: Times) -> None:
    bench.process(bench.platform.mixed(size, stored), times)


def _spec(
    bench: Bench, size: int, stored: list[Comment], times: Times, path: str = PROCESS
) -> None:
    batch = bench.platform.mixed(size, stored)
    send(bench.spec_api, batch, batch.new, times, path)
    with Connection(bench.services.broker_url) as connection:
        Queue(QUEUE, channel=connection.default_channel).purge()


def _spec_unconfirmed(bench: Bench, size: int, stored: list[Comment], times: Times) -> None:
    _spec(bench, size, stored, times, f"{PROCESS}?unconfirmed")


def _copy_new(bench: Bench, size: int, _stored: list[Comment], times: Times) -> None:
    _copy_all(bench, size - size // 3, _stored, times)


def _copy_all(bench: Bench, size: int, _stored: list[Comment], times: Times) -> None:
    text = bench.copy.prepare(bench.platform.all_new(size), bench.source)
    with times.clock():
        bench.copy.store(text)


KINDS = {
    "process": _process,
    "spec": _spec,
    UNCONFIRMED: _spec_unconfirmed,
    "copy_new": _copy_new,
    "copy_all": _copy_all,
}


def _compare(bench: Bench) -> None:
    figures = bench.figures
    for size in SIZES:
        ours = f"process_{size}"
        figures[f"{ours}_times_faster_than_spec"] = figures.ratio(f"spec_{size}", ours)
        figures[f"{ours}_times_copy_new"] = figures.ratio(ours, f"copy_new_{size}")
        figures[f"{ours}_times_copy_all"] = figures.ratio(ours, f"copy_all_{size}")
    figures["process_10000_times_faster_than_spec_unconfirmed"] = figures.ratio(
        "spec_unconfirmed_10000", "process_10000"
    )
    figures["per_comment_25000_to_1000"] = figures.ratio("process_25000", "process_1000") / 25


def measure_repolling(bench: Bench) -> None:
    """10,000 new comments, then the same again: known to Redis, and known to the database alone."""
    new, redis_knows, redis_is_empty = Times(), Times(), Times()
    for _ in progress(range(bench.scale.repetitions), "re-polling"):
        batch = bench.platform.all_new(LARGEST_CALL)
        gc.collect()
        bench.process(batch, new)
        bench.process(batch, redis_knows, new=0)
        database.forget_recent()
        bench.process(batch, redis_is_empty, new=0)
    figures = bench.figures
    figures.add_times("store_10000_new", new, LARGEST_CALL)
    figures.add_times("repoll_10000", redis_knows, LARGEST_CALL)
    figures.add_times("repoll_10000_redis_empty", redis_is_empty, LARGEST_CALL)
    figures["repoll_times_faster"] = figures.ratio("store_10000_new", "repoll_10000")
    figures["repoll_redis_empty_times_faster"] = figures.ratio(
        "store_10000_new", "repoll_10000_redis_empty"
    )
    _prove_that_nothing_is_written(bench)


def _prove_that_nothing_is_written(bench: Bench) -> None:
    """PostgreSQL's own counters, of the ledger and of all partitions, before and after."""
    batch = bench.platform.all_new(LARGEST_CALL)
    bench.process(batch)
    time.sleep(database.SETTLE_SECONDS)
    writes, number = database.writes(), database.sequence_value()
    for _ in range(POLLS):
        bench.process(batch, new=0)
    bench.figures["repoll_ids_used"] = database.sequence_value() - number
    number = database.sequence_value()
    for _ in progress(range(POLLS), "re-polling writes nothing"):
        database.forget_recent()
        bench.process(batch, new=0)
    bench.figures["repoll_redis_empty_ids_used"] = database.sequence_value() - number
    time.sleep(database.SETTLE_SECONDS)
    changes = [after - before for before, after in zip(writes, database.writes(), strict=True)]
    bench.figures["repoll_rows_written"] = sum(changes)
