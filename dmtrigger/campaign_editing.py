"""Campaigns that are made and edited over the API, on record like edits in the admin."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Model
from django.utils.text import capfirst

from dmtrigger import audit
from dmtrigger.models import Campaign, Variant

Change = dict[str, dict[str, Any]]
"""As the admin writes it into a history."""


@transaction.atomic
def add(values: dict[str, Any], variants: list[dict[str, Any]], user: AbstractBaseUser) -> Campaign:
    """Make a campaign of values that were checked."""
    campaign = Campaign.objects.create(**values)
    changes: list[Change] = [{"added": {}}, *_set_variants(campaign, variants)]
    audit.note_edit(user.get_username(), "add", campaign, changes)
    LogEntry.objects.log_actions(user.pk, [campaign], ADDITION, changes, single_object=True)
    return campaign


@transaction.atomic
def change(
    campaign: Campaign,
    values: dict[str, Any],
    variants: list[dict[str, Any]] | None,
    user: AbstractBaseUser,
) -> None:
    """Give a campaign these values, and these variants unless there is None."""
    changes: list[Change] = []
    if fields := _set(campaign, values):
        changes.append({"changed": {"fields": fields}})
    if variants is not None:
        changes += _set_variants(campaign, variants)
    if changes:
        audit.note_edit(user.get_username(), "change", campaign, changes)
        LogEntry.objects.log_actions(user.pk, [campaign], CHANGE, changes, single_object=True)


def _set_variants(campaign: Campaign, variants: list[dict[str, Any]]) -> Iterator[Change]:
    """Have just these, known by their names, so that messages keep the variant they are of."""
    known = {variant.name: variant for variant in Variant.objects.filter(campaign=campaign)}
    for values in variants:
        named = {"name": "variant", "object": values["name"]}
        variant = known.pop(values["name"], None)
        if variant is None:
            Variant.objects.create(campaign=campaign, **values)
            yield {"added": named}
        elif fields := _set(variant, values):
            yield {"changed": named | {"fields": fields}}
    for name, variant in known.items():
        variant.delete()
        yield {"deleted": {"name": "variant", "object": name}}


def _set(row: Model, values: dict[str, Any]) -> list[str]:
    """Store what is new; what the admin calls these fields."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.save(update_fields=changed)
    # the stubs think of relations from elsewhere, which have no such name; none is changed here
    return [capfirst(str(row._meta.get_field(name).verbose_name)) for name in changed]  # type: ignore[union-attr]
