"""What a call consists of: memory, statements, and the share that finds duplicates."""

import gc
import os
import re
import signal
import statistics
import time
from pathlib import Path

import msgspec
from django.db import connection, transaction

from comments import recent
from comments.ingest import INSERT
from comments.parsing import NewComment, parse_batch
from tests.benchmarks import database
from tests.benchmarks.bench import LARGEST_CALL, NEW_IN_CALL, Bench, progress
from tests.benchmarks.data import Batch
from tests.benchmarks.figures import Times
from tests.integration.processes import eventually

WARM_UP = 16  # small calls
RELOAD_SECONDS = 1.0  # within which every session has read the configuration again

# The product's statement, less the check for conflicts; and the comments alone, without a ledger.
UNCHECKED = INSERT.replace("ON CONFLICT DO NOTHING", "")
PLAIN = f"""
    {INSERT.partition(", new AS")[0]}
    INSERT INTO comments_comment
        (source, account, external_id, post_id, text, author, posted_at,
         author_followers, author_verified)
    SELECT %(source)s, %(account)s, batch.* FROM batch
"""  # noqa: S608 - nothing in it comes from outside
STATEMENTS = {"insert": INSERT, "unchecked": UNCHECKED, "plain": PLAIN}

# The further lines of a statement begin with a tab.
LOGGED = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] LOG:  statement: (.*(?:\n\t.*)*)", re.MULTILINE)


def measure_memory(bench: Bench) -> None:
    """How far the first call with 10,000 comments takes a fresh worker above where it was."""
    figures = bench.figures
    figures["rss_end_mb"] = bench.memory("VmRSS")
    figures["rss_drift_mb"] = figures.number("rss_end_mb") - figures.number("rss_after_25000_mb")
    stored = bench.stored(LARGEST_CALL)
    growth = []
    for _ in progress(range(bench.scale.fresh_workers), "memory of fresh workers"):
        _replace_worker(bench)
        for _ in range(WARM_UP):
            bench.process(bench.platform.mixed(100, stored))
        batch = bench.platform.mixed(LARGEST_CALL, stored)
        before = bench.memory("VmRSS")
        Path(f"/proc/{bench.web.worker}/clear_refs").write_text("5")  # VmHWM starts anew
        bench.process(batch)
        growth.append(bench.memory("VmHWM") - before)
    figures["memory_growth_10000_mb"] = statistics.median(growth)
    figures["memory_growth_10000_max_mb"] = max(growth)
    figures["memory_growth_10000_n"] = len(growth)


def _replace_worker(bench: Bench) -> None:
    old = bench.web.worker
    os.kill(old, signal.SIGTERM)  # gunicorn starts another
    eventually(lambda: bench.web.worker != old, "a fresh worker")


def count_statements(bench: Bench) -> None:
    """What one call asks PostgreSQL, by its own log."""
    stored = bench.stored(LARGEST_CALL)
    for size in (1_000, LARGEST_CALL):
        batch = bench.platform.mixed(size, stored)
        statements = _logged(bench, batch)
        kinds = [_kind(statement) for statement in statements]
        for kind in ("comments", "transaction", "other"):
            bench.figures[f"statements_{size}_{kind}"] = kinds.count(kind)
        bench.figures[f"statements_{size}"] = len(kinds)


def _kind(statement: str) -> str:
    if "comments_" in statement:
        return "comments"
    if statement.startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")):
        return "transaction"
    return "other"  # the token, the permissions, the health of the connection


def _logged(bench: Bench, batch: Batch) -> list[str]:
    log = bench.services.postgres.log
    position = log.stat().st_size
    [(own_session,)] = database.query("SELECT pg_backend_pid()")
    reload = "SELECT pg_reload_conf()"
    database.execute("ALTER SYSTEM SET log_statement = 'all'", reload)
    time.sleep(RELOAD_SECONDS)
    bench.process(batch)
    database.execute("ALTER SYSTEM RESET log_statement", reload)
    time.sleep(RELOAD_SECONDS)
    with log.open("rb") as file:
        file.seek(position)
        lines = LOGGED.findall(file.read().decode())
    return [statement for session, statement in lines if int(session) != own_session]


def measure_deduplication(bench: Bench) -> None:
    """What finding duplicates costs: the same steps on the same data, in this process.

    In the statement it is what the statement takes for what it is given of a batch, less what one
    without the check takes for the new ones alone. Noise can make small differences negative.
    """
    stored = bench.stored(LARGEST_CALL)
    steps = {name: Times() for name in ("look_up", "remember", "given", *STATEMENTS)}
    for _ in progress(range(bench.scale.repetitions), "share of deduplication"):
        gc.collect()
        _measure_ingest(bench, bench.platform.mixed(LARGEST_CALL, stored), steps)
        order = list(STATEMENTS)
        bench.platform.random.shuffle(order)
        for name in order:
            new = bench.platform.all_new(NEW_IN_CALL)
            _insert(bench, STATEMENTS[name], _parsed(new), steps[name])
    medians = {name: times.median for name, times in steps.items()}
    figures = bench.figures
    figures |= {f"dedupe_{name}_s": median for name, median in medians.items()}
    costs = {
        "dedupe_redis": medians["look_up"] + medians["remember"],
        "dedupe_statement": medians["given"] - medians["unchecked"],
        "dedupe_conflict_check": medians["insert"] - medians["unchecked"],
        "dedupe": medians["look_up"]
        + medians["remember"]
        + medians["given"]
        - medians["unchecked"],
        "ledger": medians["insert"] - medians["plain"],
    }
    call = figures.number(f"process_{LARGEST_CALL}_median_s")
    figures |= {f"{name}_cost_s": cost for name, cost in costs.items()}
    figures |= {f"{name}_percent": 100 * cost / call for name, cost in costs.items()}
    figures["dedupe_n"] = bench.scale.repetitions


def _measure_ingest(bench: Bench, batch: Batch, steps: dict[str, Times]) -> None:
    """The steps of `comments.ingest` that follow the parsing."""
    comments = _parsed(batch)
    with steps["look_up"].clock():
        unique: dict[str, NewComment] = {}
        for comment in comments:
            unique.setdefault(comment.external_id, comment)
        known = recent.known(bench.source, list(unique))
        unknown = [comment for comment in unique.values() if comment.external_id not in known]
    _insert(bench, INSERT, unknown, steps["given"])
    with steps["remember"].clock():
        recent.remember(bench.source, [comment.external_id for comment in unknown])


def _insert(bench: Bench, statement: str, comments: list[NewComment], times: Times) -> None:
    batch = msgspec.json.encode(comments).decode()
    values = {"batch": batch, "source": bench.source, "account": ""}
    with times.clock(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def _parsed(batch: Batch) -> list[NewComment]:
    return parse_batch(batch.comments, batch.post_id)[0]
