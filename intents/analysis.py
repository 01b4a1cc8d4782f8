"""Analyse what waits: claim a batch, have the models answer, store the results."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import DataError, Error, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from comments import queue
from comments.models import Comment
from intents import cache, experiments, extras, failures, metrics, registry, reviews
from intents.classifier import Prediction
from intents.models import Band, Hold, IntentResult, Sentiment
from intents.registry import Active

logger = logging.getLogger(__name__)

BANDS = ((80, Band.IMMEDIATE_DM), (60, Band.NURTURE), (40, Band.MONITOR), (0, Band.IGNORE))


class Answer(NamedTuple):
    """What a model said, and which one it was."""

    prediction: Prediction
    version: str


class Failed(NamedTuple):
    """A comment that cannot be analysed, and what was raised."""

    comment: Comment
    error: Exception


def band_of(score: int) -> Band:
    """The band of a score from 0 to 100: 80 and up, 60, 40, below."""
    return next(band for lowest, band in BANDS if score >= lowest)


def analyze_batch(when_full: Callable[[], None] = lambda: None) -> int:
    """Analyse up to `COMMENT_BATCH_SIZE` waiting comments and return how many there were.

    `when_full` is called as soon as so many are claimed: another worker may begin with the rest.
    Comments that failed before and are due come first. Claim, results, reviews and what failed
    are one transaction: a worker killed at any line leaves its comments waiting, and none is
    analysed twice. Raises `registry.NoChampion`, and `django.db.Error` when nothing was stored.
    """
    active = registry.active()  # before the transaction: to load a model takes seconds
    begun = time.perf_counter()
    with transaction.atomic():
        again = failures.claim_due(settings.COMMENT_BATCH_SIZE)
        comments = again + queue.claim_unanalyzed(settings.COMMENT_BATCH_SIZE - len(again))
        if not comments:
            return 0
        if len(comments) == settings.COMMENT_BATCH_SIZE:
            when_full()
        failed: list[Failed] = []
        results = _analyze(comments, active, failed)
        queue.mark_analyzed(comments)
        for comment, error in failed:
            failures.record(comment, error)
        answered = {result.comment_id for result in results}
        failures.settle(answered & {comment.pk for comment in again})
        experiments.store_shadow([c for c in comments if c.pk in answered], active)
    metrics.BATCH_SECONDS.observe(time.perf_counter() - begun)
    _tell(results, len(failed))
    return len(comments)


def _analyze(
    comments: Sequence[Comment], active: Active, failed: list[Failed]
) -> list[IntentResult]:
    """Answer comments and store the results; when that fails, by halves, down to those at fault."""
    try:
        with transaction.atomic():
            results = _store(comments, _ask(comments, active))
    except Exception as error:  # a model's or the database's, at a text that somebody made up
        if isinstance(error, Error) and not isinstance(error, (DataError, IntegrityError)):
            raise  # the database is away, or not migrated: that is no comment's fault
        if len(comments) == 1:
            failed.append(Failed(comments[0], error))
            return []
    else:
        return results
    middle = len(comments) // 2
    first = _analyze(comments[:middle], active, failed)
    return first + _analyze(comments[middle:], active, failed)


def _ask(comments: Sequence[Comment], active: Active) -> list[Answer]:
    """One answer a comment: of the challenger whose share it falls into, or of the champion."""
    answers: dict[int, Answer] = {}
    for challenger in active.challengers:
        own = [c for c in comments if experiments.answering(c.pk, active) is challenger]
        if own:
            said = experiments.ask(challenger, [comment.text for comment in own])
            answers |= {
                comment.pk: Answer(prediction, challenger.classifier.version)
                for comment, prediction in zip(own, said, strict=True)
                if prediction is not None
            }
    rest = [comment for comment in comments if comment.pk not in answers]
    if rest:
        predictions = cache.predict(active.champion, [comment.text for comment in rest])
        answers |= {
            comment.pk: Answer(prediction, active.champion.version)
            for comment, prediction in zip(rest, predictions, strict=True)
        }
    return [answers[comment.pk] for comment in comments]


def _store(comments: Sequence[Comment], answers: Sequence[Answer]) -> list[IntentResult]:
    now = timezone.now()
    results = IntentResult.objects.bulk_create(
        _result(comment, answer, now) for comment, answer in zip(comments, answers, strict=True)
    )
    reviews.flag([r for r in results if r.score >= settings.REVIEW_MIN_SCORE])
    return results


def _result(comment: Comment, answer: Answer, now: datetime) -> IntentResult:
    prediction, version = answer
    foreign = prediction.hold == Hold.LANGUAGE  # in German, "die" is no bad word
    return IntentResult(
        comment=comment,
        label=prediction.label,
        score=prediction.score,
        confidence=prediction.confidence,
        band=band_of(prediction.score),
        model_version=version,
        hold=prediction.hold,
        language=prediction.language,
        sentiment=Sentiment.NEUTRAL if foreign else extras.sentiment(comment.text),
        mentions_brand=extras.mentions_brand(comment.text, settings.BRAND_NAMES),
        evidence=prediction.evidence,
        created_at=now,  # Django takes half of the insert's time for a default of the database's
    )


def forget(comment_ids: Collection[int], texts: Collection[str]) -> None:
    """Drop why the model answered these comments so: their words. In the caller's transaction.

    `texts` may have become examples, which stand as similar comments beside others' results.
    """
    IntentResult.objects.filter(pk__in=comment_ids).update(evidence=None)
    if not texts:
        return
    shown = Q()
    for text in texts:
        shown |= Q(evidence__nearest__contains=[[text]])
    for result in IntentResult.objects.filter(shown):
        evidence = result.evidence or {}
        evidence["nearest"] = [other for other in evidence["nearest"] if other[0] not in texts]
        result.save(update_fields=["evidence"])


def _tell(results: Sequence[IntentResult], failed: int) -> None:
    """Metrics and one log line for a batch that is committed."""
    labels = Counter(result.label for result in results)
    for label, count in labels.items():
        metrics.ANALYZED.labels(label).inc(count)
    logger.info(
        "comments analysed",
        extra={
            "analyzed": len(results),
            "failed": failed,
            "labels": dict(labels),
            "model_versions": dict(Counter(result.model_version for result in results)),
        },
    )
