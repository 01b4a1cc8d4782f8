"""The figures of the analysis for reading: tables."""

from tests.benchmarks.figures import Figures, heading

CORES = (1, 2)
WORKER = "worker"
BASELINES = ("one_by_one", "batched")
QUIET_LOAD = 0.7  # processes that run or wait, from which on the figures prove nothing
APPROACHES = {
    WORKER: "Celery worker",
    "one_by_one": "MiniLM, one by one",
    "batched": "MiniLM, in batches",
}
STREAMS = {
    "real": "real comments",
    "short": "short comments under a shop's posts",
    "short_unseen": "  the same, of nothing in the training data",
}


def render(figures: Figures) -> str:
    """The whole report."""
    measured = str(figures["streams"]).split()
    parts = [_conditions(figures)]
    parts += [_approaches(figures, stream) for stream in measured]
    parts += [_stages(figures, [*measured, "short_unseen"])]
    if "real" not in measured:
        parts.append(heading('no real comments were analysed: ARGS="--real FILE" does it'))
    return "\n\n".join(parts) + "\n"


def _conditions(f: Figures) -> str:
    quick = "  (--quick: one repetition of little)" if f["quick"] else ""
    busy = ""
    if f.number("load_before") > QUIET_LOAD:
        busy = "\nOTHERS WERE AT WORK, which flatters us: measure again on a quiet machine"
    return (
        f"{f['cores']} cores ({f['processor']}), {f['system']}, Python {f['python']},\n"
        f"PostgreSQL {f['postgres']} (fsync {f['postgres_fsync']}), Valkey {f['valkey']},"
        f" model {f['model']};\nload before {f.number('load_before'):.2f};"
        f" {f.number('seconds_in_all') / 60:.0f} minutes{quick}{busy}"
    )


def _approaches(f: Figures, stream: str) -> str:
    r = f.rounded()
    lines = [
        heading(f"{f[f'{stream}_comments']:,} {STREAMS[stream]}"),
        f"  on average {r[f'{stream}_mean_words']} words, {r[f'{stream}_mean_tokens']} tokens;"
        f" {r[f'{stream}_repeats_percent']} % repeats",
        f"  {'cores':>5}  {'':<19}{'n':>3}{'comments/s':>12}{'worst':>9}{'CPU s/1000':>12}"
        f"{'memory MB':>11}{'ours':>9}{'its CPU':>9}",
    ]
    for cores in CORES:
        for approach, label in APPROACHES.items():
            lines.append(_line(f, f"{stream}_{approach}_{cores}core", cores, label))
            if approach != WORKER:
                ours = f"{stream}_{WORKER}_{cores}core"
                lines[-1] += f"{f.number(f'{ours}_times_{approach}'):>8.3g}×"
                lines[-1] += f"{f.number(f'{ours}_cpu_times_less_than_{approach}'):>7.3g}÷"
    lines += [_answered(f, f"{stream}_{WORKER}_{cores}core", cores) for cores in CORES]
    return "\n".join(lines)


def _line(f: Figures, name: str, cores: int, label: str) -> str:
    number = f.number
    return (
        f"  {cores:>5}  {label:<19}{f[f'{name}_n']:>3}{number(f'{name}_comments_per_s'):>12,.0f}"
        f"{number(f'{name}_worst_comments_per_s'):>9,.0f}"
        f"{number(f'{name}_cpu_s_per_1000'):>12.3g}{number(f'{name}_memory_mb'):>11,.0f}"
    )


def _answered(f: Figures, name: str, cores: int) -> str:
    shares = {
        kind: f.number(f"{name}_answered_{kind}_percent")
        for kind in ("process", "redis", "batch", "model")
    }
    return (
        f"  {cores:>5}  answered by the process {shares['process']:.1f} %, Redis"
        f" {shares['redis']:.1f} %, the same batch {shares['batch']:.1f} %, the model"
        f" {shares['model']:.1f} %\n         PostgreSQL:"
        f" {f.number(f'{name}_postgres_cpu_s_per_1000'):.2g} CPU s/1000"
    )


def _stages(f: Figures, streams: list[str]) -> str:
    lines = [
        heading("the model alone, distinct texts, one core: with and without the first stage"),
        f"  {'':<45}{'':>7}{'CPU s/1000':>16}{'the two disagree':>20}",
        f"  {'':<45}{'share':>7}{'with':>9}{'without':>9}{'flag':>9}{'label':>9}",
    ]
    for stream in streams:
        share, staged, strong, side, label = (
            f.number(f"{stream}_{key}")
            for key in (
                *("first_stage_percent", "staged_cpu_s_per_1000", "strong_cpu_s_per_1000"),
                *("other_side_percent", "other_label_percent"),
            )
        )
        lines.append(
            f"  {STREAMS[stream]:<45}{share:>5.1f} %{staged:>9.3g}{strong:>9.3g}"
            f"{side:>7.2f} %{label:>7.1f} %"
        )
    return "\n".join(lines)
