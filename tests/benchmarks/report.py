"""The figures for reading: tables, and how they compare with what was aimed at."""

from dataclasses import dataclass

from tests.benchmarks.figures import Figures, Value, heading
from tests.benchmarks.latency import SIZES
from tests.benchmarks.writers import WRITERS

APPROACHES = {
    "process": "POST /comments/process",
    "spec": "the spec's approach",
    "spec_unconfirmed": "  without confirmations",
    "copy_new": "COPY of the new rows",
    "copy_all": "COPY of all rows",
}


@dataclass(frozen=True)
class Target:
    """A figure and its bound."""

    what: str
    figure: str
    bound: float
    at_least: bool = False
    unit: str = ""

    def line(self, figures: Figures) -> str:
        """The verdict."""
        value = figures.number(self.figure)
        met = value >= self.bound if self.at_least else value <= self.bound
        sign = "≥" if self.at_least else "≤"
        found = f"{value:,.4g}{self.unit}"
        verdict = "met" if met else "MISSED"
        return f"  {verdict:<8}{self.what:<54}{found:>11}  ({sign} {self.bound:g}{self.unit})"


TARGETS = (
    Target(
        "10,000: faster than the spec's approach",
        "process_10000_times_faster_than_spec",
        12,
        True,
        "×",
    ),
    Target("10,000: as long as COPY of the new rows", "process_10000_times_copy_new", 3, unit="×"),
    Target(
        "a comment of 25,000 takes as long as one of 1,000",
        "per_comment_25000_to_1000",
        1.3,
        unit="×",
    ),
    Target(
        "calls into the large table as long as into the small",
        "large_to_small_table",
        1.3,
        unit="×",
    ),
    Target("1,000 comments, p95", "process_1000_p95_s", 1, unit=" s"),
    Target("5,000 comments, p95", "process_5000_p95_s", 3, unit=" s"),
    Target("10,000 comments, p95", "process_10000_p95_s", 5, unit=" s"),
    Target("25,000 comments, p95", "process_25000_p95_s", 12, unit=" s"),
    Target("a worker's memory grows by 10,000 comments", "memory_growth_10000_mb", 30, unit=" MB"),
    Target("re-polling is faster than storing", "repoll_times_faster", 3, True, "×"),
    Target("rows written by re-polling", "repoll_rows_written", 0),
    Target("share of deduplication in a call", "dedupe_percent", 5, unit=" %"),
    Target("retiring a day", "retire_slowest_s", 1, unit=" s"),
    Target("comments lost", "exact_lost", 0),
    Target("comments stored twice", "exact_twice", 0),
    Target("rows in the ledger or the table alone", "exact_not_in_both", 0),
    Target("rows more or fewer than the answers said", "exact_miscounted", 0),
    Target("calls that failed", "exact_failed_calls", 0),
)


def render(figures: Figures) -> str:
    """The whole report."""
    parts = [_machine(figures), _calls(figures), _others(figures), _verdict(figures)]
    return "\n\n".join(parts) + "\n"


def _machine(f: Figures) -> str:
    quick = "  (--quick: few repetitions, small tables)" if f["quick"] else ""
    return (
        f"{f['cores']} cores, {f['system']}, Python {f['python']}, PostgreSQL {f['postgres']}"
        f" (fsync {f['postgres_fsync']}),\nValkey {f['valkey']}, RabbitMQ {f['rabbitmq']}; load"
        f" before {f.number('load_before'):.2f};"
        f" {f.number('seconds_in_all') / 60:.0f} minutes{quick}"
    )


def _calls(figures: Figures) -> str:
    lines = [
        heading("calls, a third of the comments duplicates"),
        f"  {'comments':>8}  {'':<24}{'n':>4}{'median':>11}{'p95':>11}{'comments/s':>13}"
        f"{'to ours':>11}",
    ]
    for size in SIZES:
        for kind, label in APPROACHES.items():
            name = f"{kind}_{size}"
            if f"{name}_n" not in figures:
                continue
            ratio = figures.ratio(name, f"process_{size}")
            lines.append(
                f"  {size:>8,}  {label:<24}{_times(figures, name)}"
                + (f"{ratio:>10.3g}×" if kind != "process" else "")
            )
    return "\n".join(lines)


def _times(figures: Figures, name: str) -> str:
    median, p95 = (figures.number(f"{name}_{what}_s") for what in ("median", "p95"))
    per_second = figures.number(f"{name}_comments_per_s")
    return f"{figures[f'{name}_n']:>4}{median:>9.4f} s{p95:>9.4f} s{per_second:>13,.0f}"


def _others(figures: Figures) -> str:
    f = figures.rounded()
    timed = {
        "10,000 new ones": "store_10000_new",
        "again, Redis knows them": "repoll_10000",
        "again, Redis is empty": "repoll_10000_redis_empty",
        f"into {f['small_table_comments']:,} comments": "small_table_process_10000",
        f"into {f['large_table_comments']:,} comments": "large_table_process_10000",
    }
    lines = [heading("10,000 comments")]
    lines += [f"  {'':>8}  {label:<24}{_times(figures, name)}" for label, name in timed.items()]
    lines += ["", heading("several writers, 1,000 comments a call")]
    lines += [
        f"  {n:>8}  writers: {f[f'writers_{n}_comments_per_s']:,.0f} comments/s,"
        f" p95 {f[f'writers_{n}_p95_s']} s, {f[f'writers_{n}_n']} calls"
        for n in WRITERS
    ]
    lines += ["", heading("further")]
    lines += [f"  {label:<26}{text}" for label, text in _further(f)]
    return "\n".join(lines)


def _further(f: dict[str, Value]) -> list[tuple[str, str]]:
    return [
        (
            "re-polling",
            f"{f['repoll_rows_written']} rows written; numbers of the sequence used:"
            f" {f['repoll_ids_used']}, with Redis empty {f['repoll_redis_empty_ids_used']}",
        ),
        (
            "exactness",
            f"{f['exact_sent']:,} sent in {f['exact_calls']} calls by 8 writers,"
            f" {f['exact_sent_distinct']:,} distinct, {f['exact_rows']:,} rows,"
            f" {f['exact_seconds']} s",
        ),
        (
            "memory of a worker",
            f"+{f['memory_growth_10000_mb']} MB (at most {f['memory_growth_10000_max_mb']}) by"
            f" 10,000 comments, n = {f['memory_growth_10000_n']}",
        ),
        (
            "  and in the long run",
            f"{f['rss_warm_mb']} MB at first, {f['rss_after_25000_mb']} MB after calls with"
            f" 25,000, {f['rss_end_mb']} MB at the end",
        ),
        (
            "statements a call",
            f"{f['statements_10000']}: {f['statements_10000_comments']} for the comments,"
            f" {f['statements_10000_transaction']} BEGIN, COMMIT and savepoints,"
            f" {f['statements_10000_other']} others ({f['statements_1000']} for 1,000 comments)",
        ),
        (
            "deduplication",
            f"{f['dedupe_percent']} %: {f['dedupe_redis_cost_s']} s in memory and Redis,"
            f" {f['dedupe_statement_cost_s']} s in the statement",
        ),
        (
            "  the check for conflicts",
            f"{f['dedupe_conflict_check_percent']} %: {f['dedupe_conflict_check_cost_s']} s"
            f" for the new ones alone, n = {f['dedupe_n']}",
        ),
        (
            "the ledger",
            f"{f['ledger_percent']} %: the statement {f['dedupe_insert_s']} s,"
            f" into the comments alone {f['dedupe_plain_s']} s",
        ),
        (
            "retiring a day",
            f"{f['retired_comments']:,} comments: median {f['retire_median_s']} s,"
            f" slowest {f['retire_slowest_s']} s, n = {f['retire_n']}",
        ),
    ]


def _verdict(figures: Figures) -> str:
    return "\n".join([heading("targets"), *(target.line(figures) for target in TARGETS)])
