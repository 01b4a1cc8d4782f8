"""Whether calls get slower while the tables grow, and how long it takes to retire a day."""

import gc
from datetime import date, timedelta

from comments import partitions
from dmtrigger.models import Account, Campaign
from tests.benchmarks import database
from tests.benchmarks.bench import LARGEST_CALL, NEW_IN_CALL, Bench, progress
from tests.benchmarks.figures import Times

DAYS = 10  # that the comments of a large table came in on, the last of them today
KEEP_DAYS = 30
RETIRED_DAYS_AGO = 40

# 2 % are flagged; of those every tenth is approved, and its message sent.
RESULTS = (
    """
    INSERT INTO intents_intentresult (comment_id, label, score, confidence, band, model_version)
    SELECT id, CASE WHEN id %% 50 = 0 THEN 'purchase_intent' ELSE 'other' END,
           CASE WHEN id %% 50 = 0 THEN 85 ELSE 5 END, 0.9, 'ignore', 'benchmark'
    FROM comments_comment WHERE id >= %s AND id < %s
    """,
    """
    INSERT INTO intents_review
        (intent_id, status, decided_at, decided_by_rule, corrected_label, note)
    SELECT comment_id, CASE WHEN comment_id %% 500 = 0 THEN 'approved' ELSE 'pending' END,
           CASE WHEN comment_id %% 500 = 0 THEN now() END, 'benchmark', '', ''
    FROM intents_intentresult WHERE comment_id >= %s AND comment_id < %s AND score = 85
    """,
    """
    INSERT INTO dmtrigger_directmessage
        (comment_id, external_id, source, post_id, posted_at, expires_at, reason, model_version,
         review_id, campaign_id, account_id, channel, sender, recipient, text, link, state,
         attempts, maybe_delivered, platform_message_id, last_error)
    SELECT c.id, c.external_id, c.source, c.post_id, c.posted_at, c.posted_at, '', '',
           r.id, (SELECT id FROM dmtrigger_campaign), (SELECT id FROM dmtrigger_account),
           'direct_message', c.source, c.author, 'Hi', '', 'sent', 1, false, '', ''
    FROM intents_review r JOIN comments_comment c ON c.id = r.intent_id
    WHERE c.id >= %s AND c.id < %s AND r.status = 'approved'
    """,
)


def measure_growth(bench: Bench) -> None:
    """10,000 comments a call into a small table and into a large one."""
    database.empty()
    figures = bench.figures
    filled = 0
    for name, size in (
        ("small", bench.scale.small_table),
        ("large", bench.scale.large_table),
    ):
        _fill(bench, size - filled)
        filled = size
        database.settle()
        [(figures[f"{name}_table_comments"],)] = database.query(
            "SELECT count(*) FROM comments_comment"
        )
        stored = bench.stored(LARGEST_CALL)
        calls, copies = Times(), Times()
        for _ in progress(range(bench.scale.repetitions), f"calls, {name} table"):
            gc.collect()
            bench.process(bench.platform.mixed(LARGEST_CALL, stored), calls)
            text = bench.copy.prepare(bench.platform.all_new(NEW_IN_CALL), bench.source)
            with copies.clock():
                bench.copy.store(text)
        figures.add_times(f"{name}_table_process_10000", calls, LARGEST_CALL)
        figures.add_times(f"{name}_table_copy_new_10000", copies, NEW_IN_CALL)
    figures["large_to_small_table"] = figures.ratio(
        "large_table_process_10000", "small_table_process_10000"
    )
    figures["large_to_small_table_copy"] = figures.ratio(
        "large_table_copy_new_10000", "small_table_copy_new_10000"
    )


def _fill(bench: Bench, count: int) -> None:
    each = count // DAYS
    days = [partitions.today() - timedelta(days=ago) for ago in reversed(range(DAYS))]
    for day in progress(days, f"filling in {count:,}"):
        if day != partitions.today():
            database.make_partitions(day)
        database.fill(day, each, bench.platform.reserve(each), bench.source)


def measure_retirement(bench: Bench) -> None:
    """Drop a day of comments with their results and reviews; twice is more than luck."""
    Campaign.objects.create(name="benchmark", link="https://shop.example")
    Account.objects.create(source=bench.source)
    times = Times()
    day = partitions.today() - timedelta(days=RETIRED_DAYS_AGO)
    for _ in progress(range(bench.scale.retirements), "filling and retiring a day"):
        _fill_old_day(bench, day)
        database.settle()
        with times.clock():
            dropped = partitions.retire(KEEP_DAYS)
        if len(dropped) != len(database.TABLES):
            raise RuntimeError(f"retired {dropped}, not the partitions of {day}")
    bench.figures["retired_comments"] = bench.scale.retired_comments
    bench.figures["retire_median_s"] = times.median
    bench.figures["retire_slowest_s"] = max(times.seconds)
    bench.figures["retire_n"] = len(times.seconds)


def _fill_old_day(bench: Bench, day: date) -> None:
    count = bench.scale.retired_comments
    database.make_partitions(day)
    database.fill(day, count, bench.platform.reserve(count), bench.source)
    bounds = (partitions.first_id(day), partitions.first_id(day + timedelta(days=1)))
    for statement in RESULTS:
        database.change(statement, *bounds)
