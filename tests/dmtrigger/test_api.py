"""Campaigns, messages, accounts, opt-outs and refusals over HTTP."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from dmtrigger import people, refusals
from dmtrigger.models import Account, AuditEntry, DirectMessage, Person
from dmtrigger.outbox import deliver_next
from dmtrigger.policy import Refused, Rule
from dmtrigger.states import State
from intents.models import Review
from intents.reviews import decide
from tests.factories import (
    AccountFactory,
    CampaignFactory,
    DirectMessageFactory,
    ReviewFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def test_a_message_says_its_state_and_its_attempts(api_of, fake_platform):
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    message = DirectMessageFactory(review__intent__comment__external_id=comment["id"])
    deliver_next()
    api = api_of("dmtrigger.view_directmessage")
    body = api.get(f"/messages/{message.pk}").json()
    assert (body["state"], body["recipient"], body["comment_id"]) == (
        "sent",
        "ada",
        message.comment_id,
    )
    assert [attempt["outcome"] for attempt in body["log"]] == ["sent"]
    assert [event["state"] for event in body["events"]] == ["sending", "sent"]
    assert api.get("/messages").json()["results"] == [body]


def test_campaigns_are_listed(api_of):
    campaign = CampaignFactory(auto_threshold=90)
    [row] = api_of("dmtrigger.view_campaign").get("/campaigns").json()["results"]
    assert (row["name"], row["auto_threshold"]) == (campaign.name, 90)


# --- what is done with messages ---------------------------------------------------------------


def test_a_message_that_waits_is_taken_back(api_of):
    message = DirectMessageFactory()
    api = api_of("dmtrigger.cancel_directmessage")
    answer = api.post(f"/messages/{message.pk}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.json()["events"][-1]["by"] == AuditEntry.objects.get().actor
    again = api.post(f"/messages/{message.pk}/cancel")
    assert again.status_code == 409
    assert "can't be taken back any more" in again.json()["detail"]


@pytest.mark.parametrize("state", [State.SENDING, State.SENT, State.UNKNOWN, State.FAILED])
def test_what_has_left_is_not_taken_back(api_of, state):
    message = DirectMessageFactory(state=state)
    api = api_of("dmtrigger.cancel_directmessage")
    assert api.post(f"/messages/{message.pk}/cancel").status_code == 409
    message.refresh_from_db()
    assert message.state == state


def test_an_approval_is_undone_and_the_review_waits_again(api_of):
    CampaignFactory()
    review = ReviewFactory()
    decide(review.pk, Review.Status.APPROVED, user_id=UserFactory().pk)
    message = DirectMessage.objects.get()
    api = api_of("intents.decide_review")
    answer = api.post(f"/messages/{message.pk}/undo")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    review.refresh_from_db()
    assert (review.status, review.decided_by) == ("pending", None)
    assert api.post(f"/messages/{message.pk}/undo").status_code == 409


def test_an_approval_whose_message_was_sent_is_not_undone(api_of):
    message = DirectMessageFactory(state=State.SENT, review__status="pending")
    answer = api_of("intents.decide_review").post(f"/messages/{message.pk}/undo")
    assert answer.status_code == 409
    message.refresh_from_db()
    assert message.state == "sent"


def test_without_its_review_an_approval_cannot_be_undone(api_of):
    message = DirectMessageFactory()
    DirectMessage.objects.update(review=None)
    answer = api_of("intents.decide_review").post(f"/messages/{message.pk}/undo")
    assert answer.status_code == 409
    assert "cancel the message" in answer.json()["detail"]


@pytest.mark.parametrize(("delivered", "state"), [(True, "sent"), (False, "pending")])
def test_an_unknown_outcome_is_settled(api_of, delivered, state):
    message = DirectMessageFactory(state=State.UNKNOWN, maybe_delivered=True)
    api = api_of("dmtrigger.settle_directmessage")
    call = f"/messages/{message.pk}/settle"
    answer = api.post(call, {"delivered": delivered}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (200, state)
    again = api.post(call, {"delivered": delivered}, format="json")
    assert again.status_code == 409
    assert "is not in doubt" in again.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"delivered": "perhaps"}, {"delivered": None}, []])
def test_what_is_no_answer_settles_nothing(api_of, body):
    message = DirectMessageFactory(state=State.UNKNOWN, maybe_delivered=True)
    api = api_of("dmtrigger.settle_directmessage")
    assert api.post(f"/messages/{message.pk}/settle", body, format="json").status_code == 400
    message.refresh_from_db()
    assert message.state == "unknown"


@pytest.mark.parametrize("call", ["cancel", "settle", "undo"])
def test_to_see_a_message_is_not_to_change_it(api_of, call):
    message = DirectMessageFactory(state=State.UNKNOWN)
    api = api_of("dmtrigger.view_directmessage")
    answer = api.post(f"/messages/{message.pk}/{call}", {"delivered": True}, format="json")
    assert answer.status_code == 403


@pytest.mark.parametrize("call", ["cancel", "settle", "undo"])
def test_a_message_that_is_not_there_is_a_404(api_of, call):
    api = api_of(
        *("dmtrigger.cancel_directmessage", "dmtrigger.settle_directmessage"),
        "intents.decide_review",
    )
    answer = api.post(f"/messages/0/{call}", {"delivered": True}, format="json")
    assert answer.status_code == 404


# --- the lists --------------------------------------------------------------------------------


def test_messages_are_found_by_state_campaign_post_account_and_person(api_of):
    one = DirectMessageFactory(
        review__intent__comment__author="ada",
        review__intent__comment__post_id="p1",
        account=AccountFactory(name="shop"),
    )
    DirectMessageFactory(
        review__intent__comment__author="bea",
        review__intent__comment__post_id="p2",
        state=State.SENT,
    )
    api = api_of("dmtrigger.view_directmessage")
    for query in (
        {"state": "pending"},
        {"campaign": one.campaign_id},
        {"post_id": "p1"},
        {"account": one.account_id},
        {"recipient": "ada"},
    ):
        found = api.get("/messages", query).json()["results"]
        assert [row["id"] for row in found] == [one.pk], query
    assert api.get("/messages", {"state": "lost"}).status_code == 400


def test_a_message_that_waits_says_when_it_will_leave(api_of, settings):
    settings.MESSAGES_PER_HOUR = 1
    account, now = AccountFactory(), timezone.now()
    later, sooner = [
        DirectMessageFactory(account=account, expires_at=now + timedelta(days=days))
        for days in (6, 5)
    ]
    sent = DirectMessageFactory(account=account, state=State.SENT, next_attempt_at=None)
    api = api_of("dmtrigger.view_directmessage")
    rows = {row["id"]: row["expected_at"] for row in api.get("/messages").json()["results"]}
    assert rows[sent.pk] is None
    first, second = [datetime.fromisoformat(rows[message.pk]) for message in (sooner, later)]
    assert abs(first - now) < timedelta(minutes=1)
    assert second - first == timedelta(hours=1)
    single = datetime.fromisoformat(api.get(f"/messages/{later.pk}").json()["expected_at"])
    assert abs(single - second) < timedelta(minutes=1)


def test_a_long_list_of_messages_costs_few_queries(api_of, django_assert_max_num_queries):
    campaign, account = CampaignFactory(), AccountFactory()
    for _ in range(20):
        DirectMessageFactory(campaign=campaign, account=account)
    api = api_of("dmtrigger.view_directmessage")
    api.get("/messages")
    with django_assert_max_num_queries(7):
        assert len(api.get("/messages").json()["results"]) == 20


@pytest.mark.parametrize("campaign", ["0", "-1", "9" * 30])
def test_a_campaign_that_does_not_exist_has_no_messages_and_no_refusals(api_of, campaign):
    DirectMessageFactory()
    api = api_of("dmtrigger.view_directmessage", "dmtrigger.view_refusal")
    for path in ("/messages", "/refusals"):
        assert api.get(path, {"campaign": campaign}).json()["results"] == []


# --- opt-outs ---------------------------------------------------------------------------------

EVERY_PERSON_RIGHT = ("dmtrigger.view_person", "dmtrigger.add_person", "dmtrigger.change_person")


def test_a_person_is_opted_out_and_in_again(api_of):
    api = api_of(*EVERY_PERSON_RIGHT)
    said = {"source": "fake_platform", "name": "ada", "days": 30}
    answer = api.post("/opt-outs", said, format="json")
    assert answer.status_code == 201
    assert (answer.json()["name"], answer.json()["opted_out_by"]) == ("ada", "operator")
    assert people.contact("fake_platform", "ada", timezone.now()).opted_out
    [row] = api.get("/opt-outs").json()["results"]
    assert row == answer.json()
    assert api.delete(f"/opt-outs/{row['id']}").status_code == 204
    assert not people.contact("fake_platform", "ada", timezone.now()).opted_out
    assert api.get("/opt-outs").json()["results"] == []
    assert api.delete(f"/opt-outs/{row['id']}").status_code == 404
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["opt out", "opt in"]


@pytest.mark.parametrize("days", [{}, {"days": None}])
def test_without_days_it_is_for_good(api_of, days):
    said = {"source": "fake_platform", "name": "ada", **days}
    answer = api_of("dmtrigger.add_person").post("/opt-outs", said, format="json")
    assert answer.json()["opted_out_until"] is None


def test_an_opt_out_whose_time_is_over_is_none(api_of):
    Person.objects.create(
        source="fake_platform",
        name="ada",
        opted_out_at=timezone.now() - timedelta(days=8),
        opted_out_until=timezone.now() - timedelta(days=1),
    )
    people.block("fake_platform", "bea", "olga")
    assert api_of("dmtrigger.view_person").get("/opt-outs").json()["results"] == []


def test_opt_outs_are_found_by_name(api_of):
    for name in ("ada", "bea"):
        people.opt_out("fake_platform", name, Person.By.REPLY)
    api = api_of("dmtrigger.view_person")
    [row] = api.get("/opt-outs", {"source": "fake_platform", "name": "bea"}).json()["results"]
    assert row["name"] == "bea"


@pytest.mark.parametrize(
    "said",
    [
        {"name": "ada"},
        {"source": "fake_platform"},
        {"source": "fake_platform", "name": ""},
        {"source": "fake_platform", "name": "x" * 101},
        {"source": "fake_platform", "name": "a\x00"},
        {"source": "fake_platform", "name": 5},
        {"source": "fake_platform", "name": "ada", "days": 0},
        {"source": "fake_platform", "name": "ada", "days": 10**9},
    ],
)
def test_what_names_nobody_opts_nobody_out(api_of, said):
    api = api_of("dmtrigger.add_person")
    assert api.post("/opt-outs", said, format="json").status_code == 400
    assert not Person.objects.exists()


def test_each_thing_done_with_opt_outs_has_its_permission(api_of):
    people.opt_out("fake_platform", "ada", Person.By.REPLY)
    key = Person.objects.get().pk
    said = {"source": "fake_platform", "name": "bea"}
    looks = api_of("dmtrigger.view_person")
    assert looks.post("/opt-outs", said, format="json").status_code == 403
    assert looks.delete(f"/opt-outs/{key}").status_code == 403
    adds = api_of("dmtrigger.add_person")
    assert adds.get("/opt-outs").status_code == 403


# --- accounts and refusals --------------------------------------------------------------------


def test_an_account_says_how_busy_it_is(api_of, settings, fake_platform):
    settings.MESSAGES_PER_HOUR = 2
    account = AccountFactory(name="shop", hourly_limit=1)
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    DirectMessageFactory(account=account, review__intent__comment__external_id=comment["id"])
    deliver_next()
    DirectMessageFactory(account=account)
    AccountFactory(name="quiet")
    api = api_of("dmtrigger.view_account")
    quiet, busy = api.get("/accounts").json()["results"]
    assert (busy["limit"], busy["slots_used"], busy["waiting"]) == (1, 1, 1)
    until = datetime.fromisoformat(busy["waiting_until"])
    assert timedelta(minutes=59) < until - timezone.now() < timedelta(minutes=61)
    assert (quiet["limit"], quiet["slots_used"], quiet["waiting_until"]) == (2, 0, None)
    assert api.get(f"/accounts/{account.pk}").json()["slots_used"] == 1


def test_a_paused_account_is_resumed(api_of):
    account = AccountFactory(
        paused_until=timezone.now() + timedelta(hours=1), pause_reason="restricted"
    )
    call = f"/accounts/{account.pk}/resume"
    edits = api_of("dmtrigger.view_account", "dmtrigger.change_account")
    assert edits.post(call).status_code == 403
    answer = api_of("dmtrigger.resume_account").post(call)
    assert (answer.status_code, answer.json()["paused_until"]) == (200, None)
    assert Account.objects.get().pause_reason == ""
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.details) == ("resume account", {})


def test_refusals_are_found_by_rule_campaign_and_comment(api_of):
    campaign = CampaignFactory()
    refusals.record(7, campaign.pk, [Refused(Rule.TOO_SHORT, "5 characters")])
    refusals.record(8, CampaignFactory().pk, [Refused(Rule.BLOCKED, "ada is blocked")])
    api = api_of("dmtrigger.view_refusal")
    assert len(api.get("/refusals").json()["results"]) == 2
    for query in ({"rule": "too_short"}, {"campaign": campaign.pk}, {"comment_id": 7}):
        [row] = api.get("/refusals", query).json()["results"]
        assert (row["comment_id"], row["reason"]) == (7, "5 characters"), query


@pytest.mark.parametrize("number", ["0.5", "7.5", "seven"])
def test_a_comments_id_that_is_no_whole_number_is_a_400(api_of, number):
    answer = api_of("dmtrigger.view_refusal").get("/refusals", {"comment_id": number})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["comment_id"]


def test_a_comments_id_beyond_all_others_finds_nothing(api_of):
    answer = api_of("dmtrigger.view_refusal").get("/refusals", {"comment_id": "9" * 30})
    assert (answer.status_code, answer.json()["results"]) == (200, [])
