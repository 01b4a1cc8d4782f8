"""Several clients at once: how much goes through, and whether each comment is stored once."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec

from tests.benchmarks import database
from tests.benchmarks.bench import PROCESS, Bench, check, progress
from tests.benchmarks.figures import Times

WRITERS = (2, 4, 8)
BATCH = 1_000
EXACT_WRITERS = 8
SMALLEST, LARGEST = 2_000, 10_000
FORGET_EVERY = 10  # calls, after which Redis is emptied, so that the database has to answer too


def measure_throughput(bench: Bench) -> None:
    """2, 4 and 8 writers with 1,000 new comments a call."""
    for writers in progress(WRITERS, "concurrent writers"):
        bodies = [bench.platform.all_new(BATCH).body for _ in range(bench.scale.writer_calls)]
        times = Times()

        def call(body: bytes, times: Times = times) -> None:
            with times.clock():
                answer = bench.api.post(PROCESS, content=body)
            check(answer, BATCH)

        started = time.perf_counter()
        _run(writers, [lambda body=body: call(body) for body in bodies])  # type: ignore[misc]
        seconds = time.perf_counter() - started
        bench.figures[f"writers_{writers}_comments_per_s"] = BATCH * len(bodies) / seconds
        bench.figures[f"writers_{writers}_median_s"] = times.median
        bench.figures[f"writers_{writers}_p95_s"] = times.p95
        bench.figures[f"writers_{writers}_n"] = len(bodies)


@dataclass
class Sent:
    """What the writers sent and what they were told; each entry is of one call."""

    ids: set[str] = field(default_factory=set)
    total: list[int] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def measure_exactness(bench: Bench) -> None:
    """Random batches from one set of comments by 8 writers: each stored once, none lost."""
    database.empty()
    ids, encoded = _universe(bench)
    sent, calls = Sent(), []
    rng, planned = bench.platform.random, 0
    while planned < bench.scale.exact_comments:
        size, seed = rng.randint(SMALLEST, LARGEST), rng.random()
        calls.append((size, seed))
        planned += size

    def call(size: int, seed: float) -> None:
        # with duplicates inside of the batch, and in any order
        chosen = random.Random(seed).choices(range(len(ids)), k=size)  # noqa: S311
        body = {"post_id": "post", "comments": [encoded[n] for n in chosen]}
        answer = bench.api.post(PROCESS, content=msgspec.json.encode(body))
        if answer.status_code == 200:
            sent.stored.append(answer.json()["stored_count"])
        else:
            sent.failed.append(answer.text)
        sent.ids.update(ids[n] for n in chosen)
        sent.total.append(size)
        if len(sent.total) % FORGET_EVERY == 0:
            database.forget_recent()

    started = time.perf_counter()
    _run(EXACT_WRITERS, [lambda plan=plan: call(*plan) for plan in calls], "exactness")  # type: ignore[misc]
    bench.figures["exact_seconds"] = time.perf_counter() - started
    _count(bench, sent)


def _universe(bench: Bench) -> tuple[list[str], list[msgspec.Raw]]:
    ids, encoded = [], []
    for _ in progress(range(bench.scale.exact_universe), "comments for exactness"):
        [comment] = bench.platform.new(1)
        ids.append(comment["id"])
        encoded.append(msgspec.Raw(msgspec.json.encode(comment)))
    return ids, encoded


def _count(bench: Bench, sent: Sent) -> None:
    """Compare what was sent with every row there is."""
    comments = [row[0] for row in database.query("SELECT external_id FROM comments_comment")]
    ledger = database.query("SELECT count(*) FROM comments_seencomment")[0][0]
    both = database.query(
        """
        SELECT count(*) FROM comments_seencomment s JOIN comments_comment c
        ON c.id = s.comment_id AND (c.external_id, c.source) = (s.external_id, s.source)
        """
    )[0][0]
    bench.figures |= {
        "exact_calls": len(sent.total),
        "exact_failed_calls": len(sent.failed),
        "exact_sent": sum(sent.total),
        "exact_sent_distinct": len(sent.ids),
        "exact_rows": len(comments),
        "exact_ledger_rows": ledger,
        "exact_stored_counts": sum(sent.stored),
        "exact_lost": len(sent.ids - set(comments)),
        "exact_twice": len(comments) - len(set(comments)),
        "exact_not_in_both": len(comments) + ledger - 2 * both,
        "exact_miscounted": abs(len(comments) - sum(sent.stored)),
    }


def _run(writers: int, calls: list[Callable[[], None]], what: str = "") -> None:
    """Make the calls from so many threads; the first error ends it."""
    with ThreadPoolExecutor(writers) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            for future in progress(futures, what) if what else futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
