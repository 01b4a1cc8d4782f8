"""Clicks and conversions in the admin, and the page of the funnel; nothing is edited here."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from comments.admin import CsvExport, ReadOnlyAdmin, ids_of
from comments.came_in import CameIn
from comments.scope import scope_of
from dmtrigger import funnel
from dmtrigger.comparing import MIN_SENT, Rate
from dmtrigger.funnel import By, Comparison, Row
from dmtrigger.models import Click, Conversion

DAYS = 7
CHOICES = (7, 28, 90)  # periods that are one click away, in days
STEPS = (
    ("flagged", "Flagged", "comments"),
    ("approved", "Approved", "flagged"),
    ("sent", "Sent", "approved"),
    ("clicked", "Clicked", "sent"),
    ("converted", "Bought", "sent"),  # not of those clicked: who buys may have come another way
)
"""The picture's steps: field, name, and the field that they are a share of."""


class OfMessageAdmin(ReadOnlyAdmin):
    """What belongs to a message, found by the comment that the message answers."""

    list_select_related = ("message",)
    search_fields = ("message",)
    search_help_text = "The comment's whole id on the platform."
    ordering = ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(message__comment_id__in=ids_of(search_term)), False


@admin.register(Click)
class ClickAdmin(OfMessageAdmin):
    list_display = ("at", "message", "is_bot", "user_agent")
    list_filter = ("is_bot", ("message__comment_id", CameIn))


class FunnelForm(forms.Form):
    """The period, in days of UTC, and by what the funnel is taken apart."""

    since = forms.DateField(widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(widget=forms.DateInput({"type": "date"}), help_text="this day included")
    by = forms.ChoiceField(
        choices=[(by.value, by.value.replace("_", " ").capitalize()) for by in By]
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("since") and said.get("until") and said["since"] > said["until"]:
            self.add_error("since", "must not be after the end")
        return said


class Bar(NamedTuple):
    """A step of the picture."""

    name: str
    reached: int
    width: float
    """In percent of the widest."""
    share: float | None
    """Of `of`, which is an earlier step; None where that has too few for a figure."""
    of: str


@admin.register(Conversion)
class ConversionAdmin(CsvExport, OfMessageAdmin):
    list_display = ("order_id", "value", "currency", "at", "message", "campaign")
    actions = ("export_as_csv",)
    export_fields = ("order_id", "value", "currency", "at", "message_id", "message__campaign__name")
    list_filter = ("message__state", ("message__comment_id", CameIn))
    list_select_related = ("message__campaign",)
    change_list_template = "admin/dmtrigger/with_funnel.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.funnel_view)
        return [path("funnel/", view, name="dmtrigger_funnel"), *super().get_urls()]

    @admin.display(ordering="message__campaign")
    def campaign(self, conversion: Conversion) -> str:
        return str(conversion.message.campaign)

    def funnel_view(self, request: HttpRequest) -> HttpResponse:
        """How many came how far, of the comments of some days."""
        if not request.user.has_perm("dmtrigger.view_directmessage"):
            raise PermissionDenied
        now = timezone.now().astimezone(UTC).date()
        said = _last(DAYS, now) | {"by": By.CAMPAIGN} | request.GET.dict()
        form = FunnelForm(said)
        context = admin.site.each_context(request) | {
            "title": "Funnel",
            "form": form,
            "opts": self.model._meta,
            "periods": [(days, _last(days, now)) for days in CHOICES],
            "min_sent": MIN_SENT,
        }
        if form.is_valid():
            period = _period(form.cleaned_data["since"], form.cleaned_data["until"])
            found = funnel.report(period, By(form.cleaned_data["by"]), scope_of(request.user))
            context |= {
                "report": found,
                "bars": bars(found.total),
                "has_comments": any(row.comments is not None for row in found.groups),
                "comparisons": [(each, _measured(each)) for each in found.comparisons],
            }
        return TemplateResponse(request, "admin/dmtrigger/funnel.html", context)


def bars(total: Row) -> list[Bar]:
    """The picture's bars, from what was flagged on: beside all comments none would be seen."""
    widest = max(getattr(total, field) or 0 for field, _name, _of in STEPS) or 1
    found = []
    for field, name, of in STEPS:
        count, base = getattr(total, field), getattr(total, of)
        if count is not None:
            share = count / base if base and base >= MIN_SENT else None
            found.append(Bar(name, count, 100 * count / widest, share, of))
    return found


class Interval(NamedTuple):
    """A rate's interval as a picture, in percent of the width."""

    rate: Rate
    left: float
    width: float
    mark: float


def intervals(rates: Sequence[Rate | None]) -> list[Interval | None]:
    """Beside each other on one scale, which begins at 0."""
    end = max((rate.high for rate in rates if rate), default=0) or 1
    return [
        rate
        and Interval(
            rate,
            100 * rate.low / end,
            100 * (rate.high - rate.low) / end,
            100 * rate.share / end,
        )
        for rate in rates
    ]


def _measured(comparison: Comparison) -> list[tuple[Row, Interval | None, Interval | None]]:
    rows = comparison.variants
    clicks = intervals([row.click_rate for row in rows])
    sales = intervals([row.conversion_rate for row in rows])
    return list(zip(rows, clicks, sales, strict=True))


def _last(days: int, now: date) -> dict[str, str]:
    """The last so many days, today included, as the form is given them."""
    return {"since": (now - timedelta(days=days - 1)).isoformat(), "until": now.isoformat()}


def _period(since: date, until: date) -> funnel.Period:
    begin, end = (datetime.combine(day, time(), UTC) for day in (since, until))
    left = datetime.max.replace(tzinfo=UTC) - end  # less than a day on the calendar's last one
    return funnel.Period(begin, end + min(timedelta(days=1), left))
