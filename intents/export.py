"""What operators decided, as labelled comments to train with."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

from django.db.models import QuerySet

from intents.labelled import Example, same
from intents.models import Label, Review


class LeftOut(StrEnum):
    """Why a decision makes no example."""

    UNKNOWN = "rejected without saying what they really are"
    OLDER = "decided again later, with the same text"


def reviewed_examples(since: datetime | None = None) -> Iterator[Example]:
    """The comments that persons decided, each text once, with the label that follows from it.

    Newest decision first; see `outcomes`.
    """
    return (outcome for outcome in outcomes(since) if isinstance(outcome, Example))


def outcomes(since: datetime | None = None) -> Iterator[Example | LeftOut]:
    """What each decision of a person teaches, from the newest to that of `since`.

    The newest decision on a text is the one that holds, also when it teaches nothing. Reads in
    portions; of each text 16 bytes are kept.
    """
    rows = decided(since).order_by("-decided_at", "-pk")
    columns = ("intent__comment__text", "status", "corrected_label", "intent__label")
    known = set()
    for text, status, corrected, predicted in rows.values_list(*columns).iterator():
        digest = hashlib.blake2b(same(text).encode(), digest_size=16).digest()
        if digest in known:
            yield LeftOut.OLDER
            continue
        known.add(digest)
        label, kind = _label(status, corrected, predicted)
        yield Example(text, label, {"slice": kind}) if label else LeftOut.UNKNOWN


def decided(since: datetime | None = None) -> QuerySet[Review]:
    """The reviews that persons decided, at or after `since`; campaigns' rules know no better."""
    reviews = Review.objects.filter(decided_by__isnull=False)
    return reviews.filter(decided_at__gte=since) if since else reviews


def _label(status: str, corrected: str, predicted: str) -> tuple[str, str]:
    """What the comment is, empty if nobody knows, and the slice it is of."""
    if status == Review.Status.APPROVED:
        return Label.PURCHASE_INTENT.value, "review_approved"
    if corrected:
        return corrected, "review_corrected"
    # To reject what the model took for a buyer says what it is not, and not what it is.
    return "" if predicted == Label.PURCHASE_INTENT else predicted, "review_rejected"
