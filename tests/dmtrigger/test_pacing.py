"""No hour sees more than its limit, none of it is wasted, and the platform's word is heeded."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from dmtrigger import outbox, pacing, tasks
from dmtrigger.models import Account, DirectMessage
from dmtrigger.retry import Kind, Outcome, Usage
from dmtrigger.senders.fake_platform import SENDER
from dmtrigger.states import State
from tests.factories import AccountFactory, CampaignFactory, DirectMessageFactory

pytestmark = pytest.mark.django_db
START = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


class Platform:
    """Notes when each message came, by the virtual clock, and answers as told."""

    def __init__(self) -> None:
        self.came: list[tuple[datetime, str]] = []
        self.answers: list[Outcome] = []

    def send(self, delivery) -> Outcome:
        outcome = self.answers.pop(0) if self.answers else Outcome(Kind.SENT, message_id="m")
        if outcome.kind is Kind.SENT:
            self.came.append((timezone.now(), delivery.comment_id))
        return outcome


@pytest.fixture
def platform(monkeypatch) -> Platform:
    platform = Platform()
    sender = SENDER._replace(send=platform.send)
    monkeypatch.setattr(outbox, "senders", lambda: {"fake_platform": sender})
    return platform


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def waiting(count: int, **fields) -> list[DirectMessage]:
    fields = {"account": AccountFactory(), "campaign": CampaignFactory()} | fields
    return [
        DirectMessageFactory(
            review=None,
            comment_id=DirectMessage.objects.count() + 1,
            external_id=f"c{number}",
            source="fake_platform",
            post_id="p1",
            posted_at=START,
            recipient=f"buyer {number}",
            next_attempt_at=START,
            expires_at=fields.pop("expires_at", START + timedelta(days=7) + number * SECOND),
            **fields,
        )
        for number in range(count)
    ]


def deliver_all() -> int:
    count = 0
    while outbox.deliver_next() is not None:
        count += 1
    return count


def most_in_an_hour(moments: list[datetime]) -> int:
    """In the hour that has most, wherever it begins; its end is not of it."""
    return max(bisect_left(moments, at + HOUR) - place for place, at in enumerate(moments))


def run(clock, hours: float, every: timedelta = 15 * SECOND) -> None:
    """What the sweep does as time goes by."""
    end = timezone.now() + hours * HOUR
    while timezone.now() < end:
        deliver_all()
        clock.shift(every)


def test_no_hour_sees_more_than_the_limit_and_nothing_of_it_is_wasted(platform, clock):
    Account.objects.create(source="fake_platform", hourly_limit=30)
    waiting(100)
    run(clock, 3.2)
    moments = [at for at, _ in platform.came]
    assert most_in_an_hour(moments) == 30
    for hour in range(3):  # while there is work: at least 97 % of the limit
        begin = START + hour * HOUR
        assert sum(begin <= at < begin + HOUR for at in moments) >= 0.97 * 30
    assert len(moments) == 100


def test_what_expires_first_leaves_first(platform, clock, settings):
    settings.MESSAGES_PER_HOUR = 2
    late, soon = waiting(1)[0], waiting(1, expires_at=START + HOUR)[0]
    DirectMessage.objects.filter(pk=late.pk).update(external_id="late")
    DirectMessage.objects.filter(pk=soon.pk).update(external_id="soon")
    deliver_all()
    assert [comment for _, comment in platform.came] == ["soon", "late"]


@pytest.mark.parametrize("kind", [Kind.NOT_DELIVERED, Kind.REFUSED, Kind.HELD])
def test_an_attempt_that_reached_nobody_gives_its_slot_back(platform, clock, settings, kind):
    settings.MESSAGES_PER_HOUR = 1
    waiting(2)
    platform.answers = [Outcome(kind, "no")]
    deliver_all()
    assert len(platform.came) == 1


def test_an_attempt_with_an_unknown_outcome_keeps_its_slot(platform, clock, settings):
    settings.MESSAGES_PER_HOUR = 1
    waiting(2)
    platform.answers = [Outcome(Kind.UNKNOWN, "lost")]
    deliver_all()
    assert platform.came == []


@pytest.mark.parametrize(
    ("kind", "pause"),
    [(Kind.THROTTLED, 5), (Kind.RESTRICTED, 60), (Kind.NEEDS_ACTION, 15)],
)
def test_a_troubled_account_pauses_as_a_whole_and_comes_back(platform, clock, kind, pause):
    first, _ = waiting(2)
    platform.answers = [Outcome(kind, "code 4")]
    assert deliver_all() == 1
    first.refresh_from_db()
    assert first.state == State.PENDING  # it keeps its place
    account = Account.objects.get()
    assert (account.pause_reason, account.paused_until) == (
        "code 4",
        START + timedelta(minutes=pause),
    )
    clock.shift(timedelta(minutes=pause) - SECOND)
    assert deliver_all() == 0
    clock.shift(SECOND)
    assert deliver_all() == 2


def test_another_account_goes_on_meanwhile(platform, clock):
    waiting(1)
    other = AccountFactory(name="other")
    waiting(1, account=other)
    platform.answers = [Outcome(Kind.THROTTLED)]
    assert deliver_all() == 2
    assert len(platform.came) == 1


def test_the_platform_says_how_long_a_pause_is(platform, clock):
    waiting(2)
    usage = Usage(100.0, timedelta(minutes=40))
    platform.answers = [Outcome(Kind.THROTTLED, "code 80002", usage=usage)]
    deliver_all()
    assert Account.objects.get().paused_until == START + timedelta(minutes=40)


def test_a_limit_that_is_nearly_used_pauses_before_the_platform_has_to(platform, clock):
    waiting(2)
    platform.answers = [Outcome(Kind.SENT, message_id="m", usage=Usage(98.0))]
    assert deliver_all() == 1
    account = Account.objects.get()
    assert account.pause_reason == "98 % of the platform's limit is used"
    assert account.paused_until == START + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("percent", "seconds"), [(None, 0), (0.0, 0), (74.9, 0), (75.0, 36), (97.0, 36)]
)
def test_from_three_quarters_on_the_pace_is_even(percent, seconds):
    assert pacing.spacing(100, percent) == seconds * SECOND


def test_usage_slows_an_account_down_for_an_hour(platform, clock, settings):
    settings.MESSAGES_PER_HOUR = 60
    waiting(20)
    platform.answers = [Outcome(Kind.SENT, message_id="m", usage=Usage(85.0))]
    deliver_all()
    assert len(platform.came) == 2  # the second left before the next minute's slot was set
    run(clock, 1 / 6, every=10 * SECOND)
    assert len(platform.came) == 11
    clock.shift(HOUR)
    deliver_all()
    assert len(platform.came) == 20


def test_who_waits_for_a_slot_is_woken_when_it_is_free(platform, clock, settings, monkeypatch):
    woken = []
    monkeypatch.setattr(tasks, "wake_once", lambda task, moment: woken.append((task.name, moment)))
    settings.MESSAGES_PER_HOUR = 360
    waiting(3)
    platform.answers = [Outcome(Kind.SENT, message_id="m", usage=Usage(85.0))]
    tasks.deliver_direct_messages()
    assert woken == [("deliver_direct_messages", START + 10 * SECOND)]
    clock.shift(10 * SECOND)
    tasks.deliver_direct_messages()
    assert len(platform.came) == 3
    assert len(woken) == 1  # nothing waits any more


def test_a_paused_account_is_looked_at_when_its_pause_ends(platform, clock):
    waiting(1)
    platform.answers = [Outcome(Kind.THROTTLED, usage=Usage(100.0, 20 * SECOND))]
    deliver_all()
    clock.shift(10 * SECOND)
    assert pacing.next_slot_at() == START + 20 * SECOND


def test_usage_that_stays_the_same_is_noted_once_a_minute(platform, clock, settings):
    waiting(3)
    settings.MESSAGES_PER_HOUR = 0
    said = Outcome(Kind.SENT, message_id="m", usage=Usage(10.0))
    platform.answers = [said, said, said]
    outbox.deliver_next()
    clock.shift(59 * SECOND)
    outbox.deliver_next()
    assert Account.objects.get().usage_at == START
    clock.shift(SECOND)
    outbox.deliver_next()
    assert Account.objects.get().usage_at == START + 60 * SECOND


@pytest.mark.parametrize(
    ("own", "setting", "platform_s", "limit"),
    [
        (None, 100, 750, 100),
        (200, 100, 750, 200),
        (900, 100, 750, 750),
        (None, 0, 750, 750),
        (None, 0, None, None),
        (50, 0, None, 50),
    ],
)
def test_the_limit_is_the_accounts_else_ours_and_never_above_the_platforms(
    settings, own, setting, platform_s, limit
):
    settings.MESSAGES_PER_HOUR = setting
    sender = SENDER._replace(hourly_limit=platform_s)
    assert pacing.limit_of(AccountFactory(hourly_limit=own), sender) == limit


def test_a_pause_can_be_ended_by_hand(platform, clock):
    waiting(1)
    Account.objects.update(paused_until=START + HOUR, pause_reason="token")
    assert deliver_all() == 0
    pacing.resume(Account.objects.get(), "olga")
    assert deliver_all() == 1


def test_what_waits_says_about_when_it_will_leave(platform, clock, settings):
    settings.MESSAGES_PER_HOUR = 10
    messages = waiting(25)
    deliver_all()
    last = DirectMessage.objects.get(pk=messages[-1].pk)
    assert pacing.expected_at(last, SENDER) == START + 2 * HOUR
    next_one = DirectMessage.objects.get(pk=messages[10].pk)
    assert pacing.expected_at(next_one, SENDER) == START + HOUR


def test_what_is_sent_is_not_expected(platform, clock):
    [message] = waiting(1)
    deliver_all()
    message.refresh_from_db()
    assert pacing.expected_at(message, SENDER) is None


def test_what_expires_while_it_waits_says_so(platform, clock, settings):
    settings.MESSAGES_PER_HOUR = 1
    waiting(1)
    [second] = waiting(1, expires_at=START + HOUR / 2)
    run(clock, 0.1)
    deliver_all()
    DirectMessage.objects.filter(pk=second.pk).update(state=State.PENDING, next_attempt_at=START)
    clock.shift(HOUR)
    assert outbox.expire_overdue() == 1
    second.refresh_from_db()
    assert second.state == State.EXPIRED
    assert second.last_error == "the platform's window closed while it waited"
