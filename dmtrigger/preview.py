"""A wording as somebody would get it, before it is stored."""

from typing import NamedTuple

from django.conf import settings

from comments.models import Comment
from comments.scope import EVERY, Scope
from dmtrigger import policy
from dmtrigger.campaigns import as_if_active, limits, objection, values_for
from dmtrigger.models import Campaign
from dmtrigger.rendering import TemplateProblem, check_template, render
from dmtrigger.senders import sender_for
from dmtrigger.senders.contract import Channel
from intents.models import Review

NEWEST = 50  # flagged comments among which one is looked for that the campaign means


class Preview(NamedTuple):
    """The message, for whom it would be, and why it would not be sent."""

    text: str
    sample: str
    size: int
    problems: list[str]


def preview(
    template: str, channel: str, campaign: Campaign | None, scope: Scope = EVERY
) -> Preview:
    """The template for a sample comment: the last that was flagged and that the campaign means."""
    comment = _sample(campaign, scope)
    sample = f"for {comment.author} under {comment.post_id}"
    try:
        text = render(template, values_for(comment))
        check_template(template)
    except TemplateProblem as problem:
        return Preview("", sample, 0, [str(problem)])
    sender = sender_for(comment.source, Channel(channel))
    if sender is None:
        problems = [f"nothing can send a {channel} to comments of {comment.source}"]
    else:
        found = policy.of_the_message(text, sender.max_bytes, limits())
        problems = [refused.reason for refused in found]
    return Preview(text, sample, len(text.encode()), problems)


def _sample(campaign: Campaign | None, scope: Scope) -> Comment:
    flagged = scope.narrow(Review.objects.select_related("intent__comment"))
    intents = [review.intent for review in flagged.order_by("-pk")[:NEWEST]]
    if campaign is not None:
        active = as_if_active(campaign)
        meant = [intent for intent in intents if not objection(active, intent, intent.created_at)]
        intents = meant or intents
    if intents:
        return intents[0].comment
    return Comment(pk=0, source=settings.COMMENT_SOURCE, author="ada", post_id="a post")
