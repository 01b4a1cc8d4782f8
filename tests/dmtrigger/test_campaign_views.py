"""Campaigns over HTTP: made and edited by the admin's rules, and on record."""

import pytest
from django.contrib.admin.models import LogEntry

from dmtrigger.models import AuditEntry, Campaign, Variant
from tests.concurrency import behind
from tests.factories import CampaignFactory, DirectMessageFactory, VariantFactory

TEMPLATE = "Hi {{ author }}: {{ link }} (automated)"
A = {"name": "A", "template": TEMPLATE}
NEW = {"name": "Launch", "link": "https://shop.example/tent", "variants": [A]}


@pytest.fixture
def api(api_of):
    return api_of("dmtrigger.view_campaign", "dmtrigger.add_campaign", "dmtrigger.change_campaign")


@pytest.fixture
def campaign(db) -> Campaign:
    return CampaignFactory(name="Launch")


def wrong(answer) -> set[str]:
    """The fields that are."""
    assert answer.status_code == 400, answer.content
    return {error["field"] for error in answer.json()["errors"]}


def edit(api, campaign: Campaign, **values: object):
    return api.patch(f"/campaigns/{campaign.pk}", values, format="json")


# --- made ---


def test_a_campaign_is_made_with_its_variants_and_is_on_record(api):
    answer = api.post("/campaigns", NEW, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert api.get(f"/campaigns/{body['id']}").json() == body
    assert (body["is_active"], body["priority"], body["channel"]) == (True, 100, "direct_message")
    [variant] = body["variants"]
    assert (variant["name"], variant["template"], variant["weight"]) == ("A", TEMPLATE, 1)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("add campaign", f"campaign {body['id']}")
    assert entry.details["name"] == "Launch"
    assert "Added variant" in LogEntry.objects.get().get_change_message()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"link": "nowhere"}, "link"),
        ({"auto_threshold": 5}, "auto_threshold"),
        ({"auto_threshold": 101}, "auto_threshold"),
        ({"starts_at": "2026-03-02T00:00Z", "ends_at": "2026-03-01T00:00Z"}, "ends_at"),
        ({"quiet_from": "22:00"}, "quiet_until"),
        ({"channel": "webhook"}, "endpoint"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"account": 0}, "account"),
        ({"variants": []}, "variants"),
        ({"variants": [A | {"weight": 0}]}, "variants"),
        ({"variants": [A, A]}, "variants"),
        ({"variants": [A, {"name": "B", "template": "{{ secret }}"}]}, "variants.1.template"),
        ({"variants": [{"template": TEMPLATE}]}, "variants.0.name"),
    ],
)
def test_what_the_console_would_refuse_is_refused_with_its_field(api, values, field):
    assert wrong(api.post("/campaigns", NEW | values, format="json")) == {field}
    assert not Campaign.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_name_is_given_once(api, campaign):
    assert wrong(api.post("/campaigns", NEW, format="json")) == {"name"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "1"}])
def test_of_two_calls_at_the_same_moment_one_gets_the_name(api, headers):
    def make():
        return api.post("/campaigns", NEW, format="json", headers=headers)

    behindhand = behind(lambda: CampaignFactory(name="Launch"), make)
    assert wrong(behindhand) == {"name"}
    assert behindhand.json() == make().json()
    assert Campaign.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_renamings_at_the_same_moment_one_gets_the_name(api):
    campaign = CampaignFactory(name="Sale")
    behindhand = behind(
        lambda: CampaignFactory(name="Launch"), lambda: edit(api, campaign, name="Launch")
    )
    assert wrong(behindhand) == {"name"}
    assert Campaign.objects.get(pk=campaign.pk).name == "Sale"


def test_a_campaign_that_is_sent_again_is_made_once(api):
    key = {"Idempotency-Key": "1"}
    first = api.post("/campaigns", NEW, format="json", headers=key)
    assert api.post("/campaigns", NEW, format="json", headers=key).json() == first.json()
    assert Campaign.objects.count() == 1


# --- edited ---


def test_only_what_is_given_is_changed_and_told(api, campaign):
    answer = edit(api, campaign, priority=7, name="Launch")
    assert answer.status_code == 200
    assert (answer.json()["priority"], answer.json()["link"]) == (7, campaign.link)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("change campaign", f"campaign {campaign.pk}")
    assert entry.details["changes"] == [{"changed": {"fields": ["Priority"]}}]
    assert LogEntry.objects.get().get_change_message() == "Changed Priority."


def test_what_changes_nothing_is_not_on_record(api, campaign):
    assert edit(api, campaign, link=campaign.link, variants=[{"name": "A"}]).status_code == 200
    assert not AuditEntry.objects.exists()
    assert not LogEntry.objects.exists()


def test_an_edit_is_checked_against_what_is_stored(api, campaign):
    Campaign.objects.filter(pk=campaign.pk).update(min_score=80)
    assert wrong(edit(api, campaign, auto_threshold=70)) == {"auto_threshold"}
    assert edit(api, campaign, auto_threshold=90).status_code == 200


def test_variants_are_known_by_name_added_changed_and_deleted(api, campaign):
    message = DirectMessageFactory(campaign=campaign, variant=campaign.variants.get())
    VariantFactory(campaign=campaign, name="old")
    answer = edit(api, campaign, variants=[{"name": "A", "weight": 3}, A | {"name": "B"}])
    said = [(each["name"], each["weight"]) for each in answer.json()["variants"]]
    assert sorted(said) == [("A", 3), ("B", 1)]
    kept = Variant.objects.get(name="A")
    message.refresh_from_db()
    assert (message.variant, kept.template) == (kept, TEMPLATE)
    assert AuditEntry.objects.get().details["changes"] == [
        {"changed": {"name": "variant", "object": "A", "fields": ["Weight"]}},
        {"added": {"name": "variant", "object": "B"}},
        {"deleted": {"name": "variant", "object": "old"}},
    ]


def test_a_weight_that_is_left_out_is_the_stored_one(api, campaign):
    campaign.variants.update(weight=0)
    assert wrong(edit(api, campaign, variants=[{"name": "A"}])) == {"variants"}


def test_an_edit_with_a_fault_changes_nothing(api, campaign):
    fault = {"name": "B", "template": "{{ secret }}"}
    assert wrong(edit(api, campaign, priority=7, variants=[A, fault])) == {"variants.1.template"}
    campaign.refresh_from_db()
    assert campaign.priority == 100
    assert campaign.variants.count() == 1


def test_a_campaign_that_is_not_there_is_a_404(api):
    assert api.patch("/campaigns/1", {}, format="json").status_code == 404
    assert api.patch("/campaigns/x", {}, format="json").status_code == 404


def test_who_may_only_look_changes_nothing(api_of, campaign):
    looks = api_of("dmtrigger.view_campaign")
    assert looks.post("/campaigns", NEW, format="json").status_code == 403
    assert edit(looks, campaign, priority=7).status_code == 403
