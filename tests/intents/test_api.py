"""Intents and reviews over HTTP."""

import pytest

from intents.models import Review
from intents.reviews import claim, decide
from tests.factories import CampaignFactory, IntentResultFactory, ReviewFactory


@pytest.fixture
def api(api_of):
    return api_of("intents.view_intentresult", "intents.view_review", "intents.decide_review")


def test_an_intent_comes_with_its_comment(api):
    intent = IntentResultFactory(comment__text="price?")
    body = api.get(f"/intents/{intent.pk}").json()
    assert (body["score"], body["band"], body["comment"]["text"]) == (85, "immediate_dm", "price?")
    assert api.get("/intents").json()["results"] == [body]


def test_approving_over_the_api_is_the_same_decision_as_in_the_console(api):
    CampaignFactory()
    review = ReviewFactory()
    answer = api.post(f"/reviews/{review.pk}/approve", {"note": "sure"}, format="json")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["note"]) == ("approved", "sure")
    assert body["decided_by"].startswith("user")
    review.refresh_from_db()
    assert review.message.state == "pending"
    assert api.post(f"/reviews/{review.pk}/approve").json() == body


def test_a_rejection_may_say_what_the_comment_really_is(api):
    review = ReviewFactory()
    said = {"corrected_label": "complaint"}
    body = api.post(f"/reviews/{review.pk}/reject", said, format="json").json()
    assert (body["status"], body["corrected_label"]) == ("rejected", "complaint")


@pytest.mark.parametrize(
    ("label", "says"), [("praise", "reject it, or leave out"), ("nice", "not a valid choice")]
)
def test_an_approval_with_another_label_is_refused(api, label, says):
    CampaignFactory()
    review = ReviewFactory()
    said = {"corrected_label": label}
    answer = api.post(f"/reviews/{review.pk}/approve", said, format="json")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], says in error["reason"]) == ("corrected_label", True)
    review.refresh_from_db()
    assert review.status == "pending"


def test_deciding_what_an_operator_has_open_is_a_conflict(api, operator):
    review = ReviewFactory()
    claim(review.pk, operator.pk)
    answer = api.post(f"/reviews/{review.pk}/reject")
    assert answer.status_code == 409
    assert "olga has had this review open" in answer.json()["detail"]


def test_rejecting_what_is_approved_is_a_conflict(api):
    CampaignFactory()
    review = ReviewFactory()
    api.post(f"/reviews/{review.pk}/approve")
    answer = api.post(f"/reviews/{review.pk}/reject")
    assert answer.status_code == 409
    assert "approved already by" in answer.json()["detail"]


def test_approving_without_a_campaign_says_what_to_do(api):
    answer = api.post(f"/reviews/{ReviewFactory().pk}/approve")
    assert answer.status_code == 409
    assert "add one first" in answer.json()["detail"]


def test_a_review_that_is_not_there_is_a_404(api):
    assert api.post("/reviews/1/approve").status_code == 404


def test_a_review_that_is_retired_meanwhile_is_a_404(api, monkeypatch):
    review = ReviewFactory()

    def retire_and_decide(*said, **more):
        Review.objects.all().delete()
        return decide(*said, **more)

    monkeypatch.setattr("intents.reviews.decide", retire_and_decide)
    assert api.post(f"/reviews/{review.pk}/reject").status_code == 404


def test_looking_does_not_mean_deciding(api_of):
    review = ReviewFactory()
    viewer = api_of("intents.view_review")
    assert viewer.get(f"/reviews/{review.pk}").status_code == 200
    assert viewer.post(f"/reviews/{review.pk}/approve").status_code == 403
