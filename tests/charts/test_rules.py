"""Each alert fires above its threshold, not below it, not too soon, and not any longer.

Prometheus' own promtool runs the rules over made-up series: 75 minutes below the threshold, as long
above it, and below it again. Each minute is a sample and an evaluation.
"""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.files import RULES, RUNBOOKS, alerts, minutes

PHASE = 75  # minutes: longer than any window and any `for`
Series = dict[str, str]
Alert = dict[str, Any]
Looks = dict[int, list[Alert]]  # minute -> what fires then
Promtool = Callable[[Series, dict[str, Looks]], str]


def gauge(low: float | str, high: float | str) -> str:
    """Sample by sample: low, high, low. `_` is no sample."""
    return " ".join(" ".join([str(value)] * PHASE) for value in (low, high, low))


def counter(low: float, high: float) -> str:
    """As `gauge`, of what is added in a minute."""
    added = [low] * PHASE + [high] * PHASE + [low] * PHASE
    return " ".join(f"{total:g}" for total in accumulate(added))


def histogram(name: str, limit: str, **also: str) -> Series:
    """A hundred observations a minute: 96 within the limit, 94, and 96 again."""
    labels = "".join(f', {label}="{value}"' for label, value in also.items())
    return {
        f'{name}_bucket{{le="{limit}"{labels}}}': counter(96, 94),
        f'{name}_bucket{{le="30"{labels}}}': counter(100, 100),
        f'{name}_bucket{{le="+Inf"{labels}}}': counter(100, 100),
    }


@dataclass
class Case:
    """Series whose high phase fires an alert, and what it says then."""

    alert: str
    severity: str
    series: Series
    says: str
    labels: dict[str, str] = field(default_factory=dict)
    lesser: str = ""
    """The severity of the same alert that fires too, and before and after as well."""
    lesser_says: str = ""
    """What that one says before and after."""

    def __str__(self) -> str:
        return f"{self.alert}-{self.severity}"


WEB = {"job": "threadsagent", "component": "web", "instance": "web:8000"}
AT_WEB = '{job="threadsagent", component="web", instance="web:8000"}'
SENT = 'direct_messages_total{state="sent"}'
FAILED = 'direct_messages_total{state="failed"}'
RESPONSES = "django_http_responses_total_by_status_total"

SCHEDULER_SILENT = (
    "Beat has not looked for more than a minute what is due. No post is polled, and work that no "
    "message told of is not found."
)

CASES = [
    Case(
        "ThreadsAgentDown",
        "critical",
        {
            'up{job="threadsagent", component="web"}': gauge(0, 0),
            'up{job="threadsagent", component="send"}': gauge(1, 0),
        },
        says="None of its processes could be scraped for two minutes.",
    ),
    Case(
        "TargetDown",
        "warning",
        {f"up{AT_WEB}": gauge(1, 0)},
        labels=WEB,
        says="web at web:8000 could not be scraped for three minutes.",
    ),
    Case(
        "SchedulerSilent",
        "critical",
        {
            'up{job="threadsagent"}': gauge(1, 1),
            # When it ticked last: now, never more, now.
            "celery_beat_last_tick_timestamp_seconds": " ".join(
                f"{(PHASE if PHASE <= minute < 2 * PHASE else minute) * 60}"
                for minute in range(3 * PHASE)
            ),
        },
        says=SCHEDULER_SILENT,
    ),
    *(
        Case(alert, severity, {f'service_reachable{{service="{service}"}}': gauge(1, 0)}, says)
        for alert, severity, service, says in (
            (
                "DatabaseUnreachable",
                "critical",
                "database",
                "No web process has reached PostgreSQL for a minute. Nothing comes in and nothing "
                "is sent.",
            ),
            (
                "BrokerUnreachable",
                "critical",
                "broker",
                "No web process has reached the broker for two minutes. Comments are stored, and "
                "nothing is analysed or sent.",
            ),
            (
                "CacheUnreachable",
                "warning",
                "cache",
                "No web process has reached Redis for two minutes. All goes on, slower and without "
                "rate limits.",
            ),
        )
    ),
    Case(
        "SlowDatabaseQueries",
        "warning",
        histogram("comment_db_query_duration_seconds", "2", operation="select"),
        labels={"operation": "select"},
        says="One in twenty select queries takes 6.667s or longer.",
    ),
    Case(
        "DatabaseConnectionsHigh",
        "warning",
        {
            "comment_db_connection_pool_active": gauge(30, 31),
            "comment_db_connection_pool_idle": gauge(50, 50),
            "comment_db_connections_max": gauge(100, 100),
        },
        says="81% of PostgreSQL's connections are taken.",
    ),
    Case(
        "CacheMemoryHigh",
        "warning",
        {
            "comment_cache_memory_usage_bytes": gauge(90, 91),
            "comment_cache_memory_max_bytes": gauge(100, 100),
        },
        says="Redis uses 91% of its maxmemory.",
    ),
    Case(
        "HighMemory",
        "warning",
        {
            f"process_resident_memory_bytes{AT_WEB}": gauge(90, 91),
            f"process_memory_limit_bytes{AT_WEB}": gauge(100, 100),
        },
        labels=WEB,
        says="web at web:8000 uses 91% of its memory limit.",
    ),
    Case(
        "HighCpu",
        "warning",
        {
            f"process_cpu_seconds_total{AT_WEB}": counter(107, 111),
            f"process_cpu_limit_cores{AT_WEB}": gauge(2, 2),
        },
        labels=WEB,
        says="web at web:8000 uses 92.5% of its processor time.",
    ),
    Case(
        "ProcessRestarting",
        "warning",
        {
            # Each quarter of an hour, then every nine minutes.
            f"process_start_time_seconds{AT_WEB}": " ".join(
                f"{minute // (9 if PHASE <= minute < 2 * PHASE else 15)}"
                for minute in range(3 * PHASE)
            )
        },
        labels=WEB,
        says="web at web:8000 has started 3 times in 30 minutes.",
    ),
    Case(
        "HttpErrors",
        "warning",
        {
            f'{RESPONSES}{{status="200"}}': counter(96, 94),
            f'{RESPONSES}{{status="503"}}': counter(4, 6),
        },
        says="6% of the answers of the last five minutes were a 5xx.",
    ),
    Case(
        "TasksFailing",
        "warning",
        {
            'celery_tasks_total{task="store_clicks", outcome="success"}': counter(91, 89),
            'celery_tasks_total{task="store_clicks", outcome="failure"}': counter(9, 11),
        },
        labels={"task": "store_clicks"},
        says="11% of the runs of store_clicks failed in the last ten minutes.",
    ),
    Case(
        "LoginsRefused",
        "info",
        {'rate_limited_total{limit="login"}': counter(0.6, 1)},
        says="15 attempts to sign in were refused in 15 minutes, for their number.",
    ),
    Case(
        "CommentProcessingErrors",
        "critical",
        {'comment_processing_errors_total{error_type="database"}': counter(5.9, 9)},
        labels={"error_type": "database"},
        says="150m errors a second of the type database.",
    ),
    Case(
        "CommentProcessingHighLatency",
        "warning",
        histogram("comment_processing_duration_seconds", "10"),
        says="One in twenty batches takes 13.33s or longer to be stored.",
    ),
    Case(
        "CommentDuplicateRate",
        "info",
        {
            "comment_duplicates_detected_total": counter(29, 31),
            "comment_processing_attempts_total": counter(100, 100),
        },
        says="31% of the comments of the last ten minutes were known already.",
    ),
    Case(
        "CommentQueueBacklog",
        "warning",
        {"comment_processing_queue_length": gauge(500, 501)},
        says="501 comments are stored and not analysed.",
    ),
    Case(
        "MonitorsDegraded",
        "warning",
        {'monitors_in_status{status="degraded"}': gauge(0, 1)},
        says="1 watched posts fail again and again, and are polled seldom.",
    ),
    Case(
        "ModelSilent",
        "critical",
        {"comment_processing_queue_depth_seconds": gauge(300, 301)},
        says="The oldest comment has waited 5m 1s, and none was analysed in five minutes.",
    ),
    Case(
        "ModelMissing",
        "critical",
        {
            'model_active{role="champion", pod="a"}': gauge(1, 1),
            'model_active{role="champion", pod="b"}': gauge(1, 0),
        },
        says="For five minutes no model was the champion, or a worker could not load it.",
    ),
    Case(
        "ModelFailing",
        "warning",
        {'intent_model_failed_total{role="champion"}': counter(0.1, 1)},
        says="The champion failed 15 times in 15 minutes; a simpler classifier answers, and all it "
        "says is held.",
    ),
    Case(
        "CommentsParked",
        "info",
        {"intent_analysis_parked": gauge(0, 1)},
        says="1 comments were tried again and again, and wait for an operator.",
    ),
    Case(
        "CommentsParked",
        "warning",
        {"intent_analysis_parked": gauge(20, 21)},
        lesser="info",
        lesser_says="20 comments were tried again and again, and wait for an operator.",
        says="21 comments were tried again and again, and wait for an operator.",
    ),
    Case(
        "ModelDrift",
        "warning",
        {"intent_score_drift": gauge(0.25, 0.26)},
        says="The scores of the last day are 260m (population stability index) from those of the "
        "week before.",
    ),
    Case(
        "ModelPrecisionLow",
        "warning",
        {"intent_precision_7d": gauge(0.5, 0.49)},
        says="Operators approved 49% of the reviews that they decided in seven days.",
    ),
    Case(
        "ReviewsClosing",
        "warning",
        {"intent_reviews_closing": gauge(0, 3)},
        says="3 reviews are undecided, and the platform's window closes within two hours.",
    ),
    Case(
        "ReviewsOld",
        "info",
        {"intent_reviews_oldest_seconds": gauge(86400, 90000)},
        says="The oldest undecided review has waited 1d 1h 0m 0s.",
    ),
    Case(
        "MessagesOverdue",
        "warning",
        {"direct_messages_overdue_seconds": gauge(300, 301)},
        says="A message has been due for 5m 1s, with nothing in its way.",
    ),
    Case(
        "MessagesOverdue",
        "critical",
        {"direct_messages_overdue_seconds": gauge(1800, 1801)},
        lesser="warning",
        lesser_says="A message has been due for 30m 0s, with nothing in its way.",
        says="A message has been due for 30m 1s, with nothing in its way.",
    ),
    Case(
        "MessagesNotSent",
        "critical",
        {'direct_messages_total{state="sending"}': counter(1, 1), SENT: counter(1, 0)},
        says="15 attempts in 15 minutes, and not one succeeded.",
    ),
    Case(
        "MessagesFailing",
        "warning",
        {SENT: counter(91, 88), FAILED: counter(9, 12)},
        says="12% of the messages of the last 30 minutes were refused for good.",
    ),
    Case(
        "MessagesUnknown",
        "warning",
        {'direct_messages_in_state{state="unknown"}': gauge(0, 2)},
        says="2 messages wait for somebody to find out whether they arrived.",
    ),
    Case(
        "MessagesExpiring",
        "warning",
        {"direct_messages_next_expiry_seconds": gauge(21600, 21599)},
        says="The first of the waiting messages expires in 5h 59m 59s.",
    ),
    Case(
        "MessagesExpiring",
        "critical",
        {"direct_messages_next_expiry_seconds": gauge(3600, 3599)},
        lesser="warning",
        lesser_says="The first of the waiting messages expires in 1h 0m 0s.",
        says="The first of the waiting messages expires in 59m 59s.",
    ),
    Case(
        "MessagesExpired",
        "warning",
        {'direct_messages_in_state{state="expired"}': counter(0, 1)},
        says="60 messages expired in an hour.",
    ),
    Case(
        "AccountRestricted",
        "critical",
        {'account_pauses_total{kind="needs_action"}': counter(0, 0.1)},
        labels={"kind": "needs_action"},
        says="An account was paused 6.5 times within the hour, for the platform said: "
        "needs_action.",
    ),
    Case(
        "AccountNearLimit",
        "info",
        {'account_limit_used_ratio{account="acme"}': gauge(0.9, 0.91)},
        labels={"account": "acme"},
        says="The account acme has used 91% of its messages of the hour.",
    ),
    Case(
        "WebhookDeliveriesFailing",
        "warning",
        {
            'webhook_deliveries_total{outcome="delivered"}': counter(5, 4),
            'webhook_deliveries_total{outcome="retried"}': counter(4, 5),
            'webhook_deliveries_total{outcome="failed"}': counter(1, 1),
        },
        says="60% of the attempts to deliver webhooks failed in 30 minutes.",
    ),
    Case(
        "ClicksLost",
        "info",
        {"link_clicks_lost_total": counter(0, 1)},
        says="15 clicks of 15 minutes could not be kept, and are missing in the funnel.",
    ),
]


@pytest.fixture
def promtool(promtool_path, tmp_path) -> Promtool:
    """Runs promtool's test of some alerts over series; what it says against their rules."""

    def run(given: Series, expected: dict[str, Looks]) -> str:
        rules = [rule for rule in alerts() if rule["alert"] in expected]
        write(tmp_path / "rules.yaml", {"groups": [{"name": "tried", "rules": rules}]})
        looks = [
            {"alertname": name, "eval_time": f"{minute}m", "exp_alerts": found}
            for name, at in expected.items()
            for minute, found in at.items()
        ]
        test = {
            "interval": "1m",
            "input_series": [{"series": name, "values": v} for name, v in given.items()],
            "alert_rule_test": looks,
        }
        file = write(tmp_path / "test.yaml", {"rule_files": ["rules.yaml"], "tests": [test]})
        command = [promtool_path, "test", "rules", str(file)]
        result = subprocess.run(command, capture_output=True, text=True)
        return "" if result.returncode == 0 else result.stdout + result.stderr

    return run


def write(file: Path, content: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(content))
    return file


def alert(case: Case, severity: str, says: str) -> Alert:
    """An alert as promtool wants it; what does not depend on the figures is the rule's."""
    rule = next(r for r in rules_of(case.alert) if r["labels"]["severity"] == severity)
    return {
        "exp_labels": case.labels | {"severity": severity},
        "exp_annotations": rule["annotations"] | {"description": says},
    }


def rules_of(name: str) -> list[dict[str, Any]]:
    return [rule for rule in alerts() if rule["alert"] == name]


def duration_of(case: Case, name: str) -> int:
    """The minutes of the rule's `for` or `keep_firing_for`."""
    [rule] = [r for r in rules_of(case.alert) if r["labels"]["severity"] == case.severity]
    return minutes(rule.get(name, ""))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_fires_above_its_threshold_and_neither_below_nor_too_soon_nor_any_longer(
    promtool, case
):
    around, fires = [], [alert(case, case.severity, case.says)]
    if case.lesser:
        around = [alert(case, case.lesser, case.lesser_says)]
        fires.append(alert(case, case.lesser, case.says))
    looks = {PHASE - 1: around, 2 * PHASE - 1: fires, 3 * PHASE - 1: around}
    if wait := duration_of(case, "for"):
        soon = [alert(case, case.lesser, case.says)] if case.lesser else []
        looks[PHASE + wait - 1] = soon
    if lingers := duration_of(case, "keep_firing_for"):
        looks[2 * PHASE + lingers - 1] = fires
    assert not promtool(case.series, {case.alert: looks})


def test_an_account_that_is_paused_again_and_again_tells_and_after_two_hours_wakes_somebody(
    promtool,
):
    # Paused for a quarter of an hour at a time; in between one message is tried.
    quarters = (["1"] * 14 + ["0"]) * (2 * PHASE // 15)
    paused = " ".join(["0"] * PHASE + quarters + ["0"] * PHASE)
    says = (
        "The account acme was paused for {} of the time: the platform throttles or restricts it, "
        "or its token is dead."
    )
    case = Case("AccountPaused", "", {}, "", labels={"account": "acme"})
    warning = alert(case, "warning", says.format("93.75%"))
    critical = alert(case, "critical", says.format("93.44%"))
    looks = {
        PHASE - 1: [],
        PHASE + 30: [warning],
        PHASE + 100: [warning],
        PHASE + 130: [critical, warning],
        4 * PHASE - 1: [],
    }
    assert not promtool({'account_paused{account="acme"}': paused}, {"AccountPaused": looks})


# What is easily wrong about rules --------------------------------------------------------------

NONE: Looks = {PHASE: [], 2 * PHASE: []}


def test_without_samples_nothing_fires_but_that_nobody_answers(promtool):
    expected = {rule["alert"]: NONE for rule in alerts()}
    case = Case("ThreadsAgentDown", "critical", {}, "", labels={"job": "threadsagent"})
    down = alert(case, "critical", "None of its processes could be scraped for two minutes.")
    expected["ThreadsAgentDown"] = {minute: [down] for minute in NONE}
    assert not promtool({}, expected)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (
            "CacheMemoryHigh",
            {
                "comment_cache_memory_usage_bytes": gauge(1, 1),
                "comment_cache_memory_max_bytes": gauge(0, 0),  # no limit is set
            },
        ),
        (
            "CommentDuplicateRate",
            {
                "comment_duplicates_detected_total": counter(0, 0),
                "comment_processing_attempts_total": counter(0, 0),
            },
        ),
        ("MessagesFailing", {SENT: counter(0, 0), FAILED: counter(0, 0)}),
    ],
)
def test_a_share_of_nothing_is_no_alert(promtool, name, given):
    assert not promtool(given, {name: NONE})


def test_a_counter_that_begins_anew_with_its_process_is_no_alert(promtool):
    errors = 'comment_processing_errors_total{error_type="database"}'
    values = " ".join(["100000"] * PHASE + ["0"] * PHASE + ["3"] * PHASE)
    assert not promtool({errors: values}, {"CommentProcessingErrors": NONE})


def test_what_all_pods_read_alike_is_counted_once(promtool):
    length = "comment_processing_queue_length"
    given = {f'{length}{{pod="{pod}"}}': gauge(0, 400) for pod in "ab"}
    assert not promtool(given, {"CommentQueueBacklog": NONE})


def test_what_each_pod_counts_is_added_up(promtool):
    errors = "comment_processing_errors_total"
    given = {f'{errors}{{error_type="source", pod="{pod}"}}': counter(0, 4.5) for pod in ("a", "b")}
    case = Case("CommentProcessingErrors", "critical", {}, "", labels={"error_type": "source"})
    says = "150m errors a second of the type source."
    expected = {PHASE - 1: [], 2 * PHASE - 1: [alert(case, "critical", says)]}
    assert not promtool(given, {"CommentProcessingErrors": expected})


def test_a_scheduler_that_is_nowhere_is_silent(promtool):
    given = {'up{job="threadsagent"}': gauge(1, 1)}
    case = Case("SchedulerSilent", "critical", {}, "")
    silent = alert(case, "critical", SCHEDULER_SILENT)
    looks = {minute: [silent] for minute in NONE}
    assert not promtool(given, {"SchedulerSilent": looks})


def test_one_release_does_not_hide_or_blame_another(promtool):
    reachable = 'service_reachable{{service="database", namespace="{}"}}'
    given = {reachable.format("prod"): gauge(1, 0), reachable.format("staging"): gauge(1, 1)}
    case = Case("DatabaseUnreachable", "critical", {}, "", labels={"namespace": "prod"})
    says = next(case.says for case in CASES if case.alert == "DatabaseUnreachable")
    expected = {2 * PHASE - 1: [alert(case, "critical", says)]}
    assert not promtool(given, {"DatabaseUnreachable": expected})


def test_comments_that_wait_long_while_others_are_analysed_are_a_backlog_only(promtool):
    given = {
        "comment_processing_queue_depth_seconds": gauge(0, 7200),
        'intent_analyzed_total{label="spam"}': counter(60, 60),
    }
    assert not promtool(given, {"ModelSilent": NONE})


# The file as a whole ---------------------------------------------------------------------------


def test_promtool_has_nothing_against_the_rules(promtool_path):
    command = [promtool_path, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_is_tried():
    tried = {(case.alert, case.severity) for case in CASES}
    tried |= {("AccountPaused", "critical"), ("AccountPaused", "warning")}
    assert {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()} == tried


def test_each_alert_says_what_it_is_and_links_to_its_runbook():
    headings = re.findall(r"^#+ (.+)$", RUNBOOKS.read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for rule in alerts():
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbooks.md"
        assert anchor == rule["alert"].lower()
        assert anchor in anchors, f"no runbook for {rule['alert']}"


def test_each_runbook_is_of_an_alert():
    runbooks = set(re.findall(r"^### (.+)$", RUNBOOKS.read_text(), re.MULTILINE))
    assert runbooks == {rule["alert"] for rule in alerts()}
