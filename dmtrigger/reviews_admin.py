"""Reviews in the operators' console, each with the message that would go out."""

import copy
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from comments.admin import FirstRows
from comments.models import Comment
from comments.scope import scope_of
from dmtrigger import outbox, people
from dmtrigger.campaigns import Draft, draft
from dmtrigger.models import DirectMessage
from dmtrigger.review_filters import user_id
from dmtrigger.review_forms import (
    BlockForm,
    BulkForm,
    DecisionForm,
    NewsForm,
    SaidForm,
    SnoozeForm,
)
from dmtrigger.review_list import ReviewList
from dmtrigger.review_page import (
    KEYS,
    about_campaigns,
    about_the_author,
    about_the_claim,
    about_the_draft,
    evidence,
)
from dmtrigger.review_queue import Snooze, closes_at
from dmtrigger.states import State
from intents import reviews
from intents.models import Review
from intents.reviews import (
    AlreadyDecided,
    CannotApprove,
    ClaimedElsewhere,
    ContradictionError,
    decide,
    describe,
)


class TooLate(Exception):
    """The review would wait again when nothing can be answered any more."""


@admin.register(Review)
class ReviewAdmin(ReviewList):
    """Approve or reject, one by one with the whole message in view, or several at once."""

    action_form = BulkForm
    actions = (
        "approve_selected",
        "reject_selected",
        "snooze_hour",
        "snooze_tomorrow",
        "snooze_days",
        "block_authors",
        "take_over_authors",
        "undo_selected",
    )
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

    def has_wish_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.change_person")

    # --- several at once ---

    @admin.action(description="Approve: send the message", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._decide_all(request, queryset, Review.Status.APPROVED)

    @admin.action(description="Reject: send nothing", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._decide_all(request, queryset, Review.Status.REJECTED)

    @admin.action(description="Snooze: 1 hour", permissions=["decide"])
    def snooze_hour(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._snooze_all(request, queryset, Snooze.HOUR)

    @admin.action(description="Snooze: tomorrow, 9:00", permissions=["decide"])
    def snooze_tomorrow(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._snooze_all(request, queryset, Snooze.TOMORROW)

    @admin.action(description="Snooze: 3 days", permissions=["decide"])
    def snooze_days(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._snooze_all(request, queryset, Snooze.DAYS)

    @admin.action(description="Block the authors: write to them no more", permissions=["wish"])
    def block_authors(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        by, form = request.user.get_username(), BlockForm({"reason": request.POST.get("note")})
        if not form.is_valid():
            messages.error(request, f"Nobody was blocked. {form.errors.as_text()}")
            return
        for source, name in _authors(_ticked(request, queryset)):
            people.block(source, name, by, form.cleaned_data["reason"])
            messages.success(request, f"Blocked: {name}")

    @admin.action(description="Take over: answer the authors by hand", permissions=["wish"])
    def take_over_authors(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        user = cast(AbstractBaseUser, request.user)
        for source, name in _authors(_ticked(request, queryset)):
            people.take_over(source, name, user.pk, user.get_username())
            messages.success(request, f"You are talking to {name}; hand back under People.")

    @admin.action(description="Undo: take the messages back", permissions=["decide"])
    def undo_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        undone = sum(self._undo(request, review) for review in _ticked(request, queryset))
        messages.info(request, f"Undone: {undone}")

    def _decide_all(
        self, request: HttpRequest, queryset: QuerySet[Review], decision: Review.Status
    ) -> None:
        said = SaidForm(request.POST)
        if not said.is_valid():
            messages.error(request, f"Nothing was decided. {said.errors.as_text()}")
            return
        decided = []
        for review in _ticked(request, queryset):
            try:
                if self._decide(request, review, decision, **said.cleaned_data):
                    decided.append(review)
            except (CannotApprove, ClaimedElsewhere, ContradictionError) as problem:
                messages.error(request, f"{review.intent.comment}: {problem}")
        told = f"{decision.label}: {len(decided)}"
        if decided and decision == Review.Status.APPROVED:
            told = self._with_undo(request, told, decided)
        messages.info(request, told)

    def _snooze_all(self, request: HttpRequest, queryset: QuerySet[Review], snooze: Snooze) -> None:
        snoozed = 0
        for review in _ticked(request, queryset):
            try:
                snoozed += self._snooze(request, review, snooze)
            except (ClaimedElsewhere, TooLate) as problem:
                messages.error(request, f"{review.intent.comment}: {problem}")
        messages.info(request, f"Snoozed ({snooze.label}): {snoozed}")

    # --- one on its page ---

    def get_urls(self) -> list[URLPattern]:
        views = (
            ("decide", self.decide_view),
            ("snooze", self.snooze_view),
            ("undo", self.undo_view),
            ("block", self.block_view),
            ("take-over", self.take_over_view),
            ("claim", self.claim_view),
            ("release", self.release_view),
            ("claim-anyway", self.claim_anyway_view),
        )
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"intents_review_{name}",
            )
            for name, view in views
        ]
        news = self.admin_site.admin_view(require_GET(self.news_view))
        return [path("news/", news, name="intents_review_news"), *own, *super().get_urls()]

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the buttons of a review's page post to; the next one that waits follows."""
        review = self._to_decide(request, pk)
        form = DecisionForm(request.POST)
        if not form.is_valid():
            return self._not_decided(request, review, form, form.errors.as_text())
        said = form.cleaned_data
        decision, text = Review.Status(said.pop("decision")), said.pop("text")
        fingerprint, planned = said.pop("draft"), _planned(review)
        told = {}
        if decision == Review.Status.APPROVED and planned is not None:
            if planned.fingerprint() != fingerprint:
                messages.error(request, "Nothing was decided: the message is another one by now.")
                return redirect(self._url(request, "change", pk))
            if "text" in form.data and not _says_the_same(text, planned.text):
                told = {"edited": text}
        _before, after = self._neighbours(request, pk)
        try:
            if self._decide(request, review, decision, told=told, **said):
                messages.success(request, self._decided(request, review, decision))
        except (CannotApprove, ClaimedElsewhere, ContradictionError) as problem:
            return self._not_decided(request, review, form, str(problem))
        return self._go_on(request, after)

    def snooze_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put a review off, or have it wait again."""
        review = self._to_decide(request, pk)
        form = SnoozeForm(request.POST)
        if not form.is_valid():
            messages.error(request, f"Nothing was snoozed. {form.errors.as_text()}")
            return redirect(self._url(request, "change", pk))
        until = form.cleaned_data["until"]
        snooze = None if until == "again" else Snooze(until)
        _before, after = self._neighbours(request, pk)
        try:
            snoozed = self._snooze(request, review, snooze)
        except (ClaimedElsewhere, TooLate) as problem:
            messages.error(request, f"Nothing was snoozed. {problem}")
            return redirect(self._url(request, "change", pk))
        if snooze is None or not snoozed:
            return redirect(self._url(request, "change", pk))
        messages.success(request, f"Snoozed ({snooze.label}): {review.intent.comment}")
        return self._go_on(request, after)

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take an approval back, as long as its message waits."""
        if self._undo(request, self._to_decide(request, pk)):
            messages.success(request, "The approval was undone; the review waits again.")
        return redirect(self._url(request, "change", pk))

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
        return redirect(self._url(request, "change", pk))

    def take_over_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The operator talks to the comment's author by hand: no automatic message meanwhile."""
        comment = self._author_of(request, pk)
        user = cast(AbstractBaseUser, request.user)
        people.take_over(comment.source, comment.author, user.pk, user.get_username())
        messages.success(request, f"You are talking to {comment.author}; hand back under People.")
        return redirect(self._url(request, "change", pk))

    # --- who has it open, and what is new: for the pages' scripts ---

    def claim_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page is open: nobody else decides the review meanwhile, if nobody else has it."""
        self._to_decide(request, pk)
        says, may_take = "", False
        try:
            reviews.claim(pk, user_id(request))
        except ClaimedElsewhere as problem:
            says, may_take = f"{problem}.", True
        except AlreadyDecided as problem:
            says = f"This review was {problem}."
        except Review.DoesNotExist as gone:
            raise Http404 from gone
        return JsonResponse({"says": says, "may_take": may_take})

    def release_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page was left."""
        self._to_decide(request, pk)
        reviews.release(pk, user_id(request))
        return HttpResponse(status=204)

    def claim_anyway_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take a review from the operator who has it open."""
        self._to_decide(request, pk)
        try:
            reviews.claim(pk, user_id(request), take=True)
        except AlreadyDecided as problem:
            messages.warning(request, f"This review was {problem}.")
        return redirect(self._url(request, "change", pk))

    def news_view(self, request: HttpRequest) -> HttpResponse:
        """How many reviews wait, and how many came after the newest that a page knows."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = NewsForm(request.GET)
        if not form.is_valid():
            return JsonResponse({"problems": form.errors.as_text()}, status=400)
        later = Q(pk__gt=form.cleaned_data["after"])
        news = (
            scope_of(request.user)
            .narrow(reviews.waiting())
            .aggregate(waiting=Count("pk"), new=Count("pk", filter=later), newest=Max("pk"))
        )
        return JsonResponse(news)

    # --- how ---

    def _to_decide(self, request: HttpRequest, pk: int) -> Review:
        """The review, for who may decide it."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        return self._seen(request, pk)

    def _seen(self, request: HttpRequest, pk: int) -> Review:
        seen = self.get_queryset(request).select_related("intent__comment")
        review: Review = get_object_or_404(seen, pk=pk)
        return review

    def _author_of(self, request: HttpRequest, pk: int) -> Comment:
        """The comment of a review, for who may change what holds for its author."""
        if not self.has_wish_permission(request):
            raise PermissionDenied
        return self._seen(request, pk).intent.comment

    def _decide(
        self,
        request: HttpRequest,
        review: Review,
        decision: Review.Status,
        *,
        note: str = "",
        corrected_label: str = "",
        told: dict[str, Any] | None = None,
    ) -> bool:
        """Whether it was decided just now; who comes too late is told. Raises what `decide` does,
        where the review still waits."""
        try:
            decided, is_new = decide(
                review.pk,
                decision,
                user_id=user_id(request),
                note=note,
                corrected_label=corrected_label,
                told=told,
            )
        except (AlreadyDecided, Review.DoesNotExist) as problem:
            messages.error(request, _too_late(review, problem))
            return False
        if not is_new:
            messages.warning(request, f"{review.intent.comment}: {describe(decided)}")
            return False
        label = decided.get_corrected_label_display()
        edited = "The text was edited." if told else ""
        parts = [f"{decision.label}.", edited, f"It is {label}." if label else "", decided.note]
        self.log_change(request, review, " ".join(filter(None, parts)))
        return True

    def _snooze(self, request: HttpRequest, review: Review, snooze: Snooze | None) -> bool:
        """Whether it was put off; raises ClaimedElsewhere, TooLate."""
        until = None if snooze is None else snooze.until(timezone.now())
        closes = closes_at(review.intent.comment)
        if until is not None and until >= closes:
            raise TooLate(f"the platform takes no answer after {closes:%Y-%m-%d %H:%M}")
        try:
            reviews.snooze(review.pk, until, user_id(request))
        except (AlreadyDecided, Review.DoesNotExist) as problem:
            messages.error(request, _too_late(review, problem))
            return False
        return True

    def _undo(self, request: HttpRequest, review: Review) -> bool:
        """Whether the approval was taken back; if not, the operator is told why."""
        try:
            outbox.undo(review.pk, request.user.get_username())
        except outbox.NotWaiting as problem:
            messages.error(request, f"Nothing was undone: {problem}.")
            return False
        self.log_change(request, review, "The approval was undone.")
        return True

    def _not_decided(
        self, request: HttpRequest, review: Review, form: DecisionForm, why: str
    ) -> HttpResponse:
        """The review's page again, with what was typed."""
        messages.error(request, f"Nothing was decided. {why}")
        looked_at = copy.copy(request)
        looked_at.method = "GET"
        return self.change_view(looked_at, str(review.pk), extra_context={"form": form})

    def _decided(self, request: HttpRequest, review: Review, decision: Review.Status) -> str:
        told = f"{decision.label}: {review.intent.comment}"
        if decision != Review.Status.APPROVED:
            return told
        return self._with_undo(request, told, [review])

    def _with_undo(self, request: HttpRequest, told: str, decided: list[Review]) -> str:
        """What was approved, with a button that takes it back; it goes when the last has left."""
        waiting = DirectMessage.objects.filter(review__in=decided, state=State.PENDING)
        last = waiting.aggregate(at=Max("next_attempt_at"))["at"]
        left = 0.0 if last is None else (last - timezone.now()).total_seconds()
        context = {"told": told, "decided": decided, "seconds": max(0, round(left))}
        return render_to_string("admin/intents/review/approved.html", context, request)

    def _go_on(self, request: HttpRequest, after: int | None) -> HttpResponse:
        """To the next review that waits, or to the list."""
        if after is None:
            return redirect(self._url(request, "changelist"))
        return redirect(self._url(request, "change", after))

    def _url(self, request: HttpRequest, page: str, *args: int) -> str:
        """A page of the reviews, which knows how the list was filtered that one came from."""
        filters = self.get_preserved_filters(request)
        kept: dict[str, Any] = {"preserved_filters": filters, "opts": self.opts}
        return add_preserved_filters(kept, reverse(f"admin:intents_review_{page}", args=args))

    def _neighbours(self, request: HttpRequest, pk: int) -> tuple[int | None, int | None]:
        """The waiting reviews before and after one, in the list that one came from. Those that
        others have open are passed over."""
        of_list = copy.copy(request)
        filters = QueryDict(request.GET.get("_changelist_filters", ""), mutable=True)
        filters.pop("p", None)  # the page may be gone
        of_list.GET = filters  # type: ignore[assignment]  # nobody changes it any more
        try:
            listed = self.get_changelist_instance(of_list).queryset
        except IncorrectLookupParameters:
            return None, None
        queue = listed.filter(status=Review.Status.PENDING)
        queue = queue.filter(Q(pk=pk) | ~reviews.claimed_by_others(user_id(request)))
        keys = list(FirstRows.of(queue).values_list("pk", flat=True))
        if pk not in keys:
            return None, next(iter(keys), None)
        place = keys.index(pk)
        before = keys[place - 1] if place else None
        return before, keys[place + 1] if place + 1 < len(keys) else None

    # --- a review's page ---

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add the message: what would go out, or what became of it."""
        review = self.get_object(request, object_id)
        context = (self._about(request, review) if review else {}) | (extra_context or {})
        return super().change_view(request, object_id, form_url, context)

    def _about(self, request: HttpRequest, review: Review) -> dict[str, Any]:
        scope = scope_of(request.user)
        about: dict[str, Any] = {"review": review, "keys": KEYS} | evidence(review.intent, scope)
        about |= about_the_author(request, review.intent.comment)
        before, after = self._neighbours(request, review.pk)
        about["before"] = self._url(request, "change", before) if before else ""
        about["after"] = self._url(request, "change", after) if after else ""
        message = DirectMessage.objects.filter(review=review).first()
        if review.status != Review.Status.PENDING:
            waits = message is not None and message.state == State.PENDING
            may_undo = waits and self.has_decide_permission(request)
            return about | {"message": message, "may_undo": may_undo}
        initial = {}
        try:
            about |= about_the_draft(review.intent, planned := draft(review.intent))
            initial = {"draft": planned.fingerprint(), "text": planned.text}
        except CannotApprove as problem:
            about["no_draft"] = str(problem)
        about["matches"] = about_campaigns(review.intent, scope)
        if self.has_decide_permission(request):
            about["form"] = DecisionForm(initial=initial)
            about |= about_the_claim(review, user_id(request))
        return about


def _ticked(request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
    """What an action is for. The list's filter has dropped what somebody else decided meanwhile; it
    was ticked."""
    if request.POST.get("select_across") != "1":
        ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
        queryset = scope_of(request.user).narrow(Review.objects.filter(pk__in=ticked))
    return FirstRows.of(queryset.select_related("intent__comment"))


def _too_late(review: Review, problem: Exception) -> str:
    """What an operator is told whose review was decided, or retired, before."""
    if isinstance(problem, AlreadyDecided):
        return f"{review.intent.comment}: {problem}"
    return f"Review {review.pk} is gone: its comment was retired."


def _authors(chosen: QuerySet[Review]) -> list[people.Who]:
    """Who wrote the comments, each once."""
    comments = [review.intent.comment for review in chosen]
    return list(dict.fromkeys((comment.source, comment.author) for comment in comments))


def _planned(review: Review) -> Draft | None:
    """The message that would go out now; None at all is `decide`'s to refuse."""
    try:
        return draft(review.intent)
    except CannotApprove:
        return None


def _says_the_same(text: str, other: str) -> bool:
    """Forms cut the space around a text, and templates may have a browser's line ends too."""
    return text.strip() == other.replace("\r\n", "\n").strip()
