"""What the console gives to a spreadsheet: the ticked rows, and no formula among them."""

import csv
from io import StringIO

import pytest
from django.urls import reverse
from django.utils import timezone

from comments.csv_export import as_csv
from comments.models import Comment
from dmtrigger.models import Conversion, DirectMessage, Refusal
from tests.factories import CampaignFactory, CommentFactory, DirectMessageFactory


def export(client, model: str, *keys: int) -> list[list[str]]:
    data = {"action": "export_as_csv", "_selected_action": [str(key) for key in keys]}
    answer = client.post(reverse(f"admin:{model}_changelist"), data)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(StringIO(answer.content.decode("utf-8-sig"))))


@pytest.mark.django_db
def test_the_ticked_rows_are_exported_and_no_others(admin_client):
    comment, _other = CommentFactory(text="price?"), CommentFactory()
    header, row = export(admin_client, "comments_comment", comment.pk)
    assert dict(zip(header, row, strict=True))["text"] == "price?"
    assert Comment.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1"])
def test_strangers_text_is_no_formula(admin_client, text):
    comment = CommentFactory(text=text)
    header, row = export(admin_client, "comments_comment", comment.pk)
    assert dict(zip(header, row, strict=True))["text"] == f"'{text}"


def a_message() -> DirectMessage:
    return DirectMessageFactory()


def a_conversion() -> Conversion:
    message, now = DirectMessageFactory(), timezone.now()
    return Conversion.objects.create(
        message=message, order_id="A-1", value=5, currency="EUR", at=now
    )


def a_refusal() -> Refusal:
    campaign = CampaignFactory()
    return Refusal.objects.create(comment_id=1, campaign=campaign, rule="blocked", reason="so")


@pytest.mark.django_db
@pytest.mark.parametrize("make", [a_message, a_conversion, a_refusal])
def test_other_lists_are_exported_too(admin_client, make):
    row = make()
    header, exported = export(admin_client, row._meta.label_lower.replace(".", "_"), row.pk)
    assert len(header) == len(exported) > 5


def test_numbers_stay_numbers():
    assert as_csv(("a", "b"), [(-1, "-1")]).splitlines() == ["a,b", "-1,'-1"]
