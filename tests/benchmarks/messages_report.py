"""The figures of the messages for reading: tables, and how they compare with what was aimed at."""

from tests.benchmarks.figures import Figures, heading
from tests.benchmarks.report import Target

QUIET_LOAD = 0.7  # processes that run or wait, from which on the figures prove nothing
APPROACHES = {
    "approve": "from an approval to the ledger",
    "polled": "  the outbox looked at once a second",
    "direct": "  the request alone, nothing stored",
    "arrive": "from POST /comments/process",
}
TARGETS = (
    Target("from an approval, median", "approve_median_s", 0.3, unit=" s"),
    Target("from an approval, p95", "approve_p95_s", 1, unit=" s"),
    Target("from a comment's arrival, p95", "arrive_p95_s", 2, unit=" s"),
    Target("messages beyond the limit, in any hour", "pace_beyond_limit", 0),
    Target("share of the limit that is used", "pace_share_used_percent", 97, True, " %"),
    Target("messages out of the order of expiry", "pace_out_of_order", 0),
)
REDIRECT = Target("short links a second, the slowest kind", "redirect_slowest_per_s", 1_000, True)


def render(figures: Figures) -> str:
    """The whole report."""
    parts = [_conditions(figures), _times(figures), _further(figures), _verdict(figures)]
    return "\n\n".join(parts) + "\n"


def _conditions(f: Figures) -> str:
    quick = "  (--quick: little of everything)" if f["quick"] else ""
    busy = ""
    if f.number("load_before") > QUIET_LOAD:
        busy = "\nOTHERS WERE AT WORK: measure again on a quiet machine"
    return (
        f"{f['cores']} cores ({f['processor']}), {f['system']}, Python {f['python']},\n"
        f"PostgreSQL {f['postgres']} (fsync {f['postgres_fsync']}), Valkey {f['valkey']};"
        f" load before {f.number('load_before'):.2f};"
        f" {f.number('seconds_in_all') / 60:.0f} minutes{quick}{busy}"
    )


def _times(f: Figures) -> str:
    lines = [
        heading(
            f"{f['approve_asked_per_s']} approvals a second; {f['arrive_asked_per_s']} comments"
        ),
        f"  {'':<38}{'n':>6}{'median':>10}{'p95':>10}{'slowest':>10}{'CPU s/1000':>12}",
    ]
    for name, label in APPROACHES.items():
        median, p95, slowest = (f.number(f"{name}_{k}_s") for k in ("median", "p95", "slowest"))
        cpu = f.number(f"{name}_sender_cpu_s_per_1000")
        lines.append(
            f"  {label:<38}{f[f'{name}_n']:>6}{median:>8.3f} s{p95:>8.3f} s{slowest:>8.3f} s"
            + (f"{cpu:>12.3g}" if name != "direct" else "")
        )
    return "\n".join(lines)


def _further(figures: Figures) -> str:
    f = figures.rounded()
    lines = [heading("further")]
    lines += [
        f"  kept up     the latest approval {f['approve_late_s']} s after it was due, the latest"
        f" call {f['arrive_late_s']} s",
        f"  arrivals    {f['arrive_messages']:,} messages for {f['arrive_comments']:,} comments;"
        f" a call {f['arrive_call_median_s']} s, p95 {f['arrive_call_p95_s']} s",
        f"              CPU s for 1,000 comments: web {f['arrive_web_cpu_s_per_1000_comments']},"
        f" analysis {f['arrive_analysis_cpu_s_per_1000_comments']}",
        f"  memory      web {f['arrive_web_memory_mb']} MB, analysis"
        f" {f['arrive_analysis_memory_mb']} MB,"
        f" sending {f['arrive_sender_memory_mb']} MB a process",
        f"  pace        {f['pace_messages']:,} at once, {f['pace_limit']} an hour:"
        f" {f['pace_hours']} hours, {f['pace_share_used_percent']} % used,"
        f" {f['pace_share_used_worst_hour_percent']} % in the worst hour",
        f"              at most {f['pace_most_in_an_hour']} in any hour,"
        f" {f['pace_at_85_percent_shortest_gap_s']} s apart while the platform says 85 %;"
        f" at 96 % {f['pace_at_96_percent_pause_minutes']} minutes of rest",
    ]
    if "redirect_new_per_s" in f:
        lines.append(
            f"  short links {f['redirect_new_per_s']} a second, {f['redirect_again_per_s']} of"
            f" those followed before; a plain view {f['redirect_plain_per_s']}"
        )
    else:
        lines.append("  short links not measured: there is no benchmark of them here")
    return "\n".join(lines)


def _verdict(figures: Figures) -> str:
    targets = [*TARGETS, *([REDIRECT] if REDIRECT.figure in figures else [])]
    return "\n".join([heading("targets"), *(target.line(figures) for target in targets)])
