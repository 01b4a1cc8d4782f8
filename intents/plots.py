"""Pictures of how models compare, as SVG. Knows no table.

They are drawn without a background and in colours of medium lightness, so that they can be read
on a light page and on a dark one. Matplotlib takes a second to import: import this where it is
needed. `Figure` is used by itself, since pyplot keeps state that threads would share.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from intents.experiments import Figures

INK = "#808080"
# Told apart by people who see colours differently too; the lines differ as well.
COLOURS = ("#3b8fd9", "#e0802b", "#2fa37c", "#b86fc6", "#c9554f", "#998a35")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
NOTHING = "too few decisions"


def calibration(compared: Sequence["Figures"]) -> bytes:
    """How many of 100 buy, for each tenth of the score: on the diagonal the score is honest."""
    figure, axes = _axes("score", "of 100 buy", "Calibration")
    axes.plot([0, 100], [0, 100], color=INK, linewidth=1, linestyle=":")
    for figures, style in _styled(compared):
        bins = [row for row in figures.bins if row["examples"]]
        if bins:
            shares = [100 * row["buyers_share"] for row in bins]
            axes.plot([row["mean_score"] for row in bins], shares, **style)
    return _svg(figure, axes)


def precision_recall(compared: Sequence["Figures"]) -> bytes:
    """Precision and recall for each score from which on a comment would be flagged."""
    figure, axes = _axes("recall among flagged, %", "precision, %", "Precision and recall")
    for figures, style in _styled(compared):
        if figures.is_enough and figures.buyers:
            from_top = figures.judged[:, ::-1].cumsum(axis=1)
            flagged = from_top.sum(axis=0)
            there = flagged > 0
            recall = 100 * from_top[1, there] / figures.buyers
            precision = 100 * from_top[1, there] / flagged[there]
            axes.plot(recall, precision, **(style | {"marker": ""}))
    return _svg(figure, axes)


def scores(compared: Sequence["Figures"]) -> bytes:
    """Which share of a version's answers has which score, in steps of five."""
    figure, axes = _axes("score", "of 100 answers (logarithmic)", "Scores of all answers")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, 110)
    edges = np.arange(0, 105, 5)
    for figures, style in _styled(compared):
        if figures.answers:
            counts = np.histogram(np.arange(101), edges, weights=figures.scores)[0]
            line = {key: style[key] for key in ("color", "linestyle", "label")}
            axes.stairs(100 * counts / figures.answers, edges, linewidth=1.8, **line)
    axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes.set_yticks([], minor=True)
    return _svg(figure, axes, "no answers yet")


def _axes(x_label: str, y_label: str, title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.add_subplot(xlim=(-2, 102), ylim=(-2, 102))
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.set_title(title, color=INK, loc="left", fontsize=11)
    axes.tick_params(colors=INK, which="both")
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    axes.spines[:].set_visible(False)
    return figure, axes


def _styled(compared: Sequence["Figures"]) -> Iterator[tuple["Figures", dict[str, Any]]]:
    """Each version with a style of its own, the same in all pictures."""
    for place, figures in enumerate(compared):
        yield (
            figures,
            {
                "color": COLOURS[place % len(COLOURS)],
                "linestyle": LINES[place % len(LINES)],
                "marker": MARKERS[place % len(MARKERS)],
                "markersize": 4,
                "linewidth": 1.8,
                "label": str(figures.version).replace("$", r"\$"),  # which would begin a formula
            },
        )


def _svg(figure: Figure, axes: Any, nothing: str = NOTHING) -> bytes:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(labelcolor=INK, frameon=False, fontsize=9)
    else:
        axes.text(0.5, 0.5, nothing, color=INK, ha="center", va="center", transform=axes.transAxes)
    content = BytesIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return content.getvalue()
