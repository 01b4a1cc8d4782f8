"""The review console: what an operator sees, may do, and what becomes of it."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from comments.admin import FirstRows
from dmtrigger.links import short_link
from dmtrigger.models import DirectMessage
from dmtrigger.outbox import deliver_next
from intents.models import Review
from intents.reviews import decide
from tests.factories import (
    CampaignFactory,
    DirectMessageFactory,
    IntentResultFactory,
    MonitorFactory,
    ReviewFactory,
    UserFactory,
)

LIST = "/admin/intents/review/"


def page_of(review: Review) -> str:
    return f"{LIST}{review.pk}/change/"


def press(
    console: Client, review: Review, decision: str, note: str = "", corrected_label: str = ""
) -> str:
    """Press a button of the review's page, as it is now; the page that follows."""
    form = console.get(page_of(review)).context["form"]
    said = {
        "decision": decision,
        "note": note,
        "corrected_label": corrected_label,
        "draft": form.initial.get("draft", ""),
    }
    return console.post(f"{LIST}{review.pk}/decide/", said, follow=True).content.decode()


@pytest.fixture
def console(client, operator):
    client.force_login(operator)
    return client


@pytest.fixture
def campaign(db):
    return CampaignFactory(name="Launch")


def test_the_list_shows_what_is_pending_the_likely_first(console, operator):
    low = ReviewFactory(
        intent__score=61, intent__band="nurture", intent__comment__text="maybe later"
    )
    high = ReviewFactory(intent__score=95, intent__comment__text="how do I order?")
    done = ReviewFactory(intent__comment__text="decided before")
    decide(done.pk, Review.Status.REJECTED, user_id=operator.pk)
    page = console.get(LIST)
    assert list(page.context["cl"].queryset) == [high, low]
    everything = console.get(LIST, {"status": "all"})
    assert done in everything.context["cl"].queryset


def test_the_list_can_show_what_is_uncertain_or_likeliest_first(console):
    unsure = ReviewFactory(intent__score=61)
    sure = ReviewFactory(intent__score=95)
    doubtful = ReviewFactory(intent__score=45)
    page = console.get(LIST, {"order": "uncertain"})
    assert list(page.context["cl"].queryset) == [doubtful, unsure, sure]
    assert "Most uncertain first" in page.content.decode()
    page = console.get(LIST, {"order": "likely"})
    assert list(page.context["cl"].queryset) == [sure, unsure, doubtful]


def test_the_list_can_show_what_waits_for_longest_first(console):
    now = timezone.now()
    late = ReviewFactory(intent__score=95, flagged_at=now - timedelta(hours=1))
    early = ReviewFactory(intent__score=61, flagged_at=now - timedelta(hours=2))
    page = console.get(LIST, {"order": "oldest"})
    assert list(page.context["cl"].queryset) == [early, late]
    assert "Longest waiting first" in page.content.decode()


def test_what_is_decided_has_only_one_order(console):
    page = console.get(LIST, {"order": "uncertain", "status": "all"})
    assert page.status_code == 200
    assert "Most uncertain first" not in page.content.decode()


def test_a_review_shows_the_comment_its_score_and_the_message(console, campaign):
    review = ReviewFactory(
        intent__score=87, intent__comment__text="price?", intent__comment__author="grace"
    )
    html = console.get(page_of(review)).content.decode()
    for shown in (
        "price?",
        "grace",
        "87",
        f"Hi grace: {short_link(review.intent.comment_id)}",
        "Launch",
    ):
        assert shown in html


def test_a_review_says_that_its_author_is_an_influencer(console, campaign):
    known = ReviewFactory(
        intent__comment__author_followers=12_300, intent__comment__author_verified=True
    )
    html = console.get(page_of(known)).content.decode()
    assert "Author: verified, 12,300 followers" in html
    assert "you may want to answer by hand" in html
    assert "ada (influencer)" in console.get(LIST).content.decode()
    html = console.get(page_of(ReviewFactory())).content.decode()
    assert "Author:" not in html
    assert "you may want to answer by hand" not in html


def test_a_review_shows_why_the_model_says_so(console, campaign):
    review = ReviewFactory(
        intent__evidence={
            "words": [["pricey", -0.42]],
            "nearest": [["how much is it", "product_question", 0.93]],
        },
        intent__hold="language",
        intent__language="tgl",
        intent__sentiment="negative",
        intent__mentions_brand=True,
    )
    html = console.get(page_of(review)).content.decode()
    for shown in ("pricey", "-0.42", "how much is it", "Product Question", "93 %"):
        assert shown in html
    for shown in ("a language that the model does not speak", "tgl", "Negative", "<dd>yes</dd>"):
        assert shown in html


def test_a_review_without_evidence_shows_none(console, campaign):
    html = console.get(page_of(ReviewFactory())).content.decode()
    assert "evidence-title" not in html
    assert "Held" not in html


def test_what_strangers_wrote_is_escaped(console, campaign):
    evil = "<script>alert(1)</script>"
    review = ReviewFactory(
        intent__comment__text=evil,
        intent__comment__author=evil,
        intent__evidence={"words": [[evil, 0.5]], "nearest": [[evil, "other", 0.9]]},
    )
    for page in (LIST, page_of(review)):
        assert evil not in console.get(page).content.decode()


def test_approving_on_the_page_is_recorded_with_who_and_sends_the_message(
    console, campaign, operator
):
    review = ReviewFactory()
    assert "Approved: ada: Where can I" in press(console, review, "approved", "clear")
    review.refresh_from_db()
    assert (review.status, review.decided_by, review.note) == ("approved", operator, "clear")
    assert DirectMessage.objects.get().review == review
    assert LogEntry.objects.get().get_change_message() == "Approved. clear"


def test_rejecting_on_the_page_sends_nothing(console, campaign):
    review = ReviewFactory()
    press(console, review, "rejected")
    review.refresh_from_db()
    assert review.status == "rejected"
    assert not DirectMessage.objects.exists()


def test_a_rejection_on_the_page_may_say_what_the_comment_really_is(console, campaign):
    review = ReviewFactory()
    press(console, review, "rejected", "he has one", corrected_label="praise")
    review.refresh_from_db()
    assert (review.status, review.corrected_label) == ("rejected", "praise")
    logged = LogEntry.objects.get().get_change_message()
    assert logged == "Rejected. It is Praise. he has one"
    assert "It is really: Praise." in console.get(page_of(review)).content.decode()


def test_an_approval_that_contradicts_itself_says_so_on_the_reviews_page(console, campaign):
    review = ReviewFactory()
    html = press(console, review, "approved", corrected_label="praise")
    assert "Nothing was decided. Who gets a message wants to buy" in html
    assert "Approve and send" in html
    review.refresh_from_db()
    assert review.status == "pending"


@pytest.mark.parametrize(
    "said", [{}, {"decision": "maybe"}, {"decision": "approved", "note": "x" * 2001}]
)
def test_what_is_no_decision_decides_nothing(console, campaign, said):
    review = ReviewFactory()
    answer = console.post(f"{LIST}{review.pk}/decide/", said, follow=True)
    assert "Nothing was decided" in answer.content.decode()
    review.refresh_from_db()
    assert review.status == "pending"


def test_who_approves_gets_the_message_that_they_saw(console, campaign):
    review = ReviewFactory()
    form = console.get(page_of(review)).context["form"]
    campaign.variants.update(template="Another automated text for {{ author }}")
    said = {"decision": "approved", "draft": form.initial["draft"]}
    answer = console.post(f"{LIST}{review.pk}/decide/", said, follow=True)
    html = answer.content.decode()
    assert "the message is another one by now" in html
    assert "Another automated text for ada" in html
    review.refresh_from_db()
    assert review.status == "pending"


def test_who_comes_second_is_told_and_not_put_on_record(console, campaign):
    review = ReviewFactory()
    form = console.get(page_of(review)).context["form"]
    first = UserFactory(username="otto")
    decide(review.pk, Review.Status.APPROVED, user_id=first.pk)
    said = {"decision": "approved", "draft": form.initial["draft"]}
    answer = console.post(f"{LIST}{review.pk}/decide/", said, follow=True)
    assert "approved already by otto" in answer.content.decode()
    assert not LogEntry.objects.exists()


def test_of_several_those_that_somebody_else_decided_are_named(console, campaign):
    mine, theirs = ReviewFactory.create_batch(2)
    decide(theirs.pk, Review.Status.REJECTED, user_id=UserFactory(username="otto").pk)
    ticked = {"action": "approve_selected", "_selected_action": [mine.pk, theirs.pk]}
    html = console.post(LIST, ticked, follow=True).content.decode()
    assert "Approved: 1" in html
    assert "rejected already by otto" in html


def test_of_several_those_that_are_retired_meanwhile_are_named(console, campaign, monkeypatch):
    reviews = ReviewFactory.create_batch(3)

    def decide_and_retire(pk, *said, **more):
        """The first decision still finds its review; by then the others are gone."""
        decision = decide(pk, *said, **more)
        Review.objects.exclude(pk=pk).delete()
        return decision

    monkeypatch.setattr("dmtrigger.reviews_admin.decide", decide_and_retire)
    ticked = {
        "action": "approve_selected",
        "_selected_action": [review.pk for review in reviews],
    }
    html = console.post(LIST, ticked, follow=True).content.decode()
    assert "Approved: 1" in html
    assert html.count("is gone: its comment was retired") == 2


def test_all_that_the_list_counts_is_all_that_is_decided(console, campaign, monkeypatch):
    monkeypatch.setattr(FirstRows, "most", 2)
    low, high, middle = [
        ReviewFactory(intent__band=band, intent__comment__author=f"buyer {number}")
        for number, band in enumerate(("nurture", "immediate_dm", "immediate_dm"))
    ]
    assert console.get(LIST).context["cl"].result_count == 2
    everything = {"action": "approve_selected", "_selected_action": [low.pk], "select_across": 1}
    assert "Approved: 2" in console.post(LIST, everything, follow=True).content.decode()
    assert set(Review.objects.filter(status="approved")) == {high, middle}


def test_several_at_once(console, campaign):
    reviews = [ReviewFactory(intent__comment__author=name) for name in ("ada", "grace", "joan")]
    ids = [review.pk for review in reviews[:2]]
    answer = console.post(
        LIST, {"action": "approve_selected", "_selected_action": ids}, follow=True
    )
    assert "Approved: 2" in answer.content.decode()
    assert DirectMessage.objects.count() == 2
    console.post(LIST, {"action": "reject_selected", "_selected_action": [reviews[2].pk]})
    assert Review.objects.filter(status="rejected").count() == 1


def test_without_a_campaign_the_page_says_what_to_do_and_offers_no_approval(console):
    review = ReviewFactory()
    html = console.get(page_of(review)).content.decode()
    assert "add one first" in html
    assert "Approve and send" not in html
    assert "add one first" in press(console, review, "approved")
    review.refresh_from_db()
    assert review.status == "pending"


def test_a_decided_review_shows_what_became_of_it_and_cannot_be_decided_again(
    console, campaign, operator
):
    review = ReviewFactory()
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    html = console.get(page_of(review)).content.decode()
    assert "Approved by <b>olga</b>" in html
    assert "its history" in html
    assert "Reject" not in html
    said = {"decision": "rejected"}
    answer = console.post(f"{LIST}{review.pk}/decide/", said, follow=True)
    assert "approved already by olga" in answer.content.decode()
    review.refresh_from_db()
    assert review.status == "approved"


def test_looking_does_not_mean_deciding(client, campaign):
    viewer = UserFactory(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_review"))
    client.force_login(viewer)
    review = ReviewFactory()
    assert "Approve and send" not in client.get(page_of(review)).content.decode()
    assert client.post(f"{LIST}{review.pk}/decide/", {"decision": "approved"}).status_code == 403
    client.post(LIST, {"action": "approve_selected", "_selected_action": [review.pk]})
    review.refresh_from_db()
    assert review.status == "pending"


def test_looking_at_a_decision_decides_nothing(console, campaign):
    review = ReviewFactory()
    assert console.get(f"{LIST}{review.pk}/decide/").status_code == 405
    assert console.post(page_of(review), {"note": ""}).status_code == 403


def test_an_admin_page_needs_a_login(client, db):
    answer = client.get(LIST)
    assert answer.status_code == 302
    assert answer.url.startswith("/admin/login/")


@pytest.mark.parametrize(
    "page",
    [
        "comments/comment",
        "intents/intentresult",
        "intents/review",
        "dmtrigger/directmessage",
        "dmtrigger/campaign",
        "dmtrigger/account",
        "dmtrigger/person",
        "dmtrigger/refusal",
        "comments/monitor",
        "threadsagent/user",
        "django_celery_results/taskresult",
    ],
)
def test_every_list_renders_in_a_few_queries(
    admin_client, page, campaign, django_assert_max_num_queries
):
    for _ in range(5):
        DirectMessageFactory(campaign=campaign)
    MonitorFactory()
    with django_assert_max_num_queries(10):
        assert admin_client.get(f"/admin/{page}/").status_code == 200


def test_a_message_shows_its_attempts_and_cannot_be_changed(admin_client, fake_platform):
    message = DirectMessageFactory()
    deliver_next()
    answer = admin_client.get(f"/admin/dmtrigger/directmessage/{message.pk}/change/")
    html = answer.content.decode()
    assert "reply_used" in html  # the platform does not know this comment
    assert 'name="_save"' not in html


@pytest.mark.parametrize(
    ("action", "state"), [("was_delivered", "sent"), ("was_not_delivered", "pending")]
)
def test_an_operator_settles_an_unknown_outcome(console, campaign, action, state):
    unknown = DirectMessageFactory(campaign=campaign, state="unknown", maybe_delivered=True)
    pending = DirectMessageFactory(campaign=campaign)
    ticked = {"action": action, "_selected_action": [unknown.pk, pending.pk]}
    html = console.post("/admin/dmtrigger/directmessage/", ticked, follow=True).content.decode()
    assert f"essage {pending.pk} to ada (pending) is not in doubt" in html
    unknown.refresh_from_db()
    assert unknown.state == state
    assert LogEntry.objects.get().get_change_message() == f"settled: {state}"


def test_all_that_the_list_counts_is_all_that_is_settled(console, campaign, monkeypatch):
    monkeypatch.setattr(FirstRows, "most", 2)
    oldest, *newer = [
        DirectMessageFactory(campaign=campaign, state="unknown", maybe_delivered=True)
        for _ in range(3)
    ]
    everything = {"action": "was_delivered", "_selected_action": [oldest.pk], "select_across": 1}
    console.post("/admin/dmtrigger/directmessage/", everything)
    assert set(DirectMessage.objects.filter(state="sent")) == set(newer)


def test_an_analysed_comment_can_be_looked_at(admin_client):
    intent = IntentResultFactory(comment__text="price?")
    html = admin_client.get(f"/admin/intents/intentresult/{intent.pk}/change/").content.decode()
    assert "price?" in html
