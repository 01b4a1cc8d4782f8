"""Analyse what is stored and not analysed: claim a batch, classify it, store the results."""

import logging

from django.conf import settings
from django.db import transaction

from comments import queue
from comments.models import Comment
from intents import metrics, reviews
from intents.classifier import Prediction, load_classifier
from intents.models import Band, IntentResult

logger = logging.getLogger(__name__)

BANDS = ((80, Band.IMMEDIATE_DM), (60, Band.NURTURE), (40, Band.MONITOR), (0, Band.IGNORE))


def band_of(score: int) -> Band:
    """The band of a score from 0 to 100: 80 and up, 60, 40, below."""
    return next(band for lowest, band in BANDS if score >= lowest)


def analyze_batch() -> int:
    """Analyse up to `COMMENT_BATCH_SIZE` waiting comments and return how many there were.

    Claim, results and reviews are one transaction: a worker killed at any line leaves its
    comments waiting, and none is analysed twice.
    """
    classifier = load_classifier()  # before the transaction: the first call takes seconds
    with metrics.BATCH_SECONDS.time(), transaction.atomic():
        comments = queue.claim_unanalyzed(settings.COMMENT_BATCH_SIZE)
        if not comments:
            return 0
        predictions = classifier.predict([comment.text for comment in comments])
        results = IntentResult.objects.bulk_create(
            _result(comment, prediction, classifier.version)
            for comment, prediction in zip(comments, predictions, strict=True)
        )
        queue.mark_analyzed(comments)
        reviews.flag([r for r in results if r.score >= settings.REVIEW_MIN_SCORE])
    for result in results:
        metrics.ANALYZED.labels(result.label).inc()
        logger.info(
            "comment analysed",
            extra={
                "comment_id": result.comment_id,
                "label": result.label,
                "score": result.score,
                "model_version": result.model_version,
            },
        )
    return len(results)


def _result(comment: Comment, prediction: Prediction, version: str) -> IntentResult:
    return IntentResult(
        comment=comment,
        label=prediction.label,
        score=prediction.score,
        confidence=prediction.confidence,
        band=band_of(prediction.score),
        model_version=version,
    )
