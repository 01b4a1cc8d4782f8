"""Campaigns in the console: their order, what they must have, their previews and dry runs."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from dmtrigger import people
from dmtrigger.models import Campaign, Variant
from intents.models import Review
from tests.concurrency import behind
from tests.factories import (
    AccountFactory,
    CampaignFactory,
    DirectMessageFactory,
    ReviewFactory,
    UserFactory,
    VariantFactory,
)
from threadsagent.roles import CAMPAIGN_MANAGERS

pytestmark = pytest.mark.django_db
LIST = "/admin/dmtrigger/campaign/"
TEMPLATE = "Hi {{ author }}: {{ link }} (automated)"


@pytest.fixture
def manager(client):
    """A console of a campaign manager."""
    user = UserFactory(username="mia", is_staff=True)
    user.groups.add(Group.objects.get(name=CAMPAIGN_MANAGERS))
    client.force_login(user)
    return client


def form(*variants: dict[str, object], **values: object) -> dict[str, object]:
    """What the browser sends of a campaign's page."""
    sent: dict[str, object] = {
        "name": "Launch",
        "is_active": "on",
        "priority": 100,
        "min_score": 0,
        "link": "https://shop.example/backpack",
        "channel": "direct_message",
        "delay_seconds": 0,
        "time_zone": "UTC",
        "variants-TOTAL_FORMS": len(variants),
        "variants-INITIAL_FORMS": sum("id" in variant for variant in variants),
        **values,
    }
    for number, variant in enumerate(variants):
        sent |= {f"variants-{number}-{field}": value for field, value in variant.items()}
    return sent


A = {"name": "A", "weight": 1, "template": TEMPLATE}


def errors(answer) -> str:
    """All that the page says is wrong."""
    context = answer.context
    found = context["adminform"].form.errors.as_text()
    for inline in context["inline_admin_formsets"]:
        found += inline.formset.non_form_errors().as_text()
        found += "".join(each.as_text() for each in inline.formset.errors)
    return found


def test_campaigns_stand_in_the_order_in_which_they_are_asked(manager):
    last = CampaignFactory(name="every post")
    off = CampaignFactory(name="off", is_active=False, priority=2)
    of_account = CampaignFactory(name="one account", account=AccountFactory(name="shop"))
    of_post = CampaignFactory(name="one post", post_id="p1")
    first = CampaignFactory(name="first", priority=1)
    page = manager.get(LIST)
    rows = list(page.context["cl"].result_list)
    assert rows == [first, off, of_post, of_account, last]
    assert [row.place for row in rows] == [1, None, 2, 3, 4]
    assert "account shop (fake_platform)" in page.content.decode()


def test_a_campaign_is_made_with_its_variants(manager):
    b = {"name": "B", "weight": 3, "template": TEMPLATE}
    assert manager.post(f"{LIST}add/", form(A, b)).status_code == 302
    campaign = Campaign.objects.get()
    assert [(v.name, v.weight) for v in campaign.variants.order_by("pk")] == [("A", 1), ("B", 3)]


@pytest.mark.django_db(transaction=True)
def test_of_two_forms_at_the_same_moment_one_gets_the_name(manager):
    behindhand = behind(
        lambda: CampaignFactory(name="Launch"), lambda: manager.post(f"{LIST}add/", form(A))
    )
    assert "already exists" in errors(behindhand)
    assert Campaign.objects.count() == 1


def test_a_new_campaign_is_offered_a_message_that_can_be_left_as_it_is(manager):
    page = manager.get(f"{LIST}add/")
    offered = page.context["inline_admin_formsets"][0].formset.forms[0]
    values = {field: offered[field].value() for field in ("name", "weight", "template")}
    assert manager.post(f"{LIST}add/", form(values)).status_code == 302
    assert "automated message" in Variant.objects.get().template


@pytest.mark.parametrize(
    ("variants", "values", "problem"),
    [
        ([A], {"name": "Taken"}, "already exists"),
        ([A], {"auto_threshold": 20}, "must be at least 60"),
        ([A], {"quiet_from": "22:00"}, "quiet hours need both ends"),
        ([A], {"time_zone": "Moon/Base"}, "is no time zone"),
        ([A], {"channel": "webhook"}, "the channel webhook has one"),
        ([A], {"starts_at_0": "2026-02-01", "starts_at_1": "10:00:00",
               "ends_at_0": "2026-01-01", "ends_at_1": "10:00:00"}, "must be after the start"),
        ([{**A, "weight": 0}], {}, "needs a weight above 0"),
        ([], {}, "needs a weight above 0"),
        ([{**A, "template": "Hi {{ price }}"}], {}, "price is no variable"),
        ([A, A], {}, "correct the duplicate"),
    ],
)  # fmt: skip
def test_what_could_send_nothing_is_an_error(manager, variants, values, problem):
    CampaignFactory(name="Taken")
    answer = manager.post(f"{LIST}add/", form(*variants, **values))
    assert answer.status_code == 200
    assert problem in errors(answer)
    assert Campaign.objects.count() == 1


def test_the_last_variant_with_a_weight_cannot_be_deleted(manager):
    campaign = CampaignFactory(name="Launch")
    variant = campaign.variants.get()
    sent = form({**A, "id": variant.pk, "campaign": campaign.pk, "DELETE": "on"})
    answer = manager.post(f"{LIST}{campaign.pk}/change/", sent)
    assert "needs a weight above 0" in errors(answer)
    assert campaign.variants.count() == 1


def test_a_campaign_with_messages_is_not_deleted_but_deactivated(manager):
    campaign = DirectMessageFactory().campaign
    page = manager.get(f"{LIST}{campaign.pk}/change/").content.decode()
    assert "it cannot be deleted" in page
    assert manager.post(f"{LIST}{campaign.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in manager.get(LIST).content.decode()
    ticked = {"action": "deactivate", "_selected_action": [campaign.pk]}
    assert "Deactivated" in manager.post(LIST, ticked, follow=True).content.decode()
    campaign.refresh_from_db()
    assert not campaign.is_active
    manager.post(LIST, ticked | {"action": "activate"})
    campaign.refresh_from_db()
    assert campaign.is_active


def test_a_campaign_without_messages_is_deleted(manager):
    campaign = CampaignFactory()
    manager.post(f"{LIST}{campaign.pk}/delete/", {"post": "yes"})
    assert not Campaign.objects.exists()


def test_an_operator_looks_at_campaigns_and_changes_none(client, operator):
    campaign = CampaignFactory()
    client.force_login(operator)
    assert client.get(LIST).status_code == 200
    assert client.get(f"{LIST}{campaign.pk}/change/").status_code == 200
    assert client.get(f"{LIST}add/").status_code == 403
    client.post(LIST, {"action": "deactivate", "_selected_action": [campaign.pk]})
    campaign.refresh_from_db()
    assert campaign.is_active


# --- previews ---------------------------------------------------------------------------------


def preview(console, template: str, campaign: object = "", channel: str = "direct_message"):
    said = {"template": template, "channel": channel, "campaign": campaign}
    return console.post(f"{LIST}preview/", said).json()


def test_a_preview_is_the_message_for_the_last_comment_that_the_campaign_means(manager):
    campaign = CampaignFactory(
        post_id="p1", is_active=False, starts_at=timezone.now() + timedelta(days=1)
    )
    ReviewFactory(intent__comment__author="ada", intent__comment__post_id="p1")
    ReviewFactory(intent__comment__author="bea", intent__comment__post_id="p2")
    shown = preview(manager, TEMPLATE, campaign.pk)
    assert shown["text"].startswith("Hi ada: http")
    assert shown["sample"] == "for ada under p1"
    assert shown["problems"] == []
    assert preview(manager, TEMPLATE)["text"].startswith("Hi bea: http")


def test_without_any_comment_an_example_is_shown(manager):
    assert preview(manager, TEMPLATE)["text"].startswith("Hi ada: http")


@pytest.mark.parametrize(
    ("template", "channel", "problem"),
    [
        ("Hi {{ price }}", "direct_message", "price is no variable"),
        ("{% load x %}", "direct_message", "belongs to no variable"),
        ("Hi {{ author }}", "direct_message", "the message has none of: automated"),
        ("", "direct_message", "the message is empty"),
        ("x" * 1001, "direct_message", "the message can have 1001 bytes"),
    ],
)
def test_a_preview_says_why_it_would_not_be_sent(manager, template, channel, problem):
    ReviewFactory()
    assert problem in "; ".join(preview(manager, template, channel=channel)["problems"])


def test_a_preview_needs_the_right_to_see_campaigns(client):
    user = UserFactory(is_staff=True)
    client.force_login(user)
    answer = client.post(f"{LIST}preview/", {"template": "x", "channel": "direct_message"})
    assert answer.status_code == 403


# --- dry runs ---------------------------------------------------------------------------------


def test_a_dry_run_shows_what_would_be_sent_and_counts_it(manager):
    campaign = CampaignFactory(name="Launch", auto_threshold=80, is_active=False)
    ReviewFactory(intent__comment__author="ada")
    people.block("fake_platform", "bea", "olga")
    ReviewFactory(intent__comment__author="bea")
    page = f"{LIST}{campaign.pk}/dry-run/"
    assert page in manager.get(f"{LIST}{campaign.pk}/change/").content.decode()
    html = manager.get(page).content.decode()
    for shown in ("Hi ada: http", "sent without an operator", "bea is blocked"):
        assert shown in html
    only = manager.get(page, {"would": "refused"}).content.decode()
    assert "bea is blocked" in only
    assert "Hi ada: http" not in only


def test_a_dry_run_escapes_what_strangers_wrote(manager):
    evil = "<script>alert(1)</script>"
    campaign = CampaignFactory()
    ReviewFactory(intent__comment__author=evil, intent__comment__text=evil)
    assert evil not in manager.get(f"{LIST}{campaign.pk}/dry-run/").content.decode()


def test_a_dry_run_goes_on_over_pages(manager):
    campaign = CampaignFactory()
    for number in range(51):
        ReviewFactory(intent__comment__author=f"buyer {number}")
    page = manager.get(f"{LIST}{campaign.pk}/dry-run/", {"page": 2})
    assert "Page 2 of 2" in page.content.decode()
    assert "buyer 0" in page.content.decode()


@pytest.mark.parametrize("query", [{"days": "8"}, {"days": "x"}, {"would": "x"}])
def test_what_a_dry_run_cannot_be_asked_is_said(manager, query):
    ReviewFactory()
    page = manager.get(f"{LIST}{CampaignFactory().pk}/dry-run/", query)
    assert "Select a valid choice" in page.content.decode()


def test_a_dry_run_needs_the_right_to_see_comments(client):
    user = UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_campaign"))
    client.force_login(user)
    assert client.get(f"{LIST}{CampaignFactory().pk}/dry-run/").status_code == 403
    assert client.get(f"{LIST}0/dry-run/").status_code == 404


def test_a_dry_run_of_many_comments_costs_few_queries(manager, django_assert_max_num_queries):
    campaign = CampaignFactory()
    VariantFactory(campaign=campaign, name="B")
    for number in range(20):
        ReviewFactory(intent__comment__author=f"buyer {number}")
    with django_assert_max_num_queries(18):
        manager.get(f"{LIST}{campaign.pk}/dry-run/")
    assert Review.objects.filter(status="pending").count() == 20
