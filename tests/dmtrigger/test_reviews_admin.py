"""What a review's page says of the message before it goes, and what can be done about it."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from dmtrigger import people
from dmtrigger.models import Account, AuditEntry, DirectMessage, Person
from dmtrigger.outbox import deliver_next
from intents.models import Review
from intents.reviews import decide
from tests.factories import CampaignFactory, CommentFactory, ReviewFactory, UserFactory

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
    assert f'<a href="{page_of(review)}">Its page</a> has an Undo' in answer.content.decode()
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


@pytest.mark.parametrize("what", ["undo", "block", "take-over"])
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
    review = ReviewFactory()
    with django_assert_max_num_queries(24):
        console.get(page_of(review))
