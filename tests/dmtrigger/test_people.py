"""People's wishes are kept, and two approvals at once cannot both find a cap unreached."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from dmtrigger import outbox, people
from dmtrigger.models import AuditEntry, DirectMessage, Person, Refusal
from dmtrigger.states import State
from intents.models import Review
from intents.reviews import CannotApprove, decide, flag
from tests.factories import (
    AccountFactory,
    CampaignFactory,
    CommentFactory,
    DirectMessageFactory,
    IntentResultFactory,
    ReviewFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
SOURCE = "fake_platform"
DAY = timedelta(days=1)


def opted_out(name: str = "ada", after: timedelta = timedelta(0)) -> bool:
    return people.contact(SOURCE, name, timezone.now() + after).opted_out


def approve(review: Review) -> None:
    decide(review.pk, Review.Status.APPROVED, user_id=UserFactory().pk)


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("STOP", True),
        ("stop.", True),
        (" Stop! ", True),
        ("Stop it please", True),
        ("unsubscribe me", True),
        ("opt-out", True),
        ("Arrêt", True),
        ("please don't stop making these", False),
        ("I cancel my plans for this bag", False),
        ("nonstop", False),
        ("", False),
        ("🛑", False),
        ("stop " + "x" * 40, False),
    ],
)
def test_an_answer_that_says_stop_is_obeyed_at_once(text, stops):
    assert people.wrote(SOURCE, "ada", text, timezone.now()) is stops
    assert opted_out() is stops


@pytest.mark.parametrize(("days", "still"), [(7, False), (30, True), (None, True)])
def test_an_opt_out_lasts_as_long_as_was_said(days, still):
    people.opt_out(SOURCE, "ada", Person.By.LINK, days=days)
    assert opted_out()
    assert opted_out(after=8 * DAY) is still
    assert not opted_out("grace")


@pytest.mark.parametrize(("first", "second"), [(None, 7), (30, 7)])
def test_a_shorter_opt_out_does_not_shorten_a_longer_one(first, second):
    people.opt_out(SOURCE, "ada", Person.By.REPLY, days=first)
    people.opt_out(SOURCE, "ada", Person.By.LINK, days=second)
    assert opted_out(after=20 * DAY)


def test_an_opt_out_is_taken_back_by_name_and_audited():
    person = people.opt_out(SOURCE, "ada", Person.By.OPERATOR, actor="olga")
    people.opt_in(person.pk, "olga")
    assert not opted_out()
    assert list(AuditEntry.objects.values_list("actor", "action")) == [
        ("olga", "opt out"),
        ("olga", "opt in"),
    ]


def test_who_opted_out_gets_nothing_and_the_refusal_is_kept():
    campaign = CampaignFactory()
    people.opt_out(SOURCE, "ada", Person.By.REPLY)
    review = ReviewFactory()
    with pytest.raises(CannotApprove, match="ada wants no messages"):
        approve(review)
    assert not DirectMessage.objects.exists()
    refusal = Refusal.objects.get()
    assert (refusal.rule, refusal.campaign) == ("opted_out", campaign)
    assert refusal.comment_id == review.intent.comment_id


def test_a_refusal_is_kept_once():
    CampaignFactory()
    people.block(SOURCE, "ada", "olga")
    review = ReviewFactory()
    for _ in range(2):
        with pytest.raises(CannotApprove):
            approve(review)
    assert Refusal.objects.count() == 1


@pytest.mark.parametrize("why", ["opted out", "blocked", "own"])
def test_what_nobody_could_approve_is_not_put_before_an_operator(why):
    CampaignFactory(auto_threshold=60)
    if why == "opted out":
        people.opt_out(SOURCE, "ada", Person.By.REPLY)
    elif why == "blocked":
        people.block(SOURCE, "ada", "olga")
    else:
        AccountFactory(usernames="shop, @Ada")
    flag([IntentResultFactory()])
    review = Review.objects.get()
    assert (review.status, review.decided_by) == ("rejected", None)
    assert review.decided_by_rule.startswith("policy: ")
    assert Refusal.objects.count() == 1


def test_a_rule_leaves_to_an_operator_what_an_operator_may_set_aside(operator):
    CampaignFactory(auto_threshold=60)
    flag([IntentResultFactory(comment__posted_at=timezone.now() - 3 * DAY)])
    review = Review.objects.get()
    assert review.status == "pending"
    assert Refusal.objects.get().rule == "too_old"
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    assert DirectMessage.objects.exists()


def test_who_was_written_to_is_left_alone_for_a_day(settings):
    settings.COOL_DOWN_HOURS = 24
    CampaignFactory()
    sent = DirectMessageFactory(state=State.SENT, sent_at=timezone.now() - 23 * DAY / 24)
    with pytest.raises(CannotApprove, match="a message to ada was sent at"):
        approve(ReviewFactory())
    DirectMessage.objects.filter(pk=sent.pk).update(sent_at=timezone.now() - DAY)
    approve(ReviewFactory())


def test_an_operator_s_talk_with_a_person_is_not_interrupted(operator):
    CampaignFactory()
    person = people.take_over(SOURCE, "ada", operator.pk, "olga")
    with pytest.raises(CannotApprove, match="olga is talking to ada"):
        approve(ReviewFactory())
    people.hand_back(person.pk, "olga")
    approve(ReviewFactory())


@pytest.mark.parametrize("wish", ["opt out", "block", "talk"])
def test_a_wish_of_after_the_approval_is_kept_when_the_message_would_leave(
    fake_platform, operator, wish
):
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    message = DirectMessageFactory(review__intent__comment__external_id=comment["id"])
    if wish == "opt out":
        people.opt_out(SOURCE, "ada", Person.By.LINK)
    elif wish == "block":
        people.block(SOURCE, "ada", "olga")
    else:
        people.take_over(SOURCE, "ada", operator.pk, "olga")
    assert outbox.deliver_next() is None
    message.refresh_from_db()
    assert message.state == State.SUPPRESSED
    assert "ada" in message.last_error
    assert Refusal.objects.count() == 1
    assert fake_platform.store.messages() == []


def test_a_message_in_doubt_is_not_asked_about_when_the_person_wants_none(fake_platform):
    message = DirectMessageFactory(state=State.UNKNOWN, maybe_delivered=True)
    people.opt_out(SOURCE, "ada", Person.By.LINK)
    assert outbox.deliver_next() is None
    message.refresh_from_db()
    assert (message.state, message.next_attempt_at) == (State.UNKNOWN, None)


def test_the_same_name_on_another_platform_is_another_person():
    people.block("elsewhere", "ada", "olga")
    CampaignFactory()
    approve(ReviewFactory())


@pytest.mark.django_db(transaction=True)
def test_of_many_approvals_at_once_one_reaches_a_person():
    CampaignFactory()
    reviews = [
        ReviewFactory(intent=IntentResultFactory(comment=CommentFactory(author="ada")))
        for _ in range(8)
    ]
    user = UserFactory()

    def work(review: Review) -> bool:
        try:
            decide(review.pk, Review.Status.APPROVED, user_id=user.pk)
        except CannotApprove:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        approved = list(pool.map(work, reviews))
    assert sum(approved) == 1
    assert DirectMessage.objects.count() == 1


def test_several_people_are_found_at_once_also_by_a_former_key(settings, django_assert_num_queries):
    people.block(SOURCE, "ada", "olga")
    people.block(SOURCE, "bea", "olga")
    people.forget(SOURCE, "bea")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [settings.SECRET_KEY]
    with django_assert_num_queries(1):
        found = people.find_all([(SOURCE, "ada"), (SOURCE, "bea"), (SOURCE, "joan")])
    assert set(found) == {(SOURCE, "ada"), (SOURCE, "bea")}
    assert found[SOURCE, "bea"].name.startswith("erased-")


def test_several_people_are_locked_in_one_order(django_assert_num_queries):
    """Or two transactions that need the same people could wait for each other."""
    with django_assert_num_queries(2) as asked:
        people.lock((SOURCE, "bea"), (SOURCE, "ada"), (SOURCE, "bea"))
        people.lock((SOURCE, "ada"), (SOURCE, "bea"))
    first, second = (query["sql"] for query in asked)
    assert first == second
