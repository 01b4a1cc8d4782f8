"""What is stored of a person, and how they are taken out of it. docs/privacy.md says what stays.

Each table is emptied by the module that writes it. Clicks and Django's log of the admin are the
exceptions; from them only what names a person is taken away.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from comments import erasure, idempotency
from comments.models import Comment
from dmtrigger import audit, outbox, people, refusals, webhooks
from dmtrigger.models import (
    AuditEntry,
    Click,
    Conversion,
    DirectMessage,
    Person,
    Refusal,
)
from dmtrigger.serializers import DirectMessageSerializer
from intents import analysis, failures, reviews
from intents.models import AnalysisFailure, IntentResult, Review, ShadowPrediction

ERASE = "erase person"
DIGEST_DIGITS = 16
CODE = re.compile(rf"[0-9a-f]{{{DIGEST_DIGITS}}}[0-9]{{1,18}}")


class Erasure(NamedTuple):
    """What was done, and the code by which it can be asked about later."""

    code: str
    counts: dict[str, int]


# --- what there is ----------------------------------------------------------------------------


def export_person(source: str, name: str, actor: str) -> dict[str, Any]:
    """All that is stored of a person, for a JSON document. That it was asked for is noted."""
    audit.record(actor, "export person", people.in_audit(source, name))
    names = people.known_as(source, name)
    comments = Comment.objects.filter(source=source, author__in=names).order_by("pk")
    messages = DirectMessage.objects.filter(source=source, recipient__in=names).order_by("pk")
    comment_ids = [*comments.values_list("pk", flat=True)]
    answered = {*comment_ids, *messages.values_list("comment_id", flat=True)}
    targets = [f"person {found}" for found in people.pseudonyms(source, name)]
    return {
        "source": source,
        "name": name,
        "exported_at": timezone.now(),
        "wishes": _rows(Person.objects.filter(source=source, name__in=names)),
        "comments": _rows(comments),
        "analyses": _rows(IntentResult.objects.filter(pk__in=comment_ids)),
        "analyses_on_trial": _rows(ShadowPrediction.objects.filter(comment_id__in=comment_ids)),
        "failed_analyses": _rows(AnalysisFailure.objects.filter(pk__in=comment_ids)),
        "reviews": _rows(Review.objects.filter(intent__in=comment_ids)),
        "messages": [_message(message) for message in messages],
        "refusals": _rows(Refusal.objects.filter(comment_id__in=answered)),
        "audit_log": _rows(AuditEntry.objects.filter(target__in=targets)),
    }


def _message(message: DirectMessage) -> dict[str, Any]:
    """A message, what came of it, and who was told."""
    return {
        **DirectMessageSerializer(message).data,
        "clicks": _rows(Click.objects.filter(message=message)),
        "conversions": _rows(Conversion.objects.filter(message=message)),
        "told_to": list(
            webhooks.told_of([message]).values(
                "endpoint__name", "payload__type", "state", "delivered_at"
            )
        ),
    }


def _rows(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    return list(rows.values())


# --- taking it away ---------------------------------------------------------------------------


@transaction.atomic
def erase_person(source: str, name: str, actor: str) -> Erasure:
    """Take a person out of everything that is stored, or out of nothing if that fails.

    The locks are taken in the order in which the analysis, the decisions and the outbox take
    theirs, so whatever is under way for this person ends first, and is erased with the rest.
    """
    replacement = people.erased_name(source, name)
    failures.settle(erasure.ids_of(source, name))
    texts = erasure.forget(source, name, replacement)
    review_ids = list(Review.objects.filter(intent__in=texts).values_list("pk", flat=True))
    _forget_analyses(texts)
    reviews.forget(texts.keys(), "the person's data was erased")
    person_id = people.forget(source, name)
    messages = outbox.forget_person(source, name, replacement)
    _forget_followers(messages)
    refused = refusals.forget_persons({*texts, *(message.comment_id for message in messages)})
    forget_in_admin_log(Comment, texts)
    forget_in_admin_log(Review, review_ids)
    forget_in_admin_log(DirectMessage, [message.pk for message in messages])
    forget_in_admin_log(Person, [] if person_id is None else [person_id])
    idempotency.forget(name)
    counts = {
        "comments": len(texts),
        "reviews": len(review_ids),
        "messages": len(messages),
        "refusals": refused,
        "wishes": int(person_id is not None),
    }
    entry = audit.record(actor, ERASE, people.in_audit(source, name), **counts)
    return Erasure(_code(settings.SECRET_KEY, entry.pk), counts)


def _forget_analyses(texts: Mapping[int, str]) -> None:
    """Only what was reviewed can have been learnt from, and be shown beside others' comments."""
    reviewed = Review.objects.filter(intent__in=texts).values_list("intent_id", flat=True)
    analysis.forget(texts.keys(), {texts[comment_id] for comment_id in reviewed})


def _forget_followers(messages: Sequence[DirectMessage]) -> None:
    """What was told to other systems of the messages, and what browsers told of the person."""
    webhooks.forget_messages(messages)
    Click.objects.filter(message__in=messages).update(user_agent="")


def forget_in_admin_log(model: type[Model], keys: Iterable[int]) -> None:
    """Take the names out of what the admin's own log says of these rows; who did it stays."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(model), object_id__in=map(str, keys)
    )
    entries.update(object_repr="erased", change_message="")


# --- being asked about it later ---------------------------------------------------------------


def erasure_of(code: str) -> AuditEntry | None:
    """The erasure that somebody was given this code for; None if the code is not of ours."""
    if not CODE.fullmatch(code):
        return None
    key = int(code[DIGEST_DIGITS:])
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any(hmac.compare_digest(_code(secret, key), code) for secret in keys):
        return None
    return AuditEntry.objects.filter(pk=key, action=ERASE).first()


def _code(secret: str, entry_id: int) -> str:
    """Letters and digits, as Meta wants it: a part of an HMAC, and the entry of the audit log."""
    key = b"dmtrigger.privacy " + secret.encode()
    return f"{hmac.digest(key, str(entry_id).encode(), 'sha256').hex()[:DIGEST_DIGITS]}{entry_id}"
