"""What a review's page says of the message before it goes, and what can be done about it."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from dmtrigger import people
from dmtrigger.links import short_link
from dmtrigger.models import Account, AuditEntry, DirectMessage, Person
from dmtrigger.outbox import deliver_next
from intents import reviews
from intents.models import Review
from intents.reviews import decide
from tests.factories import CampaignFactory, CommentFactory, ReviewFactory, UserFactory
from threadsagent.roles import OPERATORS

pytestmark = pytest.mark.django_db
LIST = "/admin/intents/review/"


@pytest.fixture
def console(client, operator):
    client.force_login(operator)
    return client


@pytest.fixture
def campaign(db):
    return CampaignFactory(name="Launch")


def page_of(review: Review) -> str:
    return f"{LIST}{review.pk}/change/"


def html_of(console, review: Review) -> str:
    return console.get(page_of(review)).content.decode()


def post(console, review: Review, what: str, **said: str) -> str:
    return console.post(f"{LIST}{review.pk}/{what}/", said, follow=True).content.decode()


# --- before it goes ---------------------------------------------------------------------------


def test_what_an_operator_may_set_aside_leaves_the_approval_open(console, campaign):
    three_days_ago = timezone.now() - timedelta(days=3)
    review = ReviewFactory(intent__comment__posted_at=three_days_ago)
    page = console.get(page_of(review))
    assert page.context["refused"] == [("the comment is 3 days old", True)]
    html = page.content.decode()
    assert "you may send it all the same" in html
    assert "3\xa0days, 23\xa0hours left" in html
    assert "Approve and send" in html


def test_what_nobody_may_set_aside_takes_the_approval_away(console, campaign):
    people.opt_out("fake_platform", "ada", Person.By.LINK)
    review = ReviewFactory()
    page = console.get(page_of(review))
    assert page.context["refused"] == [("ada wants no messages", False)]
    html = page.content.decode()
    assert "it cannot be sent" in html
    assert "Approve and send" not in html
    assert "Reject" in html


def test_a_message_without_objections_says_so(console, campaign):
    assert "Nothing stands against it" in html_of(console, ReviewFactory())


def test_each_campaign_says_why_it_does_not_answer(console, campaign):
    CampaignFactory(name="Other post", post_id="p9", priority=1)
    CampaignFactory(name="Later", priority=200)
    CampaignFactory(name="Off", is_active=False)
    matches = console.get(page_of(ReviewFactory())).context["matches"]
    assert [(match.campaign.name, match.why_not) for match in matches] == [
        ("Other post", "it is for the post p9"),
        ("Launch", ""),
        ("Later", "Launch comes first"),
    ]


def test_without_an_answer_each_campaign_still_says_why(console):
    CampaignFactory(name="Other post", post_id="p9")
    html = html_of(console, ReviewFactory())
    assert "it is for the post p9" in html
    assert "add one first" in html


def test_the_authors_last_comments_and_wishes_are_shown(console, campaign):
    CommentFactory(author="ada", text="where is my parcel?")
    CommentFactory(author="bea", text="of somebody else")
    people.block("fake_platform", "ada", "olga", "rude <b>")
    review = ReviewFactory(intent__comment__text="price please?")
    html = html_of(console, review)
    assert "where is my parcel?" in html
    assert "of somebody else" not in html
    assert "rude &lt;b&gt;" in html
    assert html.count("price please?") == 1  # not among the author's others


def test_to_look_at_a_review_writes_nothing(console, campaign):
    html_of(console, ReviewFactory(intent__comment__account="never heard of"))
    assert not Account.objects.exists()
    assert not Person.objects.exists()


# --- undo -------------------------------------------------------------------------------------


def test_an_approval_is_undone_while_the_message_waits(console, campaign, operator):
    review = ReviewFactory()
    form = console.get(page_of(review)).context["form"]
    said = {"decision": "approved", "draft": form.initial["draft"]}
    answer = console.post(f"{LIST}{review.pk}/decide/", said, follow=True)
    assert f'action="{LIST}{review.pk}/undo/"' in answer.content.decode()
    assert "Undo: take the message back" in html_of(console, review)
    html = post(console, review, "undo")
    assert "The approval was undone; the review waits again" in html
    assert "Approve and send" in html
    review.refresh_from_db()
    assert review.status == "pending"
    assert DirectMessage.objects.get().state == "cancelled"
    entry = LogEntry.objects.first()
    assert entry is not None
    assert entry.get_change_message() == "The approval was undone."


def test_what_was_undone_can_be_approved_again(console, campaign, operator):
    review = ReviewFactory()
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    post(console, review, "undo")
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    assert DirectMessage.objects.get().state == "pending"


def test_what_has_left_is_not_undone(console, campaign, operator, settings, fake_platform):
    settings.GRACE_SECONDS = 0
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    review = ReviewFactory(intent__comment__external_id=comment["id"])
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    deliver_next()
    assert "Undo: take the message back" not in html_of(console, review)
    assert "Nothing was undone" in post(console, review, "undo")
    review.refresh_from_db()
    assert review.status == "approved"


def test_a_rejection_has_no_undo(console, campaign, operator):
    review = ReviewFactory()
    decide(review.pk, Review.Status.REJECTED, user_id=operator.pk)
    assert "Undo: take the message back" not in html_of(console, review)
    assert "Nothing was undone" in post(console, review, "undo")


# --- the author -------------------------------------------------------------------------------


def test_the_author_is_blocked_from_the_review(console, campaign):
    review = ReviewFactory()
    html = post(console, review, "block", reason="insults")
    assert "Blocked: ada" in html
    assert "Approve and send" not in html
    assert Person.objects.get().block_reason == "insults"
    assert AuditEntry.objects.get().actor == "olga"


def test_a_reason_that_is_no_text_blocks_nobody(console, campaign):
    assert "Nobody was blocked" in post(console, ReviewFactory(), "block", reason="x" * 201)
    assert not Person.objects.exists()


def test_the_author_is_taken_over_by_hand(console, campaign, operator):
    review = ReviewFactory()
    html = post(console, review, "take-over")
    assert "You are talking to ada" in html
    assert "olga is talking to ada" in html
    person = Person.objects.get()
    assert person.talking_with == operator
    assert person.talking_until is not None
    assert person.talking_until > timezone.now() + timedelta(hours=71)


@pytest.mark.parametrize(
    "what",
    ["undo", "block", "take-over", "decide", "snooze", "claim", "release", "claim-anyway"],
)
def test_who_only_looks_does_none_of_it(client, campaign, operator, what):
    viewer = UserFactory(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_review"))
    client.force_login(viewer)
    review = ReviewFactory()
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    html = html_of(client, review)
    assert "Undo: take" not in html
    assert "Block:" not in html
    assert client.post(f"{LIST}{review.pk}/{what}/").status_code == 403
    assert client.get(f"{LIST}{review.pk}/{what}/").status_code == 405
    assert not Person.objects.exists()
    assert DirectMessage.objects.get().state == "pending"


def test_a_reviews_page_costs_few_queries(console, campaign, django_assert_max_num_queries):
    for number in range(10):
        CampaignFactory(name=f"other {number}", post_id=f"p{number}")
    review, *_others = ReviewFactory.create_batch(10)
    with django_assert_max_num_queries(28):
        console.get(page_of(review))


# --- the text ---------------------------------------------------------------------------------


def approve_with(console, review: Review, **said: str) -> str:
    """Approve the message as it is on the page, with what was typed."""
    form = console.get(page_of(review)).context["form"]
    return post(console, review, "decide", decision="approved", **form.initial | said)


def test_the_operators_own_words_are_sent(console, campaign):
    review = ReviewFactory()
    link = short_link(review.intent.comment_id)
    text = f"Yes, we have it:\r\n{link}\r\n(automated)"
    approve_with(console, review, text=text)
    message = DirectMessage.objects.get()
    assert message.text == f"Yes, we have it:\n{link}\n(automated)"
    assert "approved by olga, who edited the text" in message.events.get().detail
    entry = LogEntry.objects.get()
    assert entry.get_change_message() == "Approved. The text was edited."


def test_a_text_that_was_left_as_it_was_is_not_called_edited(console, campaign):
    campaign.variants.update(template="\nHi {{ author }}\n{{ link }}\nautomated\n")
    review = ReviewFactory()
    sent = console.get(page_of(review)).context["form"].initial["text"]
    approve_with(console, review, text=sent.strip().replace("\n", "\r\n"))
    message = DirectMessage.objects.get()
    assert message.text == sent
    assert "edited" not in message.reason


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("automated, without a link", "must stay in it"),
        ("", "the message is empty"),
        ("<b>automated</b>", "it is plain text"),
    ],
)
def test_a_text_that_cannot_be_sent_is_not_lost(console, campaign, text, problem):
    review = ReviewFactory()
    html = approve_with(console, review, text=text, note="so that it is kept")
    assert "Nothing was decided" in html
    assert problem in html
    assert "so that it is kept</textarea>" in html
    assert f"{text.replace('<', '&lt;').replace('>', '&gt;')}</textarea>" in html
    review.refresh_from_db()
    assert review.status == "pending"


# --- who has it open --------------------------------------------------------------------------


@pytest.fixture
def otto(db):
    return UserFactory(username="otto")


def claim(console, review: Review) -> Any:
    """What the page's script does."""
    return console.post(f"{LIST}{review.pk}/claim/").json()


def test_to_look_at_a_review_claims_nothing_the_pages_script_does(console, campaign, operator):
    review = ReviewFactory()
    html_of(console, review)
    review.refresh_from_db()
    assert review.claimed_by is None
    assert claim(console, review) == {"says": "", "may_take": False}
    review.refresh_from_db()
    assert review.claimed_by == operator
    console.post(f"{LIST}{review.pk}/release/")
    review.refresh_from_db()
    assert review.claimed_by is None


def test_who_opens_what_somebody_else_has_open_is_told_and_cannot_decide(console, campaign, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    html = html_of(console, review)
    assert "otto has had this review open since" in html
    assert '<fieldset id="decisions" aria-labelledby="decision-title" disabled>' in html
    said = claim(console, review)
    assert said["may_take"]
    assert "otto has had this review open since" in said["says"]
    answer = post(console, review, "decide", decision="rejected")
    assert "Nothing was decided. otto has had this review open" in answer
    review.refresh_from_db()
    assert (review.status, review.claimed_by) == ("pending", otto)


def test_it_can_be_taken_from_them(console, campaign, operator, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    html = post(console, review, "claim-anyway")
    assert "otto has had" not in html
    assert "Rejected" in post(console, review, "decide", decision="rejected")
    review.refresh_from_db()
    assert review.decided_by == operator


def test_an_open_page_learns_that_its_review_was_decided(console, campaign, otto):
    review = ReviewFactory()
    decide(review.pk, Review.Status.REJECTED, user_id=otto.pk)
    said = claim(console, review)
    assert not said["may_take"]
    assert said["says"].startswith("This review was rejected already by otto")
    assert "rejected already by otto" in post(console, review, "claim-anyway")


def test_a_review_that_is_gone_is_claimed_by_nobody(console):
    assert console.post(f"{LIST}0/claim/").status_code == 404


def test_the_list_shows_who_has_what_open(console, otto):
    reviews.claim(ReviewFactory().pk, otto.pk)
    assert '<td class="field-assignee">otto</td>' in console.get(LIST).content.decode()


# --- later ------------------------------------------------------------------------------------


def test_a_review_is_put_off_and_had_back(console, campaign, operator):
    review = ReviewFactory()
    html = post(console, review, "snooze", until="hour")
    assert "Snoozed (1 hour): ada" in html
    assert "0 reviews" in html
    review.refresh_from_db()
    assert review.snoozed_by == operator
    page = html_of(console, review)
    assert "Snoozed until" in page
    assert "by <b>olga</b>" in page
    assert "Snoozed until" not in post(console, review, "snooze", until="again")
    assert list(reviews.waiting()) == [review]


def test_a_review_is_not_put_off_until_it_is_too_late(console, campaign):
    posted_at = timezone.now() - timedelta(days=6)
    review = ReviewFactory(intent__comment__posted_at=posted_at)
    html = html_of(console, review)
    assert '<option value="hour">' in html
    assert '<option value="days">' not in html
    assert "the platform takes no answer after" in post(console, review, "snooze", until="days")
    assert list(reviews.waiting()) == [review]


@pytest.mark.parametrize("until", ["", "year"])
def test_what_is_no_moment_puts_nothing_off(console, campaign, until):
    review = ReviewFactory()
    assert "Nothing was snoozed" in post(console, review, "snooze", until=until)
    assert list(reviews.waiting()) == [review]


def test_what_others_have_open_or_decided_is_not_put_off(console, campaign, otto):
    open_elsewhere, decided = ReviewFactory.create_batch(2)
    reviews.claim(open_elsewhere.pk, otto.pk)
    decide(decided.pk, Review.Status.REJECTED, user_id=otto.pk)
    assert "otto has had" in post(console, open_elsewhere, "snooze", until="hour")
    assert "rejected already by otto" in post(console, decided, "snooze", until="hour")


# --- one after the other ----------------------------------------------------------------------


@pytest.fixture
def queue(campaign) -> list[Review]:
    """Three that wait, in the order of the list, and by author in the other."""
    now = timezone.now()
    return [
        ReviewFactory(
            intent__score=60 + n,
            intent__comment__author=name,
            intent__comment__posted_at=now - timedelta(days=3 - n),
        )
        for n, name in enumerate(("ada", "bea", "joan"))
    ]


def test_the_next_and_the_one_before_are_those_of_the_list(console, queue):
    first, second, third = queue
    page = console.get(page_of(second))
    assert (page.context["before"], page.context["after"]) == (page_of(first), page_of(third))
    assert console.get(page_of(first)).context["before"] == ""
    assert console.get(page_of(third)).context["after"] == ""


def test_the_order_and_the_filters_of_the_list_are_kept_on_the_way(console, queue):
    first, second, third = queue
    third.intent.comment.post_id = "elsewhere"
    third.intent.comment.save()
    kept = urlencode({"_changelist_filters": "order=likely&post=post-1&p=9"})
    page = console.get(f"{page_of(second)}?{kept}")
    assert page.context["after"] == f"{page_of(first)}?{kept}"
    assert page.context["before"] == ""
    answer = console.post(f"{LIST}{second.pk}/decide/?{kept}", {"decision": "rejected"})
    assert answer.url == f"{page_of(first)}?{kept}"
    answer = console.post(f"{LIST}{first.pk}/decide/?{kept}", {"decision": "rejected"})
    assert answer.url == f"{LIST}?order=likely&post=post-1&p=9"


def test_a_list_that_there_is_not_has_no_next(console, queue):
    kept = urlencode({"_changelist_filters": "flagged_at=much"})
    assert console.get(f"{page_of(queue[0])}?{kept}").context["after"] == ""


def test_after_a_decision_the_next_review_opens_with_what_was_done(console, queue):
    first, second, _third = queue
    form = console.get(page_of(first)).context["form"]
    said = {"decision": "approved", **form.initial}
    answer = console.post(f"{LIST}{first.pk}/decide/", said, follow=True)
    assert answer.redirect_chain[-1][0] == page_of(second)
    html = answer.content.decode()
    assert "Approved: ada: Where can I" in html
    assert f'action="{LIST}{first.pk}/undo/"' in html
    answer = console.post(f"{LIST}{second.pk}/snooze/", {"until": "hour"}, follow=True)
    assert answer.redirect_chain[-1][0] == page_of(queue[2])


def test_without_a_grace_period_no_undo_is_offered(console, queue, settings):
    settings.GRACE_SECONDS = 0
    assert f"{queue[0].pk}/undo/" not in approve_with(console, queue[0])


def test_what_others_have_open_is_passed_over(console, queue, otto):
    first, second, third = queue
    reviews.claim(second.pk, otto.pk)
    assert console.get(page_of(first)).context["after"] == page_of(third)
    assert console.get(page_of(second)).context["after"] == page_of(third)


def test_from_a_decided_review_the_way_goes_on_to_the_first_that_waits(console, queue, otto):
    decide(queue[1].pk, Review.Status.REJECTED, user_id=otto.pk)
    assert console.get(page_of(queue[1])).context["after"] == page_of(queue[0])


# --- several at once --------------------------------------------------------------------------


def act(console, action: str, chosen: list[Review], **said: str) -> str:
    ticked = {"action": action, "_selected_action": [review.pk for review in chosen]}
    return console.post(LIST, ticked | said, follow=True).content.decode()


def test_several_are_rejected_with_a_reason_and_what_they_are(console, queue):
    html = act(console, "reject_selected", queue, note="all fans", corrected_label="praise")
    assert "Rejected: 3" in html
    found = set(Review.objects.values_list("status", "note", "corrected_label"))
    assert found == {("rejected", "all fans", "praise")}


@pytest.mark.parametrize(
    ("said", "problem"),
    [({"note": "x" * 2001}, "Nothing was decided"), ({"corrected_label": "praise"}, "said to be")],
)
def test_several_that_cannot_be_decided_so_are_not(console, queue, said, problem):
    assert problem in act(console, "approve_selected", queue, **said)
    assert reviews.waiting().count() == 3


def test_several_approvals_are_undone_at_once(console, queue):
    html = act(console, "approve_selected", queue[:2])
    assert "Approved: 2" in html
    assert 'name="action" value="undo_selected"' in html
    decide(queue[2].pk, Review.Status.REJECTED, rule="a rule")
    html = act(console, "undo_selected", queue)
    assert "Undone: 2" in html
    assert "has no message" in html
    assert set(reviews.waiting()) == set(queue[:2])


@pytest.mark.parametrize("action", ["snooze_hour", "snooze_tomorrow", "snooze_days"])
def test_several_are_put_off(console, queue, otto, action):
    late = ReviewFactory(intent__comment__posted_at=timezone.now() - timedelta(days=8))
    reviews.claim(queue[0].pk, otto.pk)
    html = act(console, action, [*queue, late])
    assert "): 2" in html
    assert "otto has had" in html
    assert "the platform takes no answer after" in html
    assert set(reviews.waiting()) == {queue[0], late}


def test_the_authors_of_several_are_blocked_or_taken_over_once_each(console, queue):
    twice = ReviewFactory(intent__comment__author="ada")
    html = act(console, "block_authors", [queue[0], twice], note="insults")
    assert html.count("Blocked: ada") == 1
    assert Person.objects.get(name="ada").block_reason == "insults"
    assert "You are talking to bea" in act(console, "take_over_authors", [queue[1]])
    assert Person.objects.get(name="bea").talking_with is not None
    assert "Nobody was blocked" in act(console, "block_authors", [queue[2]], note="x" * 201)
    assert not Person.objects.filter(name="joan").exists()


@pytest.mark.django_db(transaction=True)
def test_two_operators_and_a_bulk_action_decide_each_review_once_and_are_told_the_truth():
    """The same hundred: two reject one after the other, from both ends, and one approves all."""
    CampaignFactory()
    hundred: list[Any] = [ReviewFactory(intent__comment__author=f"buyer {n}") for n in range(100)]
    operators = {
        name: UserFactory(username=name, is_staff=True) for name in ("olga", "otto", "opal")
    }
    for user in operators.values():
        user.groups.add(Group.objects.get(name=OPERATORS))
    start = threading.Barrier(3)

    def reject_each(client: Client, chosen: list[Review]) -> str:
        for review in chosen:
            client.post(f"{LIST}{review.pk}/decide/", {"decision": "rejected"})
        return client.get(LIST).content.decode()  # it shows all that was said meanwhile

    def approve_all(client: Client, chosen: list[Review]) -> str:
        return act(client, "approve_selected", chosen)

    def work(name: str, how: Callable[[Client, list[Review]], str], chosen: list[Review]) -> str:
        client = Client()
        client.force_login(operators[name])
        try:
            start.wait(60)
            return how(client, chosen)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        olga = pool.submit(work, "olga", reject_each, hundred)
        otto = pool.submit(work, "otto", reject_each, hundred[::-1])
        opal = pool.submit(work, "opal", approve_all, hundred)
        told = {"olga": olga.result(), "otto": otto.result(), "opal": opal.result()}

    decided = Counter(Review.objects.values_list("status", "decided_by__username"))
    approved = decided["approved", "opal"]
    rejected = {name: decided["rejected", name] for name in ("olga", "otto")}
    assert approved + sum(rejected.values()) == 100
    assert DirectMessage.objects.count() == approved
    assert LogEntry.objects.count() == 100
    assert f"Approved: {approved}" in told["opal"]
    for name, other in (("olga", "otto"), ("otto", "olga")):
        assert told[name].count("Rejected: buyer") == rejected[name]
        assert told[name].count("approved already by opal") == approved
        assert told[name].count(f"rejected already by {other}") == rejected[other]
        assert told["opal"].count(f"rejected already by {name}") == rejected[name]


# --- what is new ------------------------------------------------------------------------------


def test_an_open_list_asks_what_is_new(console, operator):
    known = ReviewFactory()
    assert console.get(LIST).context["newest"] == known.pk
    later, snoozed = ReviewFactory.create_batch(2)
    reviews.snooze(snoozed.pk, timezone.now() + timedelta(hours=1), operator.pk)
    said = console.get(f"{LIST}news/", {"after": known.pk}).json()
    assert said == {"waiting": 2, "new": 1, "newest": later.pk}


def test_where_nothing_waits_nothing_is_new(console):
    assert console.get(LIST).context["newest"] == 0
    said = console.get(f"{LIST}news/", {"after": 0}).json()
    assert said == {"waiting": 0, "new": 0, "newest": None}


@pytest.mark.parametrize("after", ["", "x", "-1", str(2**63)])
def test_what_is_no_review_is_not_compared_with(console, after):
    assert console.get(f"{LIST}news/", {"after": after}).status_code == 400


def test_what_is_new_is_for_those_who_see_reviews_and_cheap(
    client, console, django_assert_max_num_queries
):
    ReviewFactory.create_batch(3)
    with django_assert_max_num_queries(4):  # two for the rights, one for the user
        console.get(f"{LIST}news/", {"after": 0})
    client.force_login(UserFactory(is_staff=True))
    assert client.get(f"{LIST}news/", {"after": 0}).status_code == 403
    client.logout()
    assert client.get(f"{LIST}news/", {"after": 0}).status_code == 302


# --- the list ---------------------------------------------------------------------------------


def test_a_row_says_what_an_operator_decides_by(console, campaign):
    posted_at = timezone.now() - timedelta(days=2, hours=1)
    ReviewFactory(
        intent__comment__posted_at=posted_at,
        intent__comment__author="grace",
        intent__comment__post_id="p7",
        intent__evidence={"words": [["pricey", 0.4], ["buy", 0.3]], "nearest": []},
    )
    people.opt_out("fake_platform", "grace", Person.By.LINK)
    html = console.get(LIST).content.decode()
    for said in (
        "grace, p7: pricey, buy",
        "4\xa0days left",
        "wants no messages for good",
        "Hi grace: http",
        "Not sent: grace wants no messages",
    ):
        assert said in html


def test_a_row_says_how_often_its_author_was_written_to(console, campaign, operator, settings):
    settings.COOL_DOWN_HOURS = 0
    earlier = ReviewFactory()
    decide(earlier.pk, Review.Status.APPROVED, user_id=operator.pk)
    DirectMessage.objects.update(state="sent", sent_at=timezone.now() - timedelta(days=2))
    ReviewFactory()
    assert "1 message, the last 2\xa0days ago" in console.get(LIST).content.decode()


def test_a_comment_that_cannot_be_answered_any_more_has_no_time_left(console, campaign):
    ReviewFactory(intent__comment__posted_at=timezone.now() - timedelta(days=8))
    assert "<small>no time left</small>" in console.get(LIST).content.decode()


def test_a_full_page_costs_as_few_queries_as_a_short_one(
    admin_client, campaign, django_assert_max_num_queries
):
    for number in range(50):
        ReviewFactory(
            intent__comment__author=f"buyer {number}", intent__comment__post_id=f"p{number}"
        )
    with django_assert_max_num_queries(9):
        page = admin_client.get(LIST)
    assert len(page.context["cl"].result_list) == 50


def test_the_pages_bring_no_script_and_no_style_of_their_own(console, campaign):
    """So that a strict Content-Security-Policy lets them be what they are."""
    for page in (LIST, page_of(ReviewFactory())):
        html = console.get(page).content.decode()
        assert "<style" not in html
        assert " style=" not in html
        assert not re.search(r"<script(?![^>]* src=)(?![^>]* type=.application/json)", html)
        assert not re.search(r"<[^>]+ on[a-z]+=", html)
