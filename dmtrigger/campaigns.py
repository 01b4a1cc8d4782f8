"""Which campaign answers a comment, with what words, and what stands against it."""

import copy
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from comments.models import Comment
from comments.scope import EVERY, Scope
from dmtrigger import links, pacing, people, policy
from dmtrigger.models import Account, Campaign, DirectMessage, Variant
from dmtrigger.policy import Facts, Limits, Refused
from dmtrigger.rendering import TemplateProblem, Values, check_edited, render
from dmtrigger.senders import sender_for
from dmtrigger.senders.contract import Channel, Sender
from intents.models import Hold, IntentResult
from intents.reviews import CannotApprove


class Draft(NamedTuple):
    """The message that would go out."""

    campaign: Campaign
    variant: Variant
    account: Account
    sender: Sender
    text: str
    link: str
    refused: list[Refused]
    """What stands against it, also what an operator may set aside."""
    is_edited: bool = False
    """Whether an operator wrote the text."""

    def fingerprint(self) -> str:
        """Changes with the campaign and the text, so that who approves gets what they saw."""
        return hashlib.sha256(f"{self.campaign.pk}:{self.text}".encode()).hexdigest()


class Wording(NamedTuple):
    """What a campaign says to a comment, and who would send it."""

    variant: Variant
    sender: Sender
    text: str
    link: str


class Match(NamedTuple):
    """A campaign, and why it does not answer a comment; empty: it could."""

    campaign: Campaign
    why_not: str


PRECEDENCE = ("priority", "-post_id", F("account").asc(nulls_last=True), "pk")


def in_order() -> QuerySet[Campaign]:
    """All campaigns in the order of precedence, which is that of every list of them: the lowest
    priority, one for a single post, one for an account, the oldest."""
    return Campaign.objects.select_related("account", "endpoint").order_by(*PRECEDENCE)


def matches(intent: IntentResult, now: datetime, campaigns: Iterable[Campaign]) -> list[Match]:
    """What each campaign says to a comment, in order; the first without an objection answers."""
    return [Match(campaign, objection(campaign, intent, now)) for campaign in campaigns]


def objection(campaign: Campaign, intent: IntentResult, now: datetime) -> str:
    """Why this campaign does not answer a comment, for people; empty if it does."""
    comment = intent.comment
    for applies, why in (
        (not campaign.is_active, "it is not active"),
        (campaign.starts_at is not None and now < campaign.starts_at, "it has not begun"),
        (campaign.ends_at is not None and now >= campaign.ends_at, "it has ended"),
        (
            campaign.post_id not in ("", comment.post_id),
            f"it is for the post {campaign.post_id}",
        ),
        (
            campaign.account is not None
            and (campaign.account.source, campaign.account.name)
            != (comment.source, comment.account),
            f"it is for the account {campaign.account}",
        ),
        (intent.score < campaign.min_score, f"it answers scores from {campaign.min_score} on"),
    ):
        if applies:
            return why
    required, excluded = words_of(campaign.required_words), words_of(campaign.excluded_words)
    if required and not _found(required, comment.text):
        return f"the comment has none of: {', '.join(required)}"
    if found := _found(excluded, comment.text):
        return f"the comment has the word “{found}”"
    return ""


def as_if_active(campaign: Campaign) -> Campaign:
    """The campaign as it would be if it were active now, whatever its start and end; not stored."""
    active = copy.copy(campaign)
    active.is_active, active.starts_at, active.ends_at = True, None, None
    return active


def active_campaigns(scope: Scope = EVERY) -> list[Campaign]:
    """Those that answer comments, in order, with their variants."""
    return list(scope.narrow(in_order().filter(is_active=True)).prefetch_related("variants"))


def campaign_for(
    intent: IntentResult, now: datetime, campaigns: Iterable[Campaign]
) -> Campaign | None:
    """The first of the campaigns, which are in order, that answers a comment."""
    found = matches(intent, now, campaigns)
    return next((match.campaign for match in found if not match.why_not), None)


def draft(
    intent: IntentResult,
    campaigns: Iterable[Campaign] | None = None,
    edited: str | None = None,
) -> Draft:
    """The message for a comment, by the first campaign that answers it.

    `campaigns` are the active ones, for who has read them already; `edited` is the text that an
    operator wants instead. Raises CannotApprove when there is no message to send; what the policy
    refuses is in the draft.
    """
    now, comment = timezone.now(), intent.comment
    among = active_campaigns() if campaigns is None else campaigns
    campaign, wording = answer(intent, now, among)
    if edited is not None:
        wording = _reworded(wording, edited)
    account = pacing.account_of(comment.source, comment.account)
    contact = people.contact(comment.source, comment.author, now)
    return Draft(
        campaign,
        wording.variant,
        account,
        wording.sender,
        wording.text,
        wording.link,
        policy.refusals(facts(intent, account, wording, contact), limits(), now),
        is_edited=edited is not None,
    )


def answer(
    intent: IntentResult, now: datetime, campaigns: Iterable[Campaign]
) -> tuple[Campaign, Wording]:
    """The first of the campaigns that answers a comment, and its words. Raises CannotApprove."""
    campaign = campaign_for(intent, now, campaigns)
    if campaign is None:
        raise CannotApprove(
            f"no active campaign answers this comment under {intent.comment.post_id}: add one first"
        )
    return campaign, word(campaign, intent.comment)


def _reworded(wording: Wording, edited: str) -> Wording:
    """The same with an operator's text, which keeps its links. Raises CannotApprove."""
    try:
        check_edited(edited, wording.text)
    except TemplateProblem as problem:
        raise CannotApprove(f"The text cannot be sent: {problem}") from problem
    return wording._replace(text=edited)


def word(campaign: Campaign, comment: Comment) -> Wording:
    """The words for a comment; raises CannotApprove when the campaign has none, or no sender."""
    sender = sender_for(comment.source, Channel(campaign.channel))
    if sender is None:
        raise CannotApprove(
            f"nothing can send a {campaign.channel} to comments of {comment.source}"
        )
    variant = variant_for(campaign, comment.pk)
    if variant is None:
        raise CannotApprove(f"campaign {campaign} has no message: add a variant with a weight")
    try:
        text = render(variant.template, values_for(comment))
    except TemplateProblem as problem:
        raise CannotApprove(f"campaign {campaign}: {problem}") from problem
    link = links.with_parameters(campaign.link, utm(campaign, variant))
    return Wording(variant, sender, text, link)


def values_for(comment: Comment) -> Values:
    """What a template's variables stand for in the answer to a comment."""
    return Values(
        comment.author,
        comment.post_id,
        links.short_link(comment.pk),
        links.opt_out_link(comment.pk),
    )


def approves(campaign: Campaign, intent: IntentResult) -> bool:
    """Whether the campaign approves a comment that it answers by itself, if the policy lets it."""
    threshold = campaign.auto_threshold
    held = intent.hold == Hold.MODEL_FAILED
    return threshold is not None and intent.score >= threshold and not held


def variant_for(campaign: Campaign, comment_id: int) -> Variant | None:
    """Which wording a comment gets: drawn by weight, the same for a comment at every look."""
    every = sorted(campaign.variants.all(), key=lambda variant: variant.pk)  # may be prefetched
    variants: Sequence[Variant] = [variant for variant in every if variant.weight]
    if not variants:
        return None
    digest = hashlib.blake2b(f"{campaign.pk}:{comment_id}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest) % sum(variant.weight for variant in variants)
    for variant in variants:
        if place < variant.weight:
            return variant
        place -= variant.weight
    raise AssertionError("the place is below the sum of the weights")


def utm(campaign: Campaign, variant: Variant) -> dict[str, str]:
    """The link's parameters, by which a shop's statistics know where a visit comes from."""
    if not (campaign.utm_source or campaign.utm_medium or campaign.utm_campaign):
        return {}
    return {
        "utm_source": campaign.utm_source,
        "utm_medium": campaign.utm_medium,
        "utm_campaign": campaign.utm_campaign,
        "utm_content": variant.name,
    }


def limits() -> Limits:
    """The policy's limits, as they are set."""
    return Limits(
        max_age=timedelta(hours=settings.MAX_COMMENT_AGE_HOURS),
        min_characters=settings.MIN_COMMENT_CHARACTERS,
        cool_down=timedelta(hours=settings.COOL_DOWN_HOURS),
        weekly=settings.MESSAGES_PER_WEEK,
        disclosure=tuple(settings.DISCLOSURE),
    )


def facts(
    intent: IntentResult, account: Account, wording: Wording, contact: people.Contact
) -> Facts:
    """What the policy asks for, of a comment that has no message yet."""
    comment = intent.comment
    return Facts(
        author=comment.author,
        text=comment.text,
        posted_at=comment.posted_at,
        is_own=account.owns(comment.author),
        foreign=intent.hold == Hold.LANGUAGE,
        **contact._asdict(),
        message=wording.text,
        max_bytes=wording.sender.max_bytes,
        window=wording.sender.window,
    )


def last_look(message: DirectMessage, now: datetime) -> list[Refused]:
    """What stands against a message when it is about to leave: the person's wishes of by now."""
    if message.is_erased:  # while an attempt was under way, which did not deliver it
        return [Refused(policy.Rule.OPTED_OUT, "the person's data was erased")]
    # The messages are left out: they were counted when this one was approved.
    person = people.find(message.source, message.recipient)
    contact = people.contact_of(person, now, 0, ())
    return policy.of_the_wishes(
        message.recipient,
        blocked=contact.blocked,
        opted_out=contact.opted_out,
        talking_with=contact.talking_with,
    )


def words_of(text: str) -> list[str]:
    """Words and phrases that stand in a field with commas or lines between."""
    return [word.strip() for word in re.split(r"[,\n]", text) if word.strip()]


def _found(words: Sequence[str], text: str) -> str:
    """The first of the words that the text has as a word of its own, in any case; or empty."""
    for word in words:
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE):
            return word
    return ""
