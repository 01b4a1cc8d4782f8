"""How fast an account sends: its slots in the hour, the platform's own word, and pauses.

A slot is a `DeliveryAttempt`: taken when a message is claimed, held until an hour after the attempt
ended, given back when it certainly reached nobody. The message reaches the platform between the
claim and the end, so no hour, wherever it begins, sees more than the limit, with any number of
workers. The only writer of an account's pauses and usage.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from dmtrigger import audit, metrics
from dmtrigger.models import Account, DeliveryAttempt, DirectMessage
from dmtrigger.retry import ACCOUNT_PAUSES, Kind, Outcome, Usage
from dmtrigger.senders.contract import Sender
from dmtrigger.states import CLAIMABLE

HOUR = timedelta(hours=1)
IN_FLIGHT = timedelta(seconds=1)
"""When all slots are of attempts under way: look again then, one of them may give its slot back."""
SLOW_FROM, STOP_AT = 75.0, 98.0  # percent of the platform's limit
USAGE_HOLDS = HOUR  # the platforms count by the hour
USAGE_NOTED_EVERY = timedelta(minutes=1)  # at least, while it stays the same


def spacing(limit: int, usage_percent: float | None) -> timedelta:
    """The least time between two messages while the platform says that so much of its limit is
    used: from SLOW_FROM on the hour's `limit` at an even pace, so that what is left lasts."""
    slow = usage_percent is not None and usage_percent >= SLOW_FROM
    return HOUR / limit if slow else timedelta(0)


def limit_of(account: Account, sender: Sender | None) -> int | None:
    """Messages in any hour: the account's own limit or MESSAGES_PER_HOUR (0: none), and never
    more than the platform's. None: no limit."""
    own = account.hourly_limit or settings.MESSAGES_PER_HOUR
    limits = [limit for limit in (own, sender and sender.hourly_limit) if limit]
    return min(limits, default=None)


def account_of(source: str, name: str) -> Account:
    """The account whose comments are answered; not stored yet before its first message is."""
    account = Account.objects.filter(source=source, name=name).first()
    return account or Account(source=source, name=name)


def stored(account: Account) -> Account:
    """The account as it stands in the database, made if need be."""
    if not account._state.adding:
        return account
    return Account.objects.get_or_create(source=account.source, name=account.name)[0]


def next_account(now: datetime, sendable: list[str], passed_over: list[int]) -> Account | None:
    """The account that may send and has something due, locked; None if there is none.

    Of several the one whose slot has been free for longest, so that none starves.
    """
    return (
        Account.objects.select_for_update()
        .filter(Q(paused_until=None) | Q(paused_until__lte=now))
        .filter(Q(next_slot_at=None) | Q(next_slot_at__lte=now))
        .filter(_has_due(now, sender__in=sendable))
        .exclude(pk__in=passed_over)
        .order_by("next_slot_at", "pk")
        .first()
    )


def next_slot_at() -> datetime | None:
    """When the first of the accounts that have something due, and must wait, may send again."""
    now = timezone.now()
    waiting = Account.objects.filter(Q(next_slot_at__gt=now) | Q(paused_until__gt=now))
    found = waiting.filter(_has_due(now)).aggregate(
        at=Min(Greatest("next_slot_at", "paused_until"))
    )
    moment: datetime | None = found["at"]
    return moment


def _has_due(now: datetime, **also: object) -> Exists:
    due = DirectMessage.objects.filter(
        account=OuterRef("pk"), state__in=CLAIMABLE, next_attempt_at__lte=now, **also
    )
    return Exists(due)


def has_slot(account: Account, sender: Sender, now: datetime) -> bool:
    """Whether a message may leave now; if not, `next_slot_at` says from when on it is worth asking.

    The account must be locked.
    """
    limit = limit_of(account, sender)
    if limit is None:
        return True
    taken = DeliveryAttempt.objects.filter(account=account, takes_slot=True).filter(
        Q(finished_at=None) | Q(finished_at__gt=now - HOUR)
    )
    count = taken.count()
    if count >= limit:
        account.next_slot_at = _free_at(taken, count - limit, now)
        account.save(update_fields=["next_slot_at"])
        return False
    usage = account.usage_percent if _was_heard_of(account, now) else None
    if pause := spacing(limit, usage):
        account.next_slot_at = now + pause
        account.save(update_fields=["next_slot_at"])
    return True


def _free_at(taken: QuerySet[DeliveryAttempt], too_many: int, now: datetime) -> datetime:
    """When so many of the slots, and one more, will be free: after `now`.

    One of an attempt under way may be given back any moment.
    """
    ends = taken.exclude(finished_at=None).order_by("finished_at")
    first = ends.values_list("finished_at", flat=True)[too_many : too_many + 1]
    freed = [end + HOUR for end in first if end is not None]
    if taken.filter(finished_at=None).exists() or not freed:
        freed.append(now + IN_FLIGHT)
    return min(freed)


def heed(account: Account, outcome: Outcome, now: datetime) -> None:
    """Do as the platform says: note the usage, and pause the account when that is called for.

    What is known is not noted again: the row is the one that every claim of the account locks.
    """
    usage, pause = outcome.usage, ACCOUNT_PAUSES.get(outcome.kind)
    if pause is None and (usage is None or _is_known(usage, account, now)):
        return
    changes: dict[str, object] = {}
    if usage is not None:
        changes |= {"usage_percent": usage.percent, "usage_at": now}
        if usage.regain is not None:
            pause = usage.regain
        elif usage.percent >= STOP_AT and pause is None:
            pause = ACCOUNT_PAUSES[Kind.THROTTLED]
    if pause is not None:
        changes |= {"paused_until": now + pause, "pause_reason": outcome.detail or _says(usage)}
        transaction.on_commit(metrics.PAUSES.labels(outcome.kind).inc)
    Account.objects.filter(pk=account.pk).update(**changes)


def _is_known(usage: Usage, account: Account, now: datetime) -> bool:
    said_at = account.usage_at
    if said_at is None or said_at <= now - USAGE_NOTED_EVERY or usage.percent >= SLOW_FROM:
        return False
    return usage == Usage(account.usage_percent or 0.0)


def slot_is_back(account_id: int) -> None:
    """An attempt reached nobody: whoever waits for a slot may look again at once."""
    Account.objects.filter(pk=account_id, next_slot_at__isnull=False).update(next_slot_at=None)


def is_paused(account: Account) -> bool:
    """Whether the whole account waits."""
    return account.paused_until is not None and account.paused_until > timezone.now()


@transaction.atomic
def resume(account: Account, by: str) -> None:
    """Let the account send again now: somebody has mended what was wrong."""
    Account.objects.filter(pk=account.pk).update(
        paused_until=None, pause_reason="", next_slot_at=None, usage_percent=None, usage_at=None
    )
    audit.record(by, "resume account", str(account))


class Load(NamedTuple):
    """How busy an account is."""

    limit: int | None
    """Messages in any hour; None: no limit."""
    slots_used: int
    """Of the last hour."""
    waiting: int
    until: datetime | None
    """About when the last of those that wait will have left; None: none waits."""


def load(accounts: Sequence[Account], by_name: Mapping[str, Sender]) -> dict[int, Load]:
    """How busy each of the accounts is, by its key."""
    now = timezone.now()
    used = _slots_used(accounts, now)
    rows = DirectMessage.objects.filter(
        account__in=accounts, state__in=CLAIMABLE, next_attempt_at__isnull=False
    )
    waiting = dict(rows.values_list("account").annotate(Count("pk")))
    loads = {}
    for account in accounts:
        limit = limit_of(account, by_name.get(account.source))
        count, taken = waiting.get(account.pk, 0), used.get(account.pk, 0)
        until = _leaves_at(_may_send(account, now), now, limit, taken, count - 1) if count else None
        loads[account.pk] = Load(limit, taken, count, until)
    return loads


def used(accounts: Sequence[Account], by_name: Mapping[str, Sender]) -> dict[Account, float]:
    """How much of its hour each account has used: by our count, or more if the platform says so.

    Those with no limit, and of which the platform says nothing, are left out.
    """
    now = timezone.now()
    slots = _slots_used(accounts, now)
    ratios = {}
    for account in accounts:
        limit = limit_of(account, by_name.get(account.source))
        said = account.usage_percent if _was_heard_of(account, now) else None
        shares = [slots.get(account.pk, 0) / limit] if limit else []
        shares += [said / 100] if said is not None else []
        if shares:
            ratios[account] = max(shares)
    return ratios


def _was_heard_of(account: Account, now: datetime) -> bool:
    """Whether what the platform said of its usage still holds."""
    return account.usage_at is not None and account.usage_at > now - USAGE_HOLDS


def expected_at(message: DirectMessage, sender: Sender) -> datetime | None:
    """`expected` of a single message; None where it does not leave by itself."""
    return expected([message], {message.sender: sender}).get(message.pk)


def expected(
    messages: Sequence[DirectMessage], by_name: Mapping[str, Sender]
) -> dict[int, datetime]:
    """About when messages will leave, by their places in the order and their accounts' pace.

    Those that do not leave by themselves are left out. An estimate: new messages that expire
    sooner go first.
    """
    waiting = [m for m in messages if m.next_attempt_at is not None and m.sender in by_name]
    if not waiting:
        return {}
    now = timezone.now()
    used = _slots_used([message.account for message in waiting], now)
    before = _places(waiting, now)
    return {
        message.pk: _leaves_at(
            _may_send(message.account, now, message.next_attempt_at),
            now,
            limit_of(message.account, by_name[message.sender]),
            used.get(message.account_id, 0),
            before.get(message.pk, 0),
        )
        for message in waiting
    }


def _may_send(account: Account, *others: datetime | None) -> datetime:
    return max(filter(None, (account.paused_until, account.next_slot_at, *others)))


def _leaves_at(
    begin: datetime, now: datetime, limit: int | None, used: int, before: int
) -> datetime:
    """When a message leaves that may from `begin` on, with so many before it."""
    if limit is None:
        return begin
    hours = (used + before) // limit if begin <= now else before // limit
    return begin + hours * HOUR


def _slots_used(accounts: Sequence[Account], now: datetime) -> dict[int, int]:
    taken = DeliveryAttempt.objects.filter(account__in=accounts, takes_slot=True).filter(
        Q(finished_at=None) | Q(finished_at__gt=now - HOUR)
    )
    return dict(taken.values_list("account").annotate(Count("pk")))


def _places(messages: Sequence[DirectMessage], now: datetime) -> dict[int, int]:
    """How many of its account's messages leave before each of these."""
    sooner = Q(expires_at__lt=OuterRef("expires_at"))
    same = Q(expires_at=OuterRef("expires_at"), pk__lt=OuterRef("pk"))
    before = DirectMessage.objects.filter(
        sooner | same,
        account=OuterRef("account"),
        state__in=CLAIMABLE,
        next_attempt_at__lte=OuterRef("begin"),
    )
    count = before.order_by().values("account").annotate(count=Count("pk")).values("count")
    rows: QuerySet[DirectMessage] = DirectMessage.objects.filter(pk__in=[m.pk for m in messages])
    begin = Greatest(
        Value(now), F("next_attempt_at"), F("account__paused_until"), F("account__next_slot_at")
    )
    placed = rows.annotate(begin=begin, before=Coalesce(Subquery(count), 0))
    return dict(placed.values_list("pk", "before"))


def _says(usage: Usage | None) -> str:
    return f"{usage.percent:.0f} % of the platform's limit is used" if usage else ""
