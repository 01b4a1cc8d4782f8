"""What the product asks the database over and over reads few rows, however many there are.

A million comments of eight days stand in the tables here. Every statement of a call is explained
(`EXPLAIN ANALYZE`) just before it runs, as it is, with its own values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Permission
from django.db import connection, transaction

import comments.gauges
import dmtrigger.gauges
import intents.gauges
from comments import partitions, queue, recent, search
from comments.ingest import ingest
from comments.models import Comment
from dmtrigger import dashboard, outbox
from dmtrigger.dashboard import SPANS, What
from dmtrigger.models import Account
from intents import reviews
from intents.models import IntentResult
from tests.factories import AccountFactory, CampaignFactory, UserFactory
from threadsagent.metrics.rows import READERS
from threadsagent.models import User

DAYS = 8
SMALL = 5_000  # rows; PostgreSQL does well to scan so small a table
PAGE = 2_000  # rows that one page may cost: 1,000 that wait may have to be skipped
FLAGGED = 5_000  # reviews that there are, and about as many messages
COUNTED = 10_000  # rows that a list of the admin counts, whichever come first
POST, TOP_POST = "post-700", "post-0"  # one of the many with some hundred comments; the busiest
AUTHOR, TOP_AUTHOR = "author-2000", "author-0"

# Few posts and authors have many comments, most have a few.
COMMENTS = """
    SELECT setseed(0.5);
    INSERT INTO comments_comment
        (id, source, external_id, post_id, account, text, author, posted_at, created_at,
         analyzed_at)
    SELECT (floor(extract(epoch FROM at))::bigint - 1577836800) * 1000000
               + nextval('comments_comment_number'), 'fake_platform', 'c' || i,
           'post-' || floor(2000 * random() ^ 2),
           CASE WHEN i %% 10 = 0 THEN 'shop' WHEN i %% 100000 = 1 THEN 'rare' ELSE 'main' END,
           'How much is it? ' || i,
           'author-' || floor(200000 * random() ^ 3), at, at, CASE WHEN i < 999000 THEN at END
    FROM generate_series(0, 999999) AS i,
         LATERAL (SELECT %(first)s + i / 125000 AS day),
         LATERAL (SELECT day + i %% 125000 * interval '0.69 s' AS at);
    INSERT INTO comments_seencomment (external_id, source, comment_id)
    SELECT external_id, source, id FROM comments_comment ORDER BY external_id;
"""
# One in 300 is flagged; a hundred of these wait.
INTENTS = """
    INSERT INTO intents_intentresult
        (comment_id, label, score, confidence, band, model_version, created_at)
    SELECT id, CASE WHEN score >= 50 THEN 'purchase_intent' WHEN score = 49 THEN 'complaint'
                    ELSE 'other' END,
           score, 0.9, CASE WHEN score >= 80 THEN 'immediate_dm' ELSE 'ignore' END, 'test', at
    FROM (
        SELECT id, analyzed_at AS at, floor(100 * random() ^ 3) AS score
        FROM comments_comment WHERE analyzed_at IS NOT NULL
    ) AS analysed;
    INSERT INTO intents_review
        (intent_id, status, flagged_at, decided_at, decided_by_rule, note)
    SELECT comment_id, 'approved', created_at, created_at, 'a rule', ''
    FROM intents_intentresult WHERE score = 99 ORDER BY comment_id;
    UPDATE intents_review SET status = 'pending', decided_at = NULL, decided_by_rule = ''
    WHERE id IN (SELECT id FROM intents_review ORDER BY id DESC LIMIT 100);
"""
MESSAGES = """
    INSERT INTO dmtrigger_directmessage
        (comment_id, external_id, source, post_id, posted_at, expires_at, reason, model_version,
         review_id, account_id, campaign_id, channel, sender, recipient, text, link, state,
         attempts, maybe_delivered, next_attempt_at, claimed_at, platform_message_id, last_error)
    SELECT c.id, c.external_id, c.source, c.post_id, c.posted_at, c.posted_at + interval '99 days',
           '', 'm', r.id, account.id, campaign.id, 'direct_message', c.source, c.author, 'Hi', '',
            CASE r.id %% 400 WHEN 1 THEN 'sending' WHEN 2 THEN 'unknown' WHEN 3 THEN 'pending'
                 ELSE 'sent' END, 1, false, c.posted_at, c.posted_at, '', ''
    FROM intents_review r JOIN comments_comment c ON c.id = r.intent_id,
         dmtrigger_campaign AS campaign, dmtrigger_account AS account
    WHERE r.status = 'approved' ORDER BY c.id;
    INSERT INTO dmtrigger_deliveryattempt
        (message_id, account_id, number, outcome, detail, takes_slot, finished_at)
    SELECT id, account_id, 1, '', '', true, now() - interval '1 day' FROM dmtrigger_directmessage;
"""
WEBHOOKS = """
    INSERT INTO dmtrigger_webhookendpoint (name, url, secret, hears_events, is_active)
    VALUES ('crm', 'https://crm.example', '', false, false);
    INSERT INTO dmtrigger_webhookdelivery
        (endpoint_id, event_id, payload, state, attempts, last_error)
    SELECT endpoint.id, i, '{}', CASE WHEN i < 10 THEN 'pending' WHEN i < 20 THEN 'failed'
                                      ELSE 'delivered' END, 1, ''
    FROM dmtrigger_webhookendpoint AS endpoint, generate_series(1, 20000) AS i;
"""


@pytest.fixture(scope="module")
def million(django_db_setup, django_db_blocker) -> Iterator[date]:
    """The rows, in one transaction that all tests of this module are in and nobody commits.

    The value is the first of their days.
    """
    with django_db_blocker.unblock(), transaction.atomic(), connection.cursor() as cursor:
        first = partitions.today() - timedelta(days=DAYS - 1)
        cursor.execute(
            "TRUNCATE comments_seencomment, intents_review, dmtrigger_directmessage,"
            " dmtrigger_deliveryattempt, dmtrigger_campaign CASCADE"
        )
        CampaignFactory()
        AccountFactory()
        with mock.patch.object(partitions, "today", return_value=first):
            partitions.ensure_partitions(days_ahead=DAYS - 1)
        _change_indexes("remove_index")  # to fill them afterwards is faster
        for rows in (COMMENTS, INTENTS, MESSAGES, WEBHOOKS):
            cursor.execute(rows, {"first": first})
        _change_indexes("add_index")
        cursor.execute("ANALYZE")
        yield first
        transaction.set_rollback(True)


def _change_indexes(change: str) -> None:
    with connection.schema_editor() as editor:
        for model in (Comment, IntentResult):
            for index in model._meta.indexes:
                getattr(editor, change)(model, index)


@pytest.fixture
def rows(million, db) -> None:
    """The rows, with what one test does to them undone after it."""


@pytest.fixture
def api(rows, api_of):
    return api_of(
        "comments.view_comment",
        "intents.view_intentresult",
        "intents.view_review",
        "intents.decide_review",
        "dmtrigger.view_directmessage",
    )


@pytest.fixture
def console(rows, client):
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


# Plans ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scan:
    """One place in a plan where a table or an index is read."""

    how: str
    table: str  # or its partition; empty for what is no table
    index: str  # the whole table's, also where it is a partition that is read
    rows: float  # that were read, with those that were of no use


Plan = list[Scan]


@contextmanager
def explained() -> Iterator[list[Plan]]:
    """The plans of the statements that run inside."""
    plans: list[Plan] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split(maxsplit=1)[0] in {"SELECT", "(SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            plans.append(_explain(sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans


def _explain(sql: str, params: Any) -> Plan:
    with connection.connection.cursor() as cursor:  # psycopg2's own, so that this is not explained
        cursor.execute("SAVEPOINT explained")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", params)
        ((((plan,),),),) = (cursor.fetchall(),)
        cursor.execute("ROLLBACK TO explained")
        cursor.execute(
            """
            SELECT part.relname, CASE WHEN indisprimary THEN indrelid::regclass || '_pkey'
                                      ELSE whole.relname END
            FROM pg_inherits JOIN pg_index ON indexrelid = inhparent
            JOIN pg_class part ON part.oid = inhrelid JOIN pg_class whole ON whole.oid = inhparent
            """
        )
        return list(_scans(plan["Plan"], dict(cursor.fetchall())))


def _scans(node: dict[str, Any], whole: dict[str, str]) -> Iterator[Scan]:
    if node["Node Type"].endswith("Scan"):
        index = node.get("Index Name", "")
        of_no_use = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
        rows = node["Actual Rows"] + sum(node.get(name, 0) for name in of_no_use)
        yield Scan(
            node["Node Type"],
            node.get("Relation Name", ""),
            whole.get(index, index),
            rows * node["Actual Loops"],
        )
    for child in node.get("Plans", ()):
        yield from _scans(child, whole)


def check(
    plans: list[Plan], indexes: set[str], *, most: int = PAGE, may_scan: bool = False
) -> None:
    """The indexes are used, no big table is scanned, no statement reads more than `most` rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE reltuples > %s", [SMALL])
        big = {name for (name,) in cursor.fetchall()}
    assert plans
    for plan in plans:
        assert may_scan or not [s for s in plan if s.how == "Seq Scan" and s.table in big]
        assert sum(scan.rows for scan in plan if scan.table) <= most, plan
    assert indexes <= {scan.index for plan in plans for scan in plan}


# Comments in, and what is done with them --------------------------------------------------------


def test_storing_a_batch_reads_no_table(rows):
    batch = [
        {"id": f"c{n}", "text": "?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}
        for n in range(999_500, 1_000_500)
    ]
    recent.known("fake_platform", ["c1"])  # which database this is, is asked once a connection
    with explained() as plans:
        report = ingest(batch, source="fake_platform", post_id="p1")
    assert (report.stored, report.duplicates) == (500, 500)
    check(plans, set(), most=0)


def test_the_analysis_finds_what_waits_by_an_index_of_nothing_else(rows):
    with explained() as plans:
        claimed = queue.claim_unanalyzed(256)
    check(plans, {"comment_unanalyzed"}, most=256)
    with explained() as plans:
        queue.mark_analyzed(claimed)
    check(plans, {"comments_comment_pkey"}, most=256)
    with explained() as plans:
        assert queue.count_unanalyzed() == 744
    check(plans, {"comment_unanalyzed"}, most=1_000)


def test_what_waits_for_an_operator_is_counted_by_an_index_of_nothing_else(rows):
    with explained() as plans:
        assert reviews.count_pending() == 100
    check(plans, {"review_pending"}, most=100)


def test_a_decision_touches_a_few_rows(api):
    newest = api.get("/reviews?limit=1").json()["results"][0]["id"]
    with explained() as plans:
        assert api.post(f"/reviews/{newest}/approve").status_code == 200
    check(plans, {"intents_review_pkey"}, most=10)


def test_the_outbox_finds_what_is_due_and_what_is_stuck_by_indexes_of_nothing_else(rows):
    with explained() as plans:
        assert outbox.deliver_next()
    check(plans, {"message_due"}, most=40)  # what waits is few, and sorted as a whole
    with explained() as plans:
        assert outbox.rescue_stuck() > 0
    check(plans, {"message_in_flight"}, most=10)


# The API ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "indexes"),
    [
        ("/comments", {"comments_comment_pkey"}),
        (f"/comments?post_id={POST}", {"comment_by_post"}),
        ("/comments?post_id=none", {"comment_by_post"}),
        (f"/comments?author={AUTHOR}", {"comment_by_author"}),
        ("/comments?author=none", {"comment_by_author"}),
        ("/comments?external_id=c500000", {"comments_seencomment_pkey", "comments_comment_pkey"}),
        ("/comments?external_id=none", {"comments_seencomment_pkey"}),
        ("/comments?analyzed=false", {"comment_unanalyzed"}),
        ("/comments?analyzed=true", {"comments_comment_pkey"}),
        ("/comments?ordering=oldest", {"comments_comment_pkey"}),
        (f"/comments?ordering=oldest&post_id={POST}", {"comment_by_post"}),
        (f"/comments?ordering=oldest&author={AUTHOR}", {"comment_by_author"}),
        ("/comments?ordering=oldest&analyzed=false", {"comment_unanalyzed"}),
        ("/intents", {"intents_intentresult_pkey", "comments_comment_pkey"}),
        ("/reviews", {"intents_review_pkey", "intents_intentresult_pkey"}),
        ("/reviews?ordering=oldest", {"intents_review_pkey", "intents_intentresult_pkey"}),
        ("/messages", {"dmtrigger_directmessage_pkey"}),
    ],
)
def test_a_list_reads_a_page_by_its_index(api, url, indexes):
    with explained() as plans:
        page = api.get(url).json()
    check(plans, indexes)
    if page["next"]:
        with explained() as plans:
            assert api.get(page["next"]).json()["previous"]
        check(plans, indexes)


def test_a_rare_word_is_found_by_the_indexes_of_the_days_that_are_over(api):
    over = [name for name, _upper in partitions.partitions("comments_comment")][: DAYS - 1]
    with connection.cursor() as cursor:
        for name in over:  # as `search.index_past_days`, which cannot do so in a transaction
            cursor.execute(f"CREATE INDEX {name}_words ON {name} USING gin ({search.WORDS})")
            cursor.execute(f"ANALYZE {name}")
    with explained() as plans:
        assert len(api.get("/comments?search=500000").json()["results"]) == 1
    check(plans, {f"{name}_words" for name in over}, most=130_000, may_scan=True)  # today's


@pytest.mark.parametrize("query", [f"post_id={TOP_POST}", f"author={TOP_AUTHOR}"])
def test_a_list_of_what_is_frequent_reads_little_by_whatever_index(api, query):
    with explained() as plans:
        api.get(f"/comments?{query}")
    check(plans, set(), most=10_000)


@pytest.mark.parametrize(
    ("path", "indexes"),
    [
        ("/comments", {"comments_comment_pkey"}),
        ("/intents", {"intents_intentresult_pkey", "comments_comment_pkey"}),
    ],
)
def test_one_row_is_found_by_its_id(api, path, indexes):
    newest = api.get("/intents?limit=1").json()["results"][0]["comment"]["id"]
    with explained() as plans:
        assert api.get(f"{path}/{newest}").status_code == 200
    check(plans, indexes, most=10)


@pytest.mark.parametrize(
    ("query", "days", "index"),
    [
        ("stored_after={6}T00:00:00Z", {6, 7}, "comments_comment_pkey"),
        ("stored_after={7}T00:00:00Z", {7}, "comments_comment_pkey"),
        ("stored_after={7}T23:50:00Z", {7}, "comments_comment_pkey"),
        ("stored_before={6}T00:00:00Z", {0, 1, 2, 3, 4, 5}, "comments_comment_pkey"),
        ("stored_after={3}T23:59:00Z&stored_before={4}T00:01:00Z", {3, 4}, "comments_comment_pkey"),
        (
            f"post_id={TOP_POST}&stored_after={{7}}T12:00:00Z&stored_before={{7}}T12:30:00Z",
            {7},
            "",
        ),
        (
            f"post_id={POST}&stored_after={{2}}T12:00:00Z&stored_before={{4}}T12:00:00Z",
            {2, 3, 4},
            "comment_by_post",
        ),
        (
            f"author={AUTHOR}&stored_after={{3}}T00:00:00Z&stored_before={{6}}T12:00:00Z",
            {3, 4, 5, 6},
            "comment_by_author",
        ),
    ],
)
def test_of_the_days_only_those_asked_for_are_looked_at(api, million, query, days, index):
    dates = [million + timedelta(days=n) for n in range(DAYS)]
    names = [f"comments_comment_{date:%Y%m%d}" for date in dates]
    with explained() as plans:
        assert api.get(f"/comments?{query.format(*dates)}").json()["results"]
    check(plans, {index} - {""})
    looked_at = {scan.table for plan in plans for scan in plan}
    assert looked_at.intersection(names) == {names[n] for n in days}


# Of some accounts only --------------------------------------------------------------------------


@pytest.fixture(params=["shop", "rare", "none"])
def account(rows, request) -> Account:
    """One of ten comments is of `shop`, ten of all are of `rare`."""
    return AccountFactory(name=request.param)


@pytest.mark.parametrize(
    "url",
    [
        "/comments",
        "/comments?ordering=oldest",
        "/comments?analyzed=false",
        f"/comments?post_id={POST}",
        f"/comments?author={AUTHOR}",
        "/intents",
    ],
)
def test_who_sees_one_account_reads_a_page_of_it(api, account, url):
    see_only(api.handler._force_user, account)
    with explained() as plans:
        assert api.get(url).status_code == 200
    check(plans, set())


@pytest.mark.parametrize("url", ["/reviews", "/messages"])
def test_reviews_and_messages_of_one_account_are_looked_for_among_few(api, account, url):
    see_only(api.handler._force_user, account)
    with explained() as plans:
        assert api.get(url).status_code == 200
    check(plans, set(), most=3 * FLAGGED, may_scan=True)


@pytest.mark.parametrize(
    "page",
    [
        "comments/comment/",
        "intents/intentresult/",
        "intents/review/",
        "intents/review/?status=all",
        "dmtrigger/directmessage/",
    ],
)
def test_a_page_of_one_account_neither_counts_nor_sorts_all(console, account, page):
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    see_only(user, account)
    console.force_login(user)
    with explained() as plans:
        answer = console.get(f"/admin/{page}")
    assert answer.context["cl"].result_count <= COUNTED
    # to count 10,000 results PostgreSQL may pass over those of the other accounts
    check(plans, set(), most=12 * COUNTED, may_scan=True)


def see_only(user: User, account: Account) -> None:
    user.every_account = False
    user.save()
    user.accounts.add(account)


# The console ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "indexes"),
    [
        ("comments/comment/", {"comments_comment_pkey"}),
        ("comments/comment/?p=50", {"comments_comment_pkey"}),
        ("intents/intentresult/", {"intents_intentresult_pkey", "comments_comment_pkey"}),
        ("intents/intentresult/?label__exact=complaint", {"intent_by_label"}),
        ("intents/intentresult/?label__exact=spam", {"intent_by_label"}),
        ("intents/review/", {"review_pending", "intents_intentresult_pkey"}),
        ("intents/review/?order=uncertain", {"review_pending", "intents_intentresult_pkey"}),
        ("intents/review/?order=likely", {"review_pending", "intents_intentresult_pkey"}),
        ("intents/review/?intent__band=immediate_dm", {"review_pending"}),
        (f"intents/review/?post={POST}&age=older&assignee=nobody", {"review_pending"}),
        ("intents/review/?status=snoozed", {"review_pending"}),
        ("intents/review/?status=all", {"intents_review_pkey", "intents_intentresult_pkey"}),
        ("intents/review/?status=approved", {"intents_review_pkey"}),
        ("dmtrigger/directmessage/", {"dmtrigger_directmessage_pkey"}),
        ("dmtrigger/directmessage/?state__exact=unknown", {"message_due"}),
        ("dmtrigger/directmessage/?state__exact=sending", {"message_in_flight"}),
    ],
)
def test_a_page_of_a_big_table_neither_counts_nor_sorts_all_of_it(console, page, indexes):
    with explained() as plans:
        answer = console.get(f"/admin/{page}")
    assert answer.context["cl"].result_count <= COUNTED
    check(plans, indexes, most=COUNTED, may_scan=True)  # to count


@pytest.mark.parametrize(("key", "days"), [("24h", 2), ("7d", 7), ("30d", 8)])
def test_the_dashboard_reads_the_days_of_its_period_once_for_each_figure(rows, million, key, days):
    with explained() as plans:
        dashboard.figures(SPANS[key])
    check(plans, set(), most=4 * days * 125_000, may_scan=True)  # three rankings in a statement
    names = {f"comments_comment_{million + timedelta(days=n):%Y%m%d}" for n in range(DAYS)}
    assert len(names & {scan.table for plan in plans for scan in plan}) <= days


def test_what_waits_is_counted_by_indexes_of_nothing_else(rows):
    with explained() as plans:
        assert dashboard.waiting(list(What))[What.REVIEWS].number == 100
    check(plans, {"comment_unanalyzed", "review_pending"}, most=3_000)


@pytest.mark.parametrize(
    ("page", "indexes"),
    [
        ("comments/comment/?id__gte={first}&id__lt={end}", {"comments_comment_pkey"}),
        ("intents/review/?status=all&intent__gte={first}&intent__lt={end}", set()),
        ("dmtrigger/directmessage/?comment_id__gte={first}&comment_id__lt={end}", set()),
    ],
)
def test_the_rows_of_a_figure_are_found_by_a_range_of_ids(console, million, page, indexes):
    first = partitions.first_id(million + timedelta(days=DAYS - 2))
    page = page.format(first=first, end=first + partitions.IDS_PER_DAY)
    with explained() as plans:
        assert console.get(f"/admin/{page}").context["cl"].result_count > 0
    check(plans, indexes, most=COUNTED, may_scan=True)  # to count


@pytest.mark.parametrize(
    ("page", "found", "indexes"),
    [
        ("comments/comment/?q=c500000", 1, {"comments_seencomment_pkey", "comments_comment_pkey"}),
        (f"comments/comment/?q={POST}", ..., {"comment_by_post"}),
        (f"comments/comment/?q={AUTHOR}", ..., {"comment_by_author"}),
        (f"comments/comment/?q={TOP_POST}", COUNTED, set()),
        ("comments/comment/?q=post", 0, {"comment_by_post", "comment_by_author"}),
        (f"intents/review/?q={POST}", ..., {"review_pending"}),
        (f"intents/review/?status=all&q={POST}", ..., {"comment_by_post"}),
        (f"intents/review/?status=all&q={AUTHOR}", ..., {"comment_by_author"}),
        ("dmtrigger/directmessage/?q=c500000", ..., {"comments_seencomment_pkey"}),
    ],
)
def test_a_search_finds_whole_words_by_their_indexes(console, page, found, indexes):
    with explained() as plans:
        answer = console.get(f"/admin/{page}")
    if found is not ...:
        assert answer.context["cl"].result_count == found
    check(plans, indexes, most=COUNTED, may_scan=True)  # to count


# The metrics ------------------------------------------------------------------------------------

SCRAPED = {
    comments.gauges.queue: ({"comment_unanalyzed"}, 1_100),
    comments.gauges.monitors: (set(), 10),
    comments.gauges.connections: (set(), 100),
    comments.gauges.sizes: (set(), COUNTED),  # of PostgreSQL's own tables
    intents.gauges.waiting: ({"review_pending"}, 200),
    intents.gauges.model: (set(), 80_000),  # a sample of a million results
    dmtrigger.gauges.messages: (set(), COUNTED),
    dmtrigger.gauges.waiting: ({"message_due", "review_pending"}, 1_000),
    dmtrigger.gauges.accounts: ({"attempt_slots"}, 100),
    dmtrigger.gauges.deliveries: ({"webhook_due", "webhook_failed"}, 20),
}


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_a_scrape_reads_a_few_rows(rows, read):
    indexes, most = SCRAPED[read]
    with explained() as plans:
        assert list(read())
    check(plans, indexes, most=most)
