"""What a review's page says: why it was flagged, what would be sent, who wrote it, who has it."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from comments.models import Comment
from comments.scope import Scope, scope_of
from dmtrigger import people, policy
from dmtrigger.campaigns import Draft, Match, in_order, matches
from dmtrigger.people_admin import history, wishes
from dmtrigger.review_forms import BlockForm
from dmtrigger.review_queue import Snooze, closes_at
from intents import reviews
from intents.models import IntentResult, Label, Review

KEYS = (
    ("a", "approve and send"),
    ("e", "edit the text"),
    ("r", "reject"),
    ("s", "snooze"),
    ("b", "block the author"),
    ("t", "take over: answer by hand"),
    ("u", "undo"),
    ("n", "next review that waits"),
    ("p", "the one before"),
    ("Esc", "leave a field: the keys work again"),
    ("?", "these keys"),
)


def evidence(intent: IntentResult, scope: Scope) -> dict[str, Any]:
    """Why the model says so: strangers' words, and labels as people read them.

    The comments that the model learnt from may be any account's: only who sees every account is
    shown them.
    """
    found = intent.evidence or {}
    return {
        "words": words_of(intent),
        "nearest": [
            (text, Label(label).label, round(100 * similarity))
            for text, label, similarity in found.get("nearest", ())
            if scope.is_whole
        ],
    }


def words_of(intent: IntentResult) -> list[Any]:
    """The words that counted, with their weights."""
    return list((intent.evidence or {}).get("words", ()))


def about_the_draft(intent: IntentResult, planned: Draft) -> dict[str, Any]:
    """The message, what stands against it, and how long it may still be sent."""
    return {
        "draft": planned,
        "refused": [
            (refused.reason, refused.rule in policy.PERSON_MAY_OVERRIDE)
            for refused in planned.refused
        ],
        "is_forbidden": bool(policy.binding(planned.refused, by_person=True)),
        "closes_at": intent.comment.posted_at + planned.sender.window,
    }


def about_campaigns(intent: IntentResult, scope: Scope) -> list[Match]:
    """The active campaigns in order, and why each does not answer; the first that could does."""
    active = scope.narrow(in_order().filter(is_active=True))
    found = matches(intent, timezone.now(), active)
    answers = next((match.campaign for match in found if not match.why_not), None)
    return [
        match
        if match.why_not or match.campaign == answers
        else Match(match.campaign, f"{answers} comes first")
        for match in found
    ]


def about_the_author(request: HttpRequest, comment: Comment) -> dict[str, Any]:
    """What holds for the author, and what they wrote and got lately."""
    person = people.find(comment.source, comment.author)
    about: dict[str, Any] = {
        "person": person,
        "wishes": wishes(person, timezone.now()) if person else [],
        "history": history(
            comment.source, comment.author, scope_of(request.user), besides=comment.pk
        ),
    }
    if request.user.has_perm("dmtrigger.change_person"):
        about["block_form"] = BlockForm()
    return about


def about_the_claim(review: Review, user_id: int) -> dict[str, Any]:
    """Who else has the review open, and until when it may be put off."""
    now, closes = timezone.now(), closes_at(review.intent.comment)
    return {
        "claimed": reviews.claimed_elsewhere(review, user_id),
        "is_snoozed": review.snoozed_until is not None and review.snoozed_until > now,
        "snoozes": [
            (snooze.value, snooze.label) for snooze in Snooze if snooze.until(now) < closes
        ],
    }
