"""The audit log: who did what to what, for good, and nothing of the people who are written to."""

import json

import pytest
from django.contrib.auth.models import Permission
from django.db import InternalError, transaction
from django.forms import MultiWidget

from dmtrigger import audit, outbox, people
from dmtrigger.models import AuditEntry, Campaign, Person, WebhookEndpoint
from intents import registry
from intents.models import ModelVersion, Review
from intents.reviews import decide, flag
from intents.signals import model_promoted
from tests.factories import (
    CampaignFactory,
    DirectMessageFactory,
    IntentResultFactory,
    ReviewFactory,
    UserFactory,
)

ENDPOINTS = "/admin/dmtrigger/webhookendpoint/"
pytestmark = pytest.mark.django_db
LIST = "/admin/dmtrigger/auditentry/"


def last() -> AuditEntry:
    return AuditEntry.objects.latest("pk")


def whole_log() -> str:
    return json.dumps(list(AuditEntry.objects.values("actor", "action", "target", "details")))


def forms_of(page, **changes: str) -> dict[str, str]:
    """What a browser would post of an admin page's forms, with these changes."""
    form = page.context["adminform"].form
    sets = [inline.formset for inline in page.context["inline_admin_formsets"]]
    fields = [*form, *(field for each in sets for field in each.management_form)]
    fields += [field for each in sets for one in each.initial_forms for field in one]
    data = dict(said for field in fields for said in inputs_of(field))
    return {name: str(value) for name, value in (data | changes).items() if value not in (None, "")}


def inputs_of(field) -> list[tuple[str, object]]:
    widget, name = field.field.widget, field.html_name
    if isinstance(widget, MultiWidget):  # a date and a time
        parts = widget.decompress(field.value()) or []
        return [(f"{name}_{n}", part) for n, part in enumerate(parts)]
    return [(name, field.value())]


# --- it cannot be changed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries.update(actor="nobody"),
        lambda entries: entries.delete(),
        lambda entries: entries._raw_delete("default"),
    ],
)
def test_the_database_refuses_every_change(change):
    audit.record("olga", "block", "person 1")
    with pytest.raises(InternalError, match="cannot be changed"), transaction.atomic():
        change(AuditEntry.objects.all())
    assert last().actor == "olga"


def test_what_is_undone_was_not_done():
    person = people.block("fake_platform", "ada", "olga")
    with transaction.atomic():
        people.unblock(person.pk, "olga")
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == 1


# --- what is in it ----------------------------------------------------------------------------


def test_people_are_named_by_pseudonyms_only(operator):
    people.opt_out("fake_platform", "ada", Person.By.REPLY)
    person = people.opt_out("fake_platform", "ada", Person.By.OPERATOR, actor="olga", days=7)
    people.opt_in(person.pk, "olga")
    people.block("fake_platform", "ada", "olga", reason="ada was rude")
    people.unblock(person.pk, "olga")
    people.take_over("fake_platform", "ada", operator.pk, "olga")
    people.hand_back(person.pk, "olga")
    assert set(AuditEntry.objects.values_list("target", flat=True)) == {
        people.in_audit("fake_platform", "ada")
    }
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        *("opt out", "opt out", "opt in", "block", "unblock", "take over", "hand back")
    ]
    assert "ada" not in whole_log()


def test_a_pseudonym_is_of_a_key_a_platform_and_a_name(settings):
    ada = people.pseudonym("fake_platform", "ada")
    assert len(ada) == 16
    assert ada == people.pseudonym("fake_platform", "ada")
    assert ada != people.pseudonym("instagram", "ada")
    assert ada != people.pseudonym("fake_platform", "Ada")
    settings.SECRET_KEY = "another"
    assert ada != people.pseudonym("fake_platform", "ada")


@pytest.mark.parametrize("decision", [Review.Status.APPROVED, Review.Status.REJECTED])
def test_a_decision_says_who_and_what(operator, decision):
    CampaignFactory()
    review = ReviewFactory()
    decide(review.pk, decision, user_id=operator.pk, note="ada seems nice")
    decide(review.pk, decision, user_id=operator.pk)  # changes nothing
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.target) == ("olga", decision, f"review {review.pk}")
    assert entry.details == {"comment": review.intent_id}


def test_a_decision_by_rule_says_the_rule():
    CampaignFactory(name="Launch")
    review = ReviewFactory()
    decide(review.pk, Review.Status.APPROVED, rule="campaign Launch: score 90 from 80 on")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.details["rule"]) == (
        "campaign",
        "campaign Launch: score 90 from 80 on",
    )


def test_a_rejection_by_the_policy_names_nobody():
    people.block("fake_platform", "ada", "olga")
    CampaignFactory()
    flag([IntentResultFactory()])
    assert Review.objects.get().decided_by_rule == "policy: an operator blocked the person"
    assert "ada" not in whole_log()


def test_what_is_done_to_messages_is_noted(operator):
    message = DirectMessageFactory()
    outbox.cancel(message.pk, "olga")
    assert (last().action, last().target) == ("cancel message", f"message {message.pk}")
    doubtful = DirectMessageFactory(state="unknown")
    outbox.settle(doubtful.pk, delivered=True, by="olga")
    assert (last().action, last().details) == ("settle message", {"delivered": True})
    CampaignFactory()
    review = ReviewFactory(intent__comment__author="grace")
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    outbox.undo(review.pk, "olga")
    assert last().details == {"why": "the approval was undone"}


def test_a_promotion_is_noted(monkeypatch):
    monkeypatch.setattr(registry, "_check_that_it_works", lambda _: None)
    version = ModelVersion.objects.create(name="v2", role="challenger", card={})
    registry.promote(version, UserFactory(username="mona"))
    assert (last().actor, last().action, last().target) == ("mona", "promote model", "model v2")


def test_a_promotion_that_fails_is_not(monkeypatch):
    monkeypatch.setattr(registry, "_check_that_it_works", lambda _: None)
    version = ModelVersion.objects.create(name="v2", role="challenger", card={})

    def refuse(**_: object) -> None:
        raise ZeroDivisionError

    model_promoted.connect(refuse)
    try:
        with pytest.raises(ZeroDivisionError):
            registry.promote(version, UserFactory())
    finally:
        model_promoted.disconnect(refuse)
    assert not AuditEntry.objects.exists()


# --- edits ------------------------------------------------------------------------------------


def test_an_edit_says_which_fields_and_by_whom(admin_client):
    campaign = CampaignFactory(name="Launch")
    address = f"/admin/dmtrigger/campaign/{campaign.pk}/change/"
    data = forms_of(admin_client.get(address), link="https://shop.example/tent", priority="7")
    assert admin_client.post(address, data).status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == ("admin", "change campaign")
    assert entry.target == f"campaign {campaign.pk}"
    [said] = entry.details["changes"]
    assert set(said["changed"]["fields"]) == {"Link", "Priority"}
    assert "tent" not in whole_log()


def test_what_is_added_and_deleted_is_noted(admin_client):
    fields = {"name": "crm", "url": "https://crm.example/hook", "is_active": "on"}
    admin_client.post(f"{ENDPOINTS}add/", fields)
    endpoint = WebhookEndpoint.objects.get()
    target = f"webhook endpoint {endpoint.pk}"
    assert (last().action, last().target) == ("add webhook endpoint", target)
    admin_client.post(f"{ENDPOINTS}{endpoint.pk}/delete/", {"post": "yes"})
    assert not WebhookEndpoint.objects.exists()
    assert (last().action, last().details["name"]) == ("delete webhook endpoint", "crm")


def test_what_is_deleted_from_the_list_is_noted(admin_client):
    ids = [
        WebhookEndpoint.objects.create(name=name, url="https://crm.example/hook").pk
        for name in ("crm", "bot")
    ]
    data = {"action": "delete_selected", "_selected_action": ids, "post": "y"}
    admin_client.post(ENDPOINTS, data)
    assert not WebhookEndpoint.objects.exists()
    assert AuditEntry.objects.filter(action="delete webhook endpoint").count() == 2


def test_no_secret_is_noted(admin_client):
    data = {"name": "crm", "url": "https://crm.example/", "is_active": "on"}
    admin_client.post("/admin/dmtrigger/webhookendpoint/add/", data)
    endpoint = WebhookEndpoint.objects.get()
    assert last().action == "add webhook endpoint"
    assert endpoint.secret[6:16] not in whole_log()


# --- looking at it ----------------------------------------------------------------------------


def test_the_log_is_read_only(admin_client):
    entry = audit.record("olga", "block", "person 1")
    assert admin_client.get(f"{LIST}{entry.pk}/change/").status_code == 200
    assert admin_client.post(f"{LIST}{entry.pk}/change/", {"actor": "x"}).status_code == 403
    assert admin_client.post(f"{LIST}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403


def test_the_log_needs_its_permission(client, operator):
    client.force_login(operator)
    assert client.get(LIST).status_code == 403
    operator.user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    assert client.get(LIST).status_code == 200


def shown(page) -> list[str]:
    return [entry.target for entry in page.context["cl"].queryset]


def test_the_log_is_filtered_by_action(admin_client):
    audit.record("olga", "block", "person 1")
    audit.record("olga", "opt out", "person 2")
    assert shown(admin_client.get(LIST, {"action": "block"})) == ["person 1"]


@pytest.mark.parametrize("source", ["fake_platform", "instagram"])
def test_the_log_is_searched_by_target_and_by_a_persons_name(admin_client, source):
    people.block(source, "ada", "olga")
    people.block(source, "grace", "olga")
    audit.record("olga", "cancel message", "message 12")
    assert shown(admin_client.get(LIST, {"q": "ada"})) == [people.in_audit(source, "ada")]
    assert shown(admin_client.get(LIST, {"q": "message 12"})) == ["message 12"]
    assert shown(admin_client.get(LIST, {"q": "ad"})) == []


def test_a_person_is_found_by_name_after_the_key_was_changed(admin_client, settings):
    people.block("fake_platform", "ada", "olga")
    target = people.in_audit("fake_platform", "ada")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    admin_client.logout()
    admin_client.force_login(UserFactory(is_superuser=True, is_staff=True))
    assert shown(admin_client.get(LIST, {"q": "ada"})) == [target]


def test_campaigns_stay_editable_without_any_audit_permission(client):
    user = UserFactory(is_staff=True)
    names = ("change_campaign", "view_campaign", "change_variant", "view_variant", "add_variant")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    address = f"/admin/dmtrigger/campaign/{CampaignFactory().pk}/change/"
    client.post(address, forms_of(client.get(address), name="renamed"))
    assert Campaign.objects.get().name == "renamed"
    assert last().actor == user.username
