"""Which campaign answers a comment, and with what words."""

import hashlib
from typing import NamedTuple

from comments.models import Comment
from dmtrigger.models import Campaign
from dmtrigger.rendering import TemplateProblem, render
from dmtrigger.senders import senders
from intents.reviews import CannotApprove


class Draft(NamedTuple):
    """The message that would go out."""

    campaign: Campaign
    text: str

    def fingerprint(self) -> str:
        """Changes with the campaign and the text, so that who approves gets what they saw."""
        return hashlib.sha256(f"{self.campaign.pk}:{self.text}".encode()).hexdigest()


def campaign_for(comment: Comment) -> Campaign | None:
    """The active campaign for a comment's post: one for just this post before one for all posts,
    then the oldest."""
    candidates = Campaign.objects.filter(is_active=True, post_id__in=[comment.post_id, ""])
    return candidates.order_by("-post_id", "pk").first()


def draft(comment: Comment) -> Draft:
    """The message for a comment. Raises CannotApprove when there is none to send."""
    if comment.source not in senders():
        raise CannotApprove(f"there is no sender for comments of {comment.source}")
    campaign = campaign_for(comment)
    if campaign is None:
        raise CannotApprove(f"no active campaign is for post {comment.post_id}: add one first")
    try:
        text = render(
            campaign.template, author=comment.author, post_id=comment.post_id, link=campaign.link
        )
    except TemplateProblem as problem:
        raise CannotApprove(f"campaign {campaign}: {problem}") from problem
    return Draft(campaign, text)
