"""Models in the admin: which one answers, who made it so, what is tried, and how they compare."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_GET, require_POST

from comments.admin import WithinAccounts
from intents import cards, experiments, registry
from intents.models import ModelVersion

MOST_COMPARED = 6  # models at once: their lines can still be told apart
PICTURES = {
    "calibration": "Calibration: how many of 100 buy at each score; the diagonal is honest",
    "precision_recall": "Precision and recall of each model from every score on",
    "scores": "Share of each model's answers that have each score",
}


class ShareForm(forms.Form):
    """How much of the traffic a challenger answers."""

    percent = forms.TypedChoiceField(
        coerce=int,
        choices=[(percent, f"{percent} % of the comments") for percent in (5, 10, 25, 50)],
        initial=10,
        label="It answers",
    )


class CompareForm(forms.Form):
    """Which models are compared, over which time."""

    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(1, "the last day"), (7, "7 days"), (14, "14 days"), (30, "30 days")],
        label="Comments of",
    )
    version = forms.ModelMultipleChoiceField(
        ModelVersion.objects.defer("content").order_by("-pk"),
        widget=forms.CheckboxSelectMultiple,
        label="Models",
    )

    def clean_version(self) -> QuerySet[ModelVersion]:
        chosen: QuerySet[ModelVersion] = self.cleaned_data["version"]
        if len(chosen) > MOST_COMPARED:
            raise forms.ValidationError(f"Choose at most {MOST_COMPARED}.")
        return chosen


class ModelVersionAdmin(WithinAccounts):
    """Which model answers: promote, roll back, try out, compare. Training registers new ones."""

    list_display = (
        "name",
        "does",
        "average_precision",
        "automatic_precision",
        "calibration_error",
        "examples",
        "created",
        "promoted",
    )
    list_select_related = ("promoted_by",)
    ordering = ("-pk",)
    fields = ("name",)
    sortable_by = ("name", "created", "promoted")
    actions = ("promote_selected", "shadow_selected", "share_selected", "retire_selected")
    change_list_template = "admin/intents/modelversion/list.html"
    change_form_template = "admin/intents/modelversion/card.html"

    class Media:
        css = {"all": ("intents/models.css",)}

    # --- rights ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a version is promoted and tried out, not edited

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # results name it

    def has_promote_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("intents.promote_model")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        return super().get_queryset(request).defer("content")

    def get_urls(self) -> list[URLPattern]:
        views = (
            ("roll-back/", require_POST(self.roll_back_view), "roll_back"),
            ("compare/", require_GET(self.compare_view), "compare"),
            ("compare/<str:picture>.svg", require_GET(self.picture_view), "picture"),
        )
        own = [
            path(route, self.admin_site.admin_view(view), name=f"intents_modelversion_{name}")
            for route, view, name in views
        ]
        return [*own, *super().get_urls()]

    # --- what changes something ---

    @admin.action(description="Promote: it answers from now on", permissions=["promote"])
    def promote_selected(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        user = cast(AbstractBaseUser, request.user)
        self._do(request, queryset, lambda version: registry.promote(version, user), "Promoted")

    @admin.action(description="Try in shadow: store what it would say", permissions=["promote"])
    def shadow_selected(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        self._do(request, queryset, lambda version: registry.try_out(version, 0), "In shadow")

    @admin.action(description="Try on a share of the traffic…", permissions=["promote"])
    def share_selected(
        self, request: HttpRequest, queryset: QuerySet[ModelVersion]
    ) -> HttpResponse | None:
        """Asks for the share first; the page that asks posts to the same action."""
        version = self._the_one(request, queryset)
        if version is None:
            return None
        form = ShareForm(request.POST if "percent" in request.POST else None)
        if not form.is_valid():
            context = self._context(request, f"Try {version} on a share of the traffic")
            page = context | {"version": version, "form": form}
            return TemplateResponse(request, "admin/intents/modelversion/share.html", page)
        percent = form.cleaned_data["percent"]
        self._do(request, queryset, lambda v: registry.try_out(v, percent), f"Answers {percent} %")
        return None

    @admin.action(description="Retire: ask it no more", permissions=["promote"])
    def retire_selected(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        self._do(request, queryset, registry.retire, "Retired")

    def roll_back_view(self, request: HttpRequest) -> HttpResponse:
        """What the list's button posts to."""
        if not self.has_promote_permission(request):
            raise PermissionDenied
        seen = request.POST.get("seen", "")
        try:
            version = registry.roll_back(
                cast(AbstractBaseUser, request.user), int(seen) if seen.isdecimal() else 0
            )
        except registry.Refused as problem:
            messages.error(request, str(problem))
        else:
            self.log_change(request, version, "Rolled back to it")
            messages.success(request, f"Rolled back to {version}.")
        return redirect("admin:intents_modelversion_changelist")

    def _do(
        self,
        request: HttpRequest,
        queryset: QuerySet[ModelVersion],
        action: Callable[[ModelVersion], None],
        done: str,
    ) -> None:
        version = self._the_one(request, queryset)
        if version is None:
            return
        try:
            action(version)
        except registry.Refused as problem:
            messages.error(request, str(problem))
            return
        self.log_change(request, version, done)
        messages.success(request, f"{done}: {version}")

    def _the_one(
        self, request: HttpRequest, queryset: QuerySet[ModelVersion]
    ) -> ModelVersion | None:
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            messages.error(request, "Nothing was done: tick one model, not several.")
            return None
        return chosen[0]

    # --- what is shown ---

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add the version that the button would roll back to."""
        more: dict[str, Any] = {}
        if self.has_promote_permission(request):
            more["former"] = registry.former_champion()
        return super().changelist_view(request, (extra_context or {}) | more)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the card as tables."""
        version = self.get_object(request, object_id)
        more = {"version": version, "tables": cards.tables(version.card)} if version else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | more)

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        """Models side by side; looked at, so it needs no more than the right to view."""
        form, compared = self._compared(request)
        context = self._context(request, "Compare models") | {
            "form": form,
            "compared": compared,
            "thresholds": [
                (score, [(figures, figures.thresholds[place]) for figures in compared])
                for place, score in enumerate(experiments.THRESHOLDS)
            ],
            "chosen": request.GET.urlencode() or _query(form.initial),
            "pictures": PICTURES,
            "min_decisions": experiments.MIN_DECISIONS,
            "most_rows": experiments.MOST_ROWS,
        }
        return TemplateResponse(request, "admin/intents/modelversion/compare.html", context)

    def picture_view(self, request: HttpRequest, picture: str) -> HttpResponse:
        """One of the pictures of the page, for the same query."""
        from intents import plots  # which takes a second, and only these pages need it

        if picture not in PICTURES:
            raise Http404
        _form, compared = self._compared(request)
        draw: Callable[[Any], bytes] = getattr(plots, picture)
        return HttpResponse(draw(compared), content_type="image/svg+xml")

    def _compared(self, request: HttpRequest) -> tuple[CompareForm, list[experiments.Figures]]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        initial = {"days": 7, "version": _worth_comparing()}
        form = CompareForm(request.GET or initial, initial=initial)
        if not form.is_valid():
            return form, []
        since = timezone.now() - timedelta(days=form.cleaned_data["days"])
        return form, experiments.compare(_champion_first(form), since)

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return self.admin_site.each_context(request) | {
            "title": title,
            "opts": self.opts,
            "media": self.media,
        }

    @admin.display(description="role")
    def does(self, version: ModelVersion) -> str:
        if version.role != ModelVersion.Role.CHALLENGER:
            return str(version.role)
        percent = version.traffic_percent
        return f"challenger, {percent} %" if percent else "challenger, in shadow"

    @admin.display(ordering="created_at")
    def created(self, version: ModelVersion) -> str:
        return date_format(timezone.localtime(version.created_at), "Y-m-d H:i")

    @admin.display(ordering="promoted_at")
    def promoted(self, version: ModelVersion) -> str:
        if version.promoted_at is None:
            return ""
        when = date_format(timezone.localtime(version.promoted_at), "Y-m-d H:i")
        return f"{when} by {version.promoted_by or 'a release'}"

    @admin.display(description="avg. precision")
    def average_precision(self, version: ModelVersion) -> str:
        return _two_digits(cards.figures(version.card).average_precision)

    @admin.display(description="precision ≥ 80")
    def automatic_precision(self, version: ModelVersion) -> str:
        return _two_digits(cards.figures(version.card).automatic_precision)

    @admin.display(description="calib. error")
    def calibration_error(self, version: ModelVersion) -> str:
        return _two_digits(cards.figures(version.card).calibration_error)

    @admin.display(description="measured on")
    def examples(self, version: ModelVersion) -> str:
        count = cards.figures(version.card).examples
        return "–" if count is None else f"{count:,}"


def _two_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _worth_comparing() -> list[int]:
    """Keys of what answers and is tried, the champion first, and of the champion before."""
    active = ModelVersion.objects.exclude(role=ModelVersion.Role.RETIRED).order_by("-role", "pk")
    former = registry.former_champion()
    keys = [*active.values_list("pk", flat=True), *([former.pk] if former else [])]
    return list(dict.fromkeys(keys))[:MOST_COMPARED]


def _query(chosen: Mapping[str, Any]) -> str:
    return urlencode(chosen, doseq=True)


def _champion_first(form: CompareForm) -> list[ModelVersion]:
    chosen: QuerySet[ModelVersion] = form.cleaned_data["version"]
    return sorted(chosen, key=lambda version: version.role != ModelVersion.Role.CHAMPION)
