"""Campaigns in the operators' console: which come first, what they say, what they would send."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import IntegrityError, models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from comments.scope import Scope, scope_of
from dmtrigger import dry_run
from dmtrigger.audit_admin import Audited
from dmtrigger.campaigns import PRECEDENCE, in_order
from dmtrigger.dry_run import Would
from dmtrigger.models import Campaign, DirectMessage, Refusal, Variant
from dmtrigger.preview import preview
from dmtrigger.senders.contract import Channel

LINES_A_PAGE = 50
SMALL = {"rows": 4, "class": "vLargeTextField"}


class DateAndTime(AdminSplitDateTime):
    """Django's, whose two fields are told apart also by who hears them."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for widget, name in zip(self.widgets, ("Date", "Time"), strict=True):
            widget.attrs["aria-label"] = name


class VariantForm(forms.ModelForm[Variant]):
    def has_changed(self) -> bool:
        """A new one that was left as it was offered is meant too."""
        return self.instance._state.adding or super().has_changed()


class Variants(forms.BaseInlineFormSet[Variant, Campaign, forms.ModelForm[Variant]]):
    def clean(self) -> None:
        """Without a variant that can be drawn, nothing could be sent."""
        super().clean()
        if any(self.errors):
            return
        stay = [form.cleaned_data for form in self.forms if not form.cleaned_data.get("DELETE")]
        if not any(values.get("weight") for values in stay):
            raise ValidationError("At least one variant needs a weight above 0.")


class VariantInline(admin.StackedInline[Variant, Campaign]):
    model = Variant
    form = VariantForm
    formset = Variants
    formfield_overrides = {models.TextField: {"widget": forms.Textarea(SMALL)}}
    fields = (("name", "weight"), "template")
    extra = 0
    min_num = 1


class CampaignList(ChangeList):
    """Notes each campaign's place in the order in which the active ones are asked."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        active = scope_of(request.user).narrow(in_order().filter(is_active=True))
        places = {pk: place for place, pk in enumerate(active.values_list("pk", flat=True), 1)}
        page = list(self.result_list)
        for campaign in page:
            campaign.place = places.get(campaign.pk)
        self.result_list = page


class PreviewForm(forms.Form):
    """What the page asks a preview of; `scope` is what the user sees."""

    template = forms.CharField(required=False, max_length=10_000, strip=False)
    channel = forms.ChoiceField(choices=Channel.choices)
    campaign = forms.ModelChoiceField(Campaign.objects.all(), required=False)

    def __init__(self, data: Any, scope: Scope) -> None:
        super().__init__(data)
        campaign: Any = self.fields["campaign"]
        campaign.queryset = scope.narrow(Campaign.objects.all())


class DryRunForm(forms.Form):
    """How far back a dry run looks, and which of its lines are shown."""

    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(1, "the last day"), (7, "7 days"), (14, "14 days"), (30, "30 days")],
        label="Comments of",
    )
    would = forms.ChoiceField(
        choices=[("", "all of them"), *Would.choices], required=False, label="Show"
    )


@admin.register(Campaign)
class CampaignAdmin(Audited):
    """In the order in which campaigns are asked; the first that means a comment answers it."""

    list_display = ("place", "name", "meant_for", "scores", "runs")
    list_display_links = ("name",)
    list_filter = ("is_active", "channel")
    list_select_related = ("account",)
    sortable_by = ()
    inlines = (VariantInline,)
    actions = ("activate", "deactivate")
    fieldsets = (
        (None, {"fields": ("name", "is_active", "priority")}),
        (
            "Who is answered",
            {
                "fields": (
                    *("account", "post_id", "min_score", "auto_threshold"),
                    *("required_words", "excluded_words"),
                )
            },
        ),
        (
            "When",
            {
                "fields": (
                    ("starts_at", "ends_at"),
                    "delay_seconds",
                    ("quiet_from", "quiet_until"),
                    "time_zone",
                )
            },
        ),
        (
            "What is sent",
            {
                "fields": (
                    *("channel", "endpoint", "link"),
                    ("utm_source", "utm_medium", "utm_campaign"),
                ),
                "description": "The words themselves are below; of several variants each comment "
                "gets one.",
            },
        ),
    )

    formfield_overrides = {
        models.TextField: {"widget": forms.Textarea(SMALL)},
        models.DateTimeField: {"widget": DateAndTime},
    }

    class Media:
        css = {"all": ("dmtrigger/console.css",)}
        js = ("dmtrigger/preview.js",)

    def get_ordering(self, request: HttpRequest) -> Any:
        return PRECEDENCE

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CampaignList

    # --- what changes something ---

    def changeform_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """Once more if somebody took the name at the same moment: then the form finds it, and says
        so. What the first time did was undone."""
        try:
            return super().changeform_view(*args, **kwargs)
        except IntegrityError:
            return super().changeform_view(*args, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A campaign of every account is for those to make who see every account."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "account" and field and not scope_of(request.user).is_whole:
            field.required = True
        return field

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_rule(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """One with messages is deactivated instead: they say which campaign they are of. What it
        refused goes with it, so that must be nobody else's."""
        if obj is not None and (
            DirectMessage.objects.filter(campaign=obj).exists() or _refused_for_others(request, obj)
        ):
            return False
        return super().has_delete_permission(request, obj) and _may_rule(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        """Campaigns are deleted one by one, on their pages."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._set_active(request, queryset, True, "Activated")

    @admin.action(
        description="Deactivate: answer no more; what is approved is still sent",
        permissions=["change"],
    )
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._set_active(request, queryset, False, "Deactivated")

    def _set_active(
        self, request: HttpRequest, queryset: QuerySet[Campaign], active: bool, done: str
    ) -> None:
        for campaign in queryset.exclude(is_active=active):
            if not _may_rule(request, campaign):
                messages.error(request, f"Left alone, since it is of every account: {campaign}")
                continue
            Campaign.objects.filter(pk=campaign.pk).update(is_active=active)
            self.log_change(request, campaign, done)
            messages.success(request, f"{done}: {campaign}")

    # --- what is only looked at ---

    def get_urls(self) -> list[URLPattern]:
        views = (
            ("preview/", require_POST(self.preview_view), "preview"),
            ("<int:pk>/dry-run/", require_GET(self.dry_run_view), "dry_run"),
        )
        own = [
            path(route, self.admin_site.admin_view(view), name=f"dmtrigger_campaign_{name}")
            for route, view, name in views
        ]
        return [*own, *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """A wording as a comment's author would get it, for the page's script."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        scope = scope_of(request.user)
        form = PreviewForm(request.POST, scope)
        if not form.is_valid():
            return JsonResponse({"problems": [form.errors.as_text()]}, status=400)
        return JsonResponse(preview(**form.cleaned_data, scope=scope)._asdict())

    def dry_run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the campaign would have sent; shows comments, so it needs the right to see them."""
        campaign = get_object_or_404(self.get_queryset(request), pk=pk)
        scope = scope_of(request.user)
        may_look = self.has_view_or_change_permission(request, campaign)
        if not may_look or not request.user.has_perm("intents.view_review"):
            raise PermissionDenied
        form = DryRunForm({"days": 7} | request.GET.dict())
        report = lines = None
        if form.is_valid():
            report = dry_run.of_days(campaign, form.cleaned_data["days"], scope)
            would = form.cleaned_data["would"]
            chosen = [line for line in report.lines if would in ("", line.would)]
            lines = Paginator(chosen, LINES_A_PAGE).get_page(request.GET.get("page"))
        context = self.admin_site.each_context(request) | {
            "title": f"What {campaign} would have sent",
            "opts": self.opts,
            "media": self.media,
            "campaign": campaign,
            "form": form,
            "report": report,
            "lines": lines,
            "most": dry_run.MOST_COMMENTS,
        }
        return TemplateResponse(request, "admin/dmtrigger/campaign/dry_run.html", context)

    # --- the list's columns ---

    @admin.display(description="asked")
    def place(self, campaign: Any) -> str:
        return "–" if campaign.place is None else f"{campaign.place}."

    @admin.display(description="meant for")
    def meant_for(self, campaign: Campaign) -> str:
        parts = [
            f"post {campaign.post_id}" if campaign.post_id else "",
            f"account {campaign.account}" if campaign.account else "",
            "some words only" if campaign.required_words or campaign.excluded_words else "",
        ]
        return ", ".join(filter(None, parts)) or "every comment"

    @admin.display(description="scores")
    def scores(self, campaign: Campaign) -> str:
        asked = f"from {campaign.min_score}" if campaign.min_score else "all that are flagged"
        if campaign.auto_threshold is None:
            return f"{asked}, an operator approves"
        return f"{asked}, by itself from {campaign.auto_threshold}"

    @admin.display(description="runs")
    def runs(self, campaign: Campaign) -> str:
        return _runs(campaign, timezone.now())


def _may_rule(request: HttpRequest, campaign: Campaign | None) -> bool:
    """Whether the campaign is of nobody else's accounts."""
    return campaign is None or scope_of(request.user).has_key(campaign.account_id)


def _refused_for_others(request: HttpRequest, campaign: Campaign) -> bool:
    """Whether it has refused comments under posts of accounts that the user does not see."""
    scope, refused = scope_of(request.user), Refusal.objects.filter(campaign=campaign)
    return not scope.is_whole and scope.narrow(refused).count() < refused.count()


def _runs(campaign: Campaign, now: datetime) -> str:
    if not campaign.is_active:
        return "not active"
    if campaign.starts_at is not None and now < campaign.starts_at:
        return f"from {campaign.starts_at:%Y-%m-%d %H:%M} on"
    if campaign.ends_at is not None:
        ended = "ended" if now >= campaign.ends_at else "until"
        return f"{ended} {campaign.ends_at:%Y-%m-%d %H:%M}"
    return "active"
