"""What operators decided becomes examples, and a file that the training reads back as it was."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from intents import labelled
from intents.export import reviewed_examples
from intents.models import Review
from intents.reviews import decide
from tests.factories import CampaignFactory, ReviewFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def campaign():
    return CampaignFactory()


def decided(text: str, status: str, corrected: str = "", *, days_ago: int = 0, **review) -> Review:
    author = f"buyer {Review.objects.count()}"  # nobody is written to twice a day
    made = ReviewFactory(
        **{"intent__comment__text": text, "intent__comment__author": author} | review
    )
    said = {"user_id": UserFactory().pk, "corrected_label": corrected}
    result = decide(made.pk, Review.Status(status), **said).review
    at = timezone.now() - timedelta(days=days_ago)
    Review.objects.filter(pk=made.pk).update(decided_at=at)
    return result


def labels() -> dict[str, str]:
    return {example.text: example.label for example in reviewed_examples()}


def test_an_approval_is_a_buyer():
    decided("price?", "approved")
    decided("oh my", "approved", intent__label="praise")
    assert labels() == {"price?": "purchase_intent", "oh my": "purchase_intent"}


def test_a_rejection_is_what_the_operator_says():
    decided("just got mine", "rejected", "praise")
    decided("the competitor: price?", "rejected", "purchase_intent")
    assert labels() == {
        "just got mine": "praise",
        "the competitor: price?": "purchase_intent",
    }


def test_a_rejection_of_no_buyer_leaves_the_models_label():
    decided("overpriced", "rejected", intent__label="complaint")
    assert labels() == {"overpriced": "complaint"}


def test_a_rejected_buyer_of_whom_nothing_is_said_teaches_nothing():
    decided("no price", "rejected")
    assert labels() == {}


def test_what_nobody_decided_or_a_rule_did_teaches_nothing():
    ReviewFactory()
    decide(ReviewFactory().pk, Review.Status.APPROVED, rule="campaign Launch")
    assert labels() == {}


def test_of_one_text_the_newest_decision_holds():
    decided("Need  THIS", "approved", days_ago=2)
    decided("need this", "rejected", "other", days_ago=1)
    decided("price?", "approved", days_ago=2)
    decided("price?", "rejected", days_ago=1)  # and nobody says what it is
    assert labels() == {"need this": "other"}


def test_the_slice_tells_how_an_example_came_to_be():
    decided("price?", "approved")
    decided("just got mine", "rejected", "praise")
    decided("overpriced", "rejected", intent__label="complaint")
    assert {example.text: example.slices["slice"] for example in reviewed_examples()} == {
        "price?": "review_approved",
        "just got mine": "review_corrected",
        "overpriced": "review_rejected",
    }


def test_the_file_is_read_back_as_it_was_and_is_no_formula_in_a_spreadsheet(tmp_path: Path):
    texts = ['=HYPERLINK("x";"y")', "+1 price", "-50%?", "@ann\r\nneed", "\t", "'=", "a;b,c", "'no"]
    for text in texts:
        decided(f"{text} 😍", "approved")
    output = tmp_path / "reviews.csv"
    call_command("export_reviews", output=output, stdout=StringIO())
    assert {example.text for example in labelled.read(output)} == {f"{t} 😍" for t in texts}
    assert not any(line.startswith(('"=', '"+', '"-', '"@')) for line in output.open())


def test_the_command_says_what_it_left_out_and_why(tmp_path: Path):
    decided("price?", "approved")
    decided("PRICE?", "approved", days_ago=1)
    decided("no price", "rejected")
    said = StringIO()
    call_command("export_reviews", output=tmp_path / "reviews.csv", stdout=said)
    assert said.getvalue().splitlines() == [
        "1 comments written.",
        "Left out: 1 rejected without saying what they really are.",
        "Left out: 1 decided again later, with the same text.",
        "Say it under 'It is really' when you reject one, and it counts.",
    ]


def test_without_a_file_the_rows_go_to_standard_output_and_nothing_else_does():
    decided("price?", "approved")
    rows, said = StringIO(), StringIO()
    call_command("export_reviews", stdout=rows, stderr=said)
    assert rows.getvalue().splitlines() == [
        '"text","label","slice"',
        '"price?","purchase_intent","review_approved"',
    ]
    assert "1 comments written." in said.getvalue()


def test_what_was_decided_before_a_day_can_be_left_out():
    decided("price?", "approved", days_ago=10)
    decided("how much?", "approved", days_ago=2)
    since = (timezone.now() - timedelta(days=5)).date().isoformat()
    rows = StringIO()
    call_command("export_reviews", f"--since={since}", stdout=rows, stderr=StringIO())
    assert "how much?" in rows.getvalue()
    assert "price?" not in rows.getvalue()


def test_what_is_no_day_is_refused():
    with pytest.raises(CommandError, match="write it as 2026-01-31"):
        call_command("export_reviews", "--since=yesterday")


def test_an_export_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch):
    output = tmp_path / "reviews.csv"
    output.write_text("the old one")
    decided("price?", "approved")

    def fail(_cell: str) -> str:
        raise OSError("disk full")

    monkeypatch.setattr("intents.management.commands.export_reviews.protect", fail)
    with pytest.raises(CommandError, match="could not be written: disk full"):
        call_command("export_reviews", output=output)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("reviews.csv", "the old one")
    ]
