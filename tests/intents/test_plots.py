"""The pictures are SVG, name every model, and say so when there is nothing to draw."""

from xml.etree import ElementTree

import numpy as np
import pytest

from intents import evaluation, plots
from intents.classifier import Prediction
from intents.experiments import Estimate, Figures
from intents.labelled import BUYING, NOT_BUYING, Example
from intents.models import ModelVersion

# Matplotlib draws letters as shapes, and puts what they say into comments.
DRAWN = (plots.calibration, plots.precision_recall, plots.scores)


def figures_of(name: str, judged: list[tuple[int, bool]]) -> Figures:
    table = np.zeros((2, 101), np.int64)
    for score, buys in judged:
        table[int(buys), score] += 1
    examples = [Example("", BUYING if buys else NOT_BUYING, {}) for _score, buys in judged]
    said = [Prediction("other", score, 0.5) for score, _buys in judged]
    measured = evaluation.evaluate(examples, said, 60) if judged else {}
    return Figures(
        version=ModelVersion(name=name),
        answers=len(judged),
        scores=table.sum(axis=0),
        decided=len(judged),
        buyers=int(table[1].sum()),
        judged=table,
        thresholds=[],
        average_precision=Estimate(0.5, 0.4, 0.6),
        calibration_error=None,
        bins=measured.get("calibration", {}).get("bins", []),
        agreement=None,
    )


@pytest.mark.parametrize("draw", DRAWN)
def test_a_picture_is_transparent_svg_that_names_the_models(draw):
    judged = [(score, score > 50) for score in range(0, 101, 2)]
    content = draw([figures_of("first", judged), figures_of("second $x$ <b>", judged)])
    root = ElementTree.fromstring(content)  # noqa: S314 - our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "<!-- first -->" in content.decode()
    assert "second" in content.decode()
    assert "<script" not in content.decode()
    assert "#ffffff" not in content.decode()


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("compared", [[], [figures_of("new", [])]])
def test_without_figures_the_picture_says_so(draw, compared):
    nothing = "no answers yet" if draw is plots.scores else "too few decisions"
    assert f"<!-- {nothing} -->" in draw(compared).decode()


@pytest.mark.parametrize("draw", DRAWN)
def test_models_beyond_the_styles_are_drawn_too(draw):
    judged = [(score, score > 50) for score in range(0, 101, 2)]
    assert draw([figures_of(f"model {n}", judged) for n in range(8)])
