"""Messages and refusals in the console."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from dmtrigger import refusals
from dmtrigger.models import MessageEvent
from dmtrigger.policy import Refused, Rule
from tests.factories import (
    AccountFactory,
    CampaignFactory,
    DirectMessageFactory,
    IntentResultFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
LIST = "/admin/dmtrigger/directmessage/"


@pytest.fixture
def console(client, operator):
    client.force_login(operator)
    return client


def page_of(message) -> str:
    return f"{LIST}{message.pk}/change/"


def press(console, message, action: str) -> str:
    """Press a button of the message's page; the page that follows."""
    page = console.get(page_of(message))
    assert action in dict(page.context["buttons"])
    sent = {"action": action, "_selected_action": message.pk, "from_page": message.pk}
    answer = console.post(LIST, sent, follow=True)
    assert answer.redirect_chain[-1][0] == page_of(message)
    return answer.content.decode()


def test_a_message_that_waits_is_taken_back_on_its_page(console):
    message = DirectMessageFactory()
    assert f"essage {message.pk} to ada (cancelled)" in press(console, message, "cancel")
    message.refresh_from_db()
    assert message.state == "cancelled"
    event = MessageEvent.objects.get()
    assert (event.state, event.by) == ("cancelled", "olga")
    assert LogEntry.objects.get().get_change_message() == "taken back: cancelled"


def test_of_several_those_that_have_left_are_named(console):
    campaign = CampaignFactory()
    waits = DirectMessageFactory(campaign=campaign)
    left = DirectMessageFactory(campaign=campaign, state="sending")
    ticked = {"action": "cancel", "_selected_action": [waits.pk, left.pk]}
    html = console.post(LIST, ticked, follow=True).content.decode()
    assert f"essage {left.pk} to ada (sending) can&#x27;t be taken back any more" in html
    left.refresh_from_db()
    waits.refresh_from_db()
    assert (waits.state, left.state) == ("cancelled", "sending")


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("pending", ["cancel"]),
        ("unknown", ["was_delivered", "was_not_delivered"]),
        ("sending", []),
        ("sent", []),
        ("cancelled", []),
    ],
)
def test_a_page_offers_what_its_state_allows(console, state, buttons):
    page = console.get(page_of(DirectMessageFactory(state=state)))
    assert [name for name, _said in page.context["buttons"]] == buttons


def test_who_only_looks_is_offered_nothing_and_takes_nothing_back(client):
    viewer = UserFactory(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_directmessage"))
    client.force_login(viewer)
    message = DirectMessageFactory()
    assert client.get(page_of(message)).context["buttons"] == []
    client.post(LIST, {"action": "cancel", "_selected_action": [message.pk]})
    message.refresh_from_db()
    assert message.state == "pending"


def test_a_message_that_waits_says_when_it_will_leave(console):
    account = AccountFactory(paused_until=timezone.now() + timedelta(minutes=90, seconds=30))
    waits = DirectMessageFactory(account=account)
    DirectMessageFactory(
        account=account, state="sent", sent_at=timezone.now() - timedelta(hours=2, seconds=5)
    )
    html = console.get(LIST).content.decode()
    assert "leaves an hour from now" in html
    assert "sent 2\xa0hours ago" in html
    assert "Leaves about" in console.get(page_of(waits)).content.decode()


def test_a_message_shows_its_history(console):
    message = DirectMessageFactory()
    MessageEvent.objects.create(message=message, state="pending", detail="approved by olga")
    assert "approved by olga" in console.get(page_of(message)).content.decode()


def test_a_list_of_messages_that_wait_costs_few_queries(console, django_assert_max_num_queries):
    campaign, account = CampaignFactory(), AccountFactory()
    for _ in range(20):
        DirectMessageFactory(campaign=campaign, account=account)
    with django_assert_max_num_queries(11):
        console.get(LIST)


def test_what_strangers_and_platforms_say_is_escaped(console):
    evil = "<script>alert(1)</script>"
    message = DirectMessageFactory(
        review__intent__comment__author=evil, text=evil, last_error=evil, state="failed"
    )
    for page in (LIST, page_of(message)):
        assert evil not in console.get(page).content.decode()


# --- refusals ---------------------------------------------------------------------------------


def test_refusals_lead_to_their_comments_and_are_found_by_rule(
    console, django_assert_max_num_queries
):
    intent = IntentResultFactory(comment__text="pp <b>")
    campaign = CampaignFactory()
    refusals.record(intent.comment_id, campaign.pk, [Refused(Rule.BLOCKED, "ada is blocked")])
    refusals.record(7, campaign.pk, [Refused(Rule.TOO_SHORT, "5 characters")])
    with django_assert_max_num_queries(10):
        html = console.get("/admin/dmtrigger/refusal/").content.decode()
    assert f'<a href="/admin/comments/comment/{intent.comment_id}/change/">pp &lt;b&gt;</a>' in html
    assert "(no longer kept)" in html
    only = console.get("/admin/dmtrigger/refusal/", {"rule": "too_short"}).content.decode()
    assert "5 characters" in only
    assert "ada is blocked" not in only
