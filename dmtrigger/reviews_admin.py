"""Reviews in the operators' console, each with the message that would go out."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.db.models.functions import Abs
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.views.decorators.http import require_POST

from comments.admin import SEARCH_HELP, FirstRows, matching
from comments.models import Comment
from dmtrigger import outbox, people, policy
from dmtrigger.campaigns import Draft, Match, draft, in_order, matches
from dmtrigger.models import DirectMessage
from dmtrigger.people_admin import history, wishes
from dmtrigger.states import State
from intents.models import IntentResult, Label, Review
from intents.reviews import (
    AlreadyDecided,
    CannotApprove,
    ContradictionError,
    decide,
    describe,
)


class DecisionForm(forms.Form):
    """What an operator says of a review."""

    decision = forms.ChoiceField(
        choices=[(Review.Status.APPROVED, "Approve"), (Review.Status.REJECTED, "Reject")]
    )
    # of the message that was on the page, empty when there was none
    draft = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
    corrected_label = forms.ChoiceField(
        choices=[("", "not said"), *Label.choices],
        required=False,
        label="It is really",
        help_text="For a rejection: the model learns from it.",
    )
    note = forms.CharField(
        max_length=2000,
        required=False,
        widget=forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
    )


class BlockForm(forms.Form):
    """Why an author is written to no more."""

    reason = forms.CharField(max_length=200, required=False, label="Why")


class StatusFilter(admin.SimpleListFilter):
    """Like the built-in filter, but shows what is to be done unless asked for more."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*Review.Status.choices, ("all", "All")]

    def value(self) -> str:
        return super().value() or Review.Status.PENDING

    def choices(self, changelist: ChangeList) -> Any:
        return list(super().choices(changelist))[1:]  # without the "All" that means no parameter

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        return queryset if self.value() == "all" else queryset.filter(status=self.value())


class OrderFilter(admin.SimpleListFilter):
    """What comes first of what waits; `ReviewAdmin.get_ordering` sorts by it."""

    title = "order"
    parameter_name = "order"
    uncertain = "uncertain"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.uncertain, "Most uncertain first")] if _waiting(request) else []

    def choices(self, changelist: ChangeList) -> Any:
        likeliest, *others = super().choices(changelist)
        return [{**likeliest, "display": "Likeliest first"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        return queryset


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin[Review]):
    """Approve or reject, one by one with the whole message in view, or several at once."""

    list_display = (
        "comment",
        "score",
        "band",
        "flagged",
        "status",
        "decided_by_whom",
    )
    list_filter = (StatusFilter, OrderFilter, "intent__band", "intent__label")
    list_select_related = ("intent__comment", "decided_by")
    search_fields = ("intent__comment__author", "intent__comment__post_id")
    search_help_text = SEARCH_HELP
    ordering = ("-intent__score", "pk")
    paginator = FirstRows
    show_full_result_count = False
    actions = ("approve_selected", "reject_selected")
    change_form_template = "admin/intents/review/decide.html"

    # --- rights ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Review | None = None) -> bool:
        return False  # a review is looked at, and decided below; it is not edited

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("intents.decide_review")

    # --- deciding ---

    @admin.action(description="Approve: send the message", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._decide_all(request, queryset, Review.Status.APPROVED)

    @admin.action(description="Reject: send nothing", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._decide_all(request, queryset, Review.Status.REJECTED)

    def get_urls(self) -> list[URLPattern]:
        views = (
            ("decide", self.decide_view),
            ("undo", self.undo_view),
            ("block", self.block_view),
            ("take-over", self.take_over_view),
        )
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"intents_review_{name}",
            )
            for name, view in views
        ]
        return [*own, *super().get_urls()]

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the buttons of a review's page post to."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        review = get_object_or_404(Review, pk=pk)
        form = DecisionForm(request.POST)
        if not form.is_valid():
            messages.error(request, f"Nothing was decided. {form.errors.as_text()}")
            return redirect("admin:intents_review_change", pk)
        decision = Review.Status(form.cleaned_data["decision"])
        if decision == Review.Status.APPROVED and not _is_current(
            form.cleaned_data["draft"], review
        ):
            messages.error(request, "Nothing was decided: the message is another one by now.")
            return redirect("admin:intents_review_change", pk)
        said = {name: form.cleaned_data[name] for name in ("note", "corrected_label")}
        try:
            if self._decide(request, review, decision, **said):
                messages.success(request, _decided(review, decision))
        except ContradictionError as problem:
            messages.error(request, f"Nothing was decided. {problem}")
            return redirect("admin:intents_review_change", pk)
        return redirect("admin:intents_review_changelist")

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take an approval back, as long as its message waits."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        review = get_object_or_404(Review, pk=pk)
        try:
            outbox.undo(review.pk, request.user.get_username())
        except outbox.NotWaiting as problem:
            messages.error(request, f"Nothing was undone: {problem}.")
        else:
            self.log_change(request, review, "The approval was undone.")
            messages.success(request, "The approval was undone; the review waits again.")
        return redirect("admin:intents_review_change", pk)

    def block_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write to the comment's author no more."""
        comment = self._author_of(request, pk)
        form = BlockForm(request.POST)
        if form.is_valid():
            by, reason = request.user.get_username(), form.cleaned_data["reason"]
            people.block(comment.source, comment.author, by, reason)
            messages.success(request, f"Blocked: {comment.author}")
        else:
            messages.error(request, f"Nobody was blocked. {form.errors.as_text()}")
        return redirect("admin:intents_review_change", pk)

    def take_over_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The operator talks to the comment's author by hand: no automatic message meanwhile."""
        comment = self._author_of(request, pk)
        user = cast(AbstractBaseUser, request.user)
        people.take_over(comment.source, comment.author, user.pk, user.get_username())
        messages.success(request, f"You are talking to {comment.author}; hand back under People.")
        return redirect("admin:intents_review_change", pk)

    def _author_of(self, request: HttpRequest, pk: int) -> Comment:
        """The comment of a review, for who may change what holds for its author."""
        if not request.user.has_perm("dmtrigger.change_person"):
            raise PermissionDenied
        return get_object_or_404(Review, pk=pk).intent.comment

    def _decide_all(
        self, request: HttpRequest, queryset: QuerySet[Review], decision: Review.Status
    ) -> None:
        if request.POST.get("select_across") != "1":
            # The list's filter has dropped what somebody else decided meanwhile; it was ticked.
            ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
            queryset = Review.objects.filter(pk__in=ticked)
        decided = sum(self._decide(request, review, decision) for review in FirstRows.of(queryset))
        messages.info(request, f"{decision.label}: {decided}")

    def _decide(
        self,
        request: HttpRequest,
        review: Review,
        decision: Review.Status,
        note: str = "",
        corrected_label: str = "",
    ) -> bool:
        """Whether it was decided just now; if not, the operator is told why."""
        try:
            decided, is_new = decide(
                review.pk,
                decision,
                user_id=request.user.pk,
                note=note,
                corrected_label=corrected_label,
            )
        except (AlreadyDecided, CannotApprove) as problem:
            messages.error(request, f"{review.intent.comment}: {problem}")
            return False
        except Review.DoesNotExist:
            messages.error(request, f"Review {review.pk} is gone: its comment was retired.")
            return False
        if not is_new:
            messages.warning(request, f"{review.intent.comment}: {describe(decided)}")
            return False
        label = decided.get_corrected_label_display()
        parts = [f"{decision.label}.", f"It is {label}." if label else "", decided.note]
        self.log_change(request, review, " ".join(filter(None, parts)))
        return True

    # --- what is shown ---

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """What waits is few, the best first. All reviews are many: to sort them by anything but
        their key would read them all."""
        if not _waiting(request):
            return ("-pk",)
        if request.GET.get(OrderFilter.parameter_name) == OrderFilter.uncertain:
            return (Abs(F("intent__score") - 50), "pk")
        return self.ordering

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return super().get_sortable_by(request) if _waiting(request) else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Review], search_term: str
    ) -> tuple[QuerySet[Review], bool]:
        if not search_term:
            return queryset, False
        found = Comment.objects.filter(matching(search_term)).values("pk")
        return queryset.filter(intent__in=found), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add the message: what would go out, or what became of it."""
        review = self.get_object(request, object_id)
        context = (extra_context or {}) | (self._about(request, review) if review else {})
        return super().change_view(request, object_id, form_url, context)

    def _about(self, request: HttpRequest, review: Review) -> dict[str, Any]:
        about: dict[str, Any] = {"review": review} | _evidence(review.intent)
        about |= _about_the_author(request, review.intent.comment)
        message = DirectMessage.objects.filter(review=review).first()
        if review.status != Review.Status.PENDING:
            waits = message is not None and message.state == State.PENDING
            may_undo = waits and self.has_decide_permission(request)
            return about | {"message": message, "may_undo": may_undo}
        initial = {}
        try:
            about |= _about_the_draft(review.intent, planned := draft(review.intent))
            initial["draft"] = planned.fingerprint()
        except CannotApprove as problem:
            about["no_draft"] = str(problem)
        about["matches"] = _matches(review.intent)
        if self.has_decide_permission(request):
            about["form"] = DecisionForm(initial=initial)
        return about

    @admin.display(description="comment", ordering="intent__comment__author")
    def comment(self, review: Review) -> str:
        comment = review.intent.comment
        text = Truncator(comment.text).chars(120)
        by = f"{comment.author} (influencer)" if comment.is_influencer else comment.author
        return format_html("{}<br><small>{}, {}</small>", text, by, comment.post_id)

    @admin.display(ordering="intent__score")
    def score(self, review: Review) -> int:
        return review.intent.score

    @admin.display(ordering="intent__score")
    def band(self, review: Review) -> str:
        return review.intent.get_band_display()

    @admin.display(ordering="flagged_at")
    def flagged(self, review: Review) -> str:
        return naturaltime(review.flagged_at)

    @admin.display(description="decided by")
    def decided_by_whom(self, review: Review) -> str:
        return str(review.decided_by or review.decided_by_rule or "")


def _waiting(request: HttpRequest) -> bool:
    """Whether the list is that of the pending reviews, see `StatusFilter`."""
    return request.GET.get("status", Review.Status.PENDING) == Review.Status.PENDING


def _evidence(intent: IntentResult) -> dict[str, Any]:
    """Why the model says so, for the page: strangers' words, and labels as people read them."""
    evidence = intent.evidence or {}
    return {
        "words": evidence.get("words", []),
        "nearest": [
            (text, Label(label).label, round(100 * similarity))
            for text, label, similarity in evidence.get("nearest", [])
        ],
    }


def _about_the_draft(intent: IntentResult, planned: Draft) -> dict[str, Any]:
    """The message, what stands against it, and how long it may still be sent."""
    return {
        "draft": planned,
        "refused": [
            (refused.reason, refused.rule in policy.PERSON_MAY_OVERRIDE)
            for refused in planned.refused
        ],
        "is_forbidden": bool(policy.binding(planned.refused, by_person=True)),
        "closes_at": intent.comment.posted_at + planned.sender.window,
    }


def _matches(intent: IntentResult) -> list[Match]:
    """The active campaigns in order, and why each does not answer; the first that could does."""
    found = matches(intent, timezone.now(), in_order().filter(is_active=True))
    answers = next((match.campaign for match in found if not match.why_not), None)
    return [
        match
        if match.why_not or match.campaign == answers
        else Match(match.campaign, f"{answers} comes first")
        for match in found
    ]


def _about_the_author(request: HttpRequest, comment: Comment) -> dict[str, Any]:
    """What holds for the author, and what they wrote and got lately."""
    person = people.find(comment.source, comment.author)
    about: dict[str, Any] = {
        "person": person,
        "wishes": wishes(person, timezone.now()) if person else [],
        "history": history(comment.source, comment.author, besides=comment.pk),
    }
    if request.user.has_perm("dmtrigger.change_person"):
        about["block_form"] = BlockForm()
    return about


def _decided(review: Review, decision: Review.Status) -> str:
    """What was decided; who approved by mistake finds the way to undo it."""
    said = f"{decision.label}: {review.intent.comment}"
    if decision != Review.Status.APPROVED:
        return said
    page = reverse("admin:intents_review_change", args=[review.pk])
    return format_html('{}. <a href="{}">Its page</a> has an Undo until it is sent.', said, page)


def _is_current(fingerprint: str, review: Review) -> bool:
    """Whether this is still the message that would go out; none at all is `decide`'s to refuse."""
    try:
        return draft(review.intent).fingerprint() == fingerprint
    except CannotApprove:
        return True
