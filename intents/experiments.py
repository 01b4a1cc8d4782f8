"""Models on trial: who answers a comment, what the others say of it, and how they compare.

The only writer of `ShadowPrediction`. A challenger is asked within the batch, so it costs time, but
it cannot lose an answer: whatever is wrong with it, its own are missing and nothing else.
"""

import logging
import math
from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from numpy.typing import NDArray

from comments.models import Comment
from comments.partitions import id_at
from comments.scope import EVERY, Scope
from intents import evaluation, metrics
from intents.classifier import Prediction
from intents.labelled import BUYING, NOT_BUYING, Example
from intents.models import Hold, IntentResult, Label, ModelVersion, Review, ShadowPrediction
from intents.registry import Active, Challenger

logger = logging.getLogger(__name__)

THRESHOLDS = (60, 80)  # scores that flag, and that allow an answer without a person
MIN_DECISIONS = 30  # below, a figure would say more about chance than about the model
MOST_ROWS = 10_000  # newest answers of a version, and newest decisions
MOST_SEARCHED = 100_000  # newest results among which a version's own are looked for
LEVEL_Z = 1.96  # 95 %


# --- while comments are analysed --------------------------------------------------------------


def answering(comment_id: int, active: Active) -> Challenger | None:
    """The challenger whose share the comment falls into; None where it is the champion's.

    A hash decides, so the same comment always falls to the same one.
    """
    digest = blake2b(str(comment_id).encode(), digest_size=8).digest()
    place = int.from_bytes(digest) % 100
    for challenger in active.challengers:
        if place < challenger.traffic_percent:
            return challenger
        place -= challenger.traffic_percent
    return None


def ask(challenger: Challenger, texts: Sequence[str]) -> list[Prediction | None]:
    """A challenger's answers, None where it has none that can be used. Raises nothing."""
    try:
        answers = challenger.classifier.predict(texts)
        usable = [answer if _is_usable(answer) else None for answer in answers]
        if len(usable) != len(texts):
            raise ValueError(f"{len(usable)} answers to {len(texts)} texts")
    except Exception:  # it is on trial: nothing that it does may harm the batch
        logger.exception("challenger failed", extra={"version_id": challenger.version_id})
        usable = [None] * len(texts)
    if missing := usable.count(None):
        metrics.MODEL_FAILED.labels(ModelVersion.Role.CHALLENGER).inc(missing)
    return usable


def _is_usable(answer: Prediction) -> bool:
    return (
        answer.label in Label.values
        and 0 <= answer.score <= 100
        and math.isfinite(answer.confidence)
        and answer.hold != Hold.MODEL_FAILED
    )


def store_shadow(comments: Sequence[Comment], active: Active) -> int:
    """Ask each challenger about the comments that it does not answer, and store what it says.

    In the transaction that stores the results; returns how many answers were stored.
    """
    answerers = [answering(comment.pk, active) for comment in comments]
    rows = []
    for challenger in active.challengers:
        others = [c for c, by in zip(comments, answerers, strict=True) if by is not challenger]
        answers = ask(challenger, [comment.text for comment in others]) if others else []
        rows += [
            ShadowPrediction(
                comment_id=comment.pk,
                version_id=challenger.version_id,
                label=answer.label,
                score=answer.score,
            )
            for comment, answer in zip(others, answers, strict=True)
            if answer is not None
        ]
    try:
        with transaction.atomic():  # comments from before this table have no partition in it
            ShadowPrediction.objects.bulk_create(rows, ignore_conflicts=True)
    except IntegrityError:
        logger.exception("shadow answers could not be stored", extra={"count": len(rows)})
        return 0
    return len(rows)


# --- how they compare -------------------------------------------------------------------------


class Estimate(NamedTuple):
    """A share (0 to 1) and its 95 % interval."""

    value: float
    low: float
    high: float


class Threshold(NamedTuple):
    """What happens when everybody from a score on is called a buyer."""

    score: int
    flagged: int
    precision: Estimate | None
    recall: Estimate | None


class Agreement(NamedTuple):
    """How often a version and the champion say the same of the same comment."""

    comments: int
    same_side: Estimate
    same_label: Estimate


class Figures(NamedTuple):
    """How a version did in a period; what there is too little data for is None."""

    version: ModelVersion
    answers: int
    scores: NDArray[np.int64]
    """How many answers have each score; shape (101,)."""
    decided: int
    buyers: int
    judged: NDArray[np.int64]
    """How many decided comments have each score; shape (2, 101), who buys in the second row."""
    thresholds: list[Threshold]
    average_precision: Estimate | None
    calibration_error: Estimate | None
    bins: list[dict[str, Any]]
    """The calibration by bins of the score, as `evaluation.evaluate` gives it."""
    agreement: Agreement | None

    @property
    def is_enough(self) -> bool:
        return self.decided >= MIN_DECISIONS


class Judged(NamedTuple):
    """What people decided of flagged comments, whichever model flagged them."""

    decided: int
    buyers: int

    @property
    def precision(self) -> Estimate | None:
        """How many of those that were flagged are buyers; None while there is too little data."""
        return wilson(self.buyers, self.decided) if self.decided >= MIN_DECISIONS else None


class _Answer(NamedTuple):
    label: str
    score: int


def compare(versions: Sequence[ModelVersion], since: datetime) -> list[Figures]:
    """Figures of each version, of the comments stored since then, in the same order.

    The truth is what people decided. They decide what was flagged, so recall is that among
    flagged comments. Looks at the newest `MOST_ROWS` decisions, and answers of each version.
    """
    lowest = id_at(since)
    truth = _decisions(lowest)
    champion = ModelVersion.objects.filter(role=ModelVersion.Role.CHAMPION).defer("content").first()
    return [_figures(version, champion, truth, lowest) for version in versions]


def judged(since: datetime, scope: Scope = EVERY) -> Judged:
    """What people decided of the comments stored since then (the newest `MOST_ROWS` decisions)."""
    truth = _decisions(id_at(since), scope)
    return Judged(len(truth), sum(truth.values()))


def wilson(hits: int, n: int) -> Estimate | None:
    """A share and its Wilson interval; None of nothing."""
    if not n:
        return None
    share, z2 = hits / n, LEVEL_Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = LEVEL_Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def _figures(
    version: ModelVersion, champion: ModelVersion | None, truth: dict[int, bool], lowest: int
) -> Figures:
    newest = _newest_answers(version, lowest)
    answers = _answers_to(version, truth)
    judged = np.zeros((2, 101), np.int64)
    for comment_id, answer in answers.items():
        judged[int(truth[comment_id]), answer.score] += 1
    measured = _measured(answers, truth)
    return Figures(
        version=version,
        answers=len(newest),
        scores=np.bincount([a.score for a in newest.values()], minlength=101).astype(np.int64),
        decided=len(answers),
        buyers=int(judged[1].sum()),
        judged=judged,
        thresholds=[_threshold(judged, score) for score in THRESHOLDS],
        average_precision=_estimate(
            measured.get("average_precision"), measured, "average_precision"
        ),
        calibration_error=_estimate(
            measured.get("calibration", {}).get("expected_error"),
            measured,
            "expected_calibration_error",
        ),
        bins=measured.get("calibration", {}).get("bins", []),
        agreement=_agreement(newest, version, champion),
    )


def _measured(answers: dict[int, _Answer], truth: dict[int, bool]) -> dict[str, Any]:
    """What `evaluation` says of them; nothing when they are too few."""
    if len(answers) < MIN_DECISIONS:
        return {}
    return evaluation.evaluate(
        [Example("", BUYING if truth[pk] else NOT_BUYING, {}) for pk in answers],
        [Prediction(answer.label, answer.score, 0.0) for answer in answers.values()],
        settings.REVIEW_MIN_SCORE,
    )


def _estimate(value: float | None, measured: dict[str, Any], name: str) -> Estimate | None:
    return None if value is None else Estimate(value, *measured["intervals"][name])


def _threshold(judged: NDArray[np.int64], score: int) -> Threshold:
    if judged.sum() < MIN_DECISIONS:
        return Threshold(score, 0, None, None)
    flagged, right = int(judged[:, score:].sum()), int(judged[1, score:].sum())
    return Threshold(score, flagged, wilson(right, flagged), wilson(right, int(judged[1].sum())))


def _agreement(
    answers: dict[int, _Answer], version: ModelVersion, champion: ModelVersion | None
) -> Agreement | None:
    if champion is None or champion == version:
        return None
    pairs = [(answers[pk], said) for pk, said in _answers_to(champion, answers).items()]
    if len(pairs) < MIN_DECISIONS:
        return None
    least = settings.REVIEW_MIN_SCORE
    side = wilson(sum((a.score >= least) == (b.score >= least) for a, b in pairs), len(pairs))
    label = wilson(sum(a.label == b.label for a, b in pairs), len(pairs))
    return Agreement(len(pairs), side, label) if side and label else None


def _decisions(lowest: int, scope: Scope = EVERY) -> dict[int, bool]:
    """Whether the comment is a buyer's, by its id, as people say (rules do not count).

    Who corrects a label has looked closer than who approved or rejected.
    """
    by_people = ~Q(corrected_label="") | Q(decided_by__isnull=False)
    flagged = Review.objects.filter(by_people, intent_id__gte=lowest)
    rows = scope.narrow(flagged).order_by("-intent_id")
    return {
        pk: corrected == Label.PURCHASE_INTENT if corrected else status == Review.Status.APPROVED
        for pk, status, corrected in rows.values_list("intent_id", "status", "corrected_label")[
            :MOST_ROWS
        ]
    }


def _newest_answers(version: ModelVersion, lowest: int) -> dict[int, _Answer]:
    """The newest answers to comments from the id `lowest` on, its own and those in shadow."""
    # No index leads to a version's own results: they are looked for among the newest of all.
    newest = IntentResult.objects.order_by("-pk").values_list("pk", flat=True)
    searched = max([lowest, *newest[MOST_SEARCHED : MOST_SEARCHED + 1]])
    answers = _answers(version, Q(comment_id__gte=searched), Q(comment_id__gte=lowest))
    return dict(sorted(answers.items(), reverse=True)[:MOST_ROWS])


def _answers_to(version: ModelVersion, comment_ids: Collection[int]) -> dict[int, _Answer]:
    these = Q(comment_id__in=list(comment_ids))
    return _answers(version, these, these)


def _answers(version: ModelVersion, own: Q, shadow: Q) -> dict[int, _Answer]:
    results = IntentResult.objects.filter(own, model_version=version.name)
    results = results.exclude(hold=Hold.MODEL_FAILED)  # then it was not the model that answered
    shadows = ShadowPrediction.objects.filter(shadow, version=version)
    return {
        pk: _Answer(label, score)
        for rows in (shadows, results)
        for pk, label, score in rows.order_by("-comment_id").values_list(
            "comment_id", "label", "score"
        )[:MOST_ROWS]
    }
