"""People in the operators' console: who wants no messages, who is blocked, who is talked to.

`dmtrigger.people` writes; these pages ask it to.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from comments.admin import FirstRows, ReadOnlyAdmin
from comments.models import Comment
from comments.scope import Scope, scope_of
from dmtrigger import people
from dmtrigger.models import DirectMessage, Person
from dmtrigger.page_buttons import PageButtons
from dmtrigger.privacy_admin import PrivacyActions

LAST = 5  # comments and messages of a person that are shown


def history(source: str, name: str, scope: Scope, besides: int = 0) -> dict[str, Any]:
    """What the person wrote lately and got, newest first; `besides` is a comment that is known."""
    comments = Comment.objects.filter(author=name, source=source).exclude(pk=besides)
    theirs = DirectMessage.objects.filter(recipient=name, source=source)
    return {
        "comments": scope.narrow(comments).order_by("-pk")[:LAST],
        "messages": scope.narrow(theirs).order_by("-pk")[:LAST],
        "is_of_a_review": besides != 0,
    }


def wishes(person: Person, now: datetime) -> list[str]:
    """What is to be kept to with a person, in words."""
    said = []
    if people.is_opted_out(person, now):
        until = person.opted_out_until
        how_long = f"until {until:%Y-%m-%d %H:%M}" if until else "for good"
        said.append(f"wants no messages {how_long}, by {person.get_opted_out_by_display()}")
    if person.blocked_at is not None:
        why = f": {person.block_reason}" if person.block_reason else ""
        said.append(f"blocked since {person.blocked_at:%Y-%m-%d}{why}")
    if people.is_talking(person, now):
        who, until = person.talking_with or "somebody", person.talking_until
        said.append(f"{who} talks to them until {until:%Y-%m-%d %H:%M}")
    return said


class WishForm(forms.ModelForm[Person]):
    """Whom to write to no more, and for how long; `scope` is what the user sees."""

    scope: Scope
    wish = forms.ChoiceField(
        choices=[
            ("7", "Opted out for 7 days"),
            ("30", "Opted out for 30 days"),
            ("always", "Opted out for good"),
            ("block", "Blocked, whatever they say"),
        ],
        initial="always",
    )
    reason = forms.CharField(max_length=200, required=False, help_text="for a block")

    class Meta:
        model = Person
        fields = ("source", "name")

    def clean_source(self) -> str:
        """A wish holds for a platform, so it takes an account there."""
        source: str = self.cleaned_data["source"]
        if not self.scope.has_source(source):
            raise forms.ValidationError("You see no account of this platform.")
        return source

    def clean_name(self) -> str:
        """Without the sign that people write before a user name."""
        name: str = self.cleaned_data["name"]
        return name.removeprefix("@")

    def clean(self) -> dict[str, Any]:
        """A person who is known already may have another wish: it is the same row."""
        said = super().clean() or self.cleaned_data
        known = Person.objects.filter(source=said.get("source", ""), name=said.get("name", ""))
        self.instance = known.first() or self.instance
        return said


class WishFilter(admin.SimpleListFilter):
    title = "what holds"
    parameter_name = "wish"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("out", "Opted out"), ("blocked", "Blocked"), ("talking", "Talked to")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Person]) -> QuerySet[Person]:
        now = timezone.now()
        holds = {
            "out": Q(opted_out_at__isnull=False)
            & (Q(opted_out_until=None) | Q(opted_out_until__gt=now)),
            "blocked": Q(blocked_at__isnull=False),
            "talking": Q(talking_until__gt=now),
        }
        return queryset.filter(holds.get(self.value() or "", Q()))


@admin.register(Person)
class PersonAdmin(PageButtons, PrivacyActions, ReadOnlyAdmin):
    """People with a wish that holds or held; others have no row."""

    list_display = ("name", "source", "what_holds", "last_wrote_at")
    list_filter = (WishFilter, "source")
    list_select_related = ("talking_with",)
    search_fields = ("name",)
    search_help_text = "The whole user name."
    ordering = ("-id",)
    fields = ("source", "name", "what_holds", "opted_out_at", "last_wrote_at")
    readonly_fields = ("what_holds",)
    actions: tuple[str, ...] = ("opt_in", "unblock", "hand_back", *PrivacyActions.actions)

    class Media:
        css = {"all": ("dmtrigger/console.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.add_person")

    def has_wish_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.change_person")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Person], search_term: str
    ) -> tuple[QuerySet[Person], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(name=search_term.removeprefix("@")), False

    # --- adding a wish ---

    def get_form(
        self, request: HttpRequest, obj: Person | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = WishForm
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.scope = scope_of(request.user)  # the class is made for this request
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"source": settings.COMMENT_SOURCE} | super().get_changeform_initial_data(request)

    def get_fields(self, request: HttpRequest, obj: Person | None = None) -> Any:
        return self.fields if obj else ("source", "name", "wish", "reason")

    def get_readonly_fields(self, request: HttpRequest, obj: Person | None = None) -> Any:
        return self.readonly_fields if obj else ()

    def save_model(self, request: HttpRequest, obj: Person, form: Any, change: bool) -> None:
        """Only ever a wish: nothing else of a person can be edited."""
        wish, actor = form.cleaned_data["wish"], request.user.get_username()
        if wish == "block":
            person = people.block(obj.source, obj.name, actor, form.cleaned_data["reason"])
        else:
            days = None if wish == "always" else int(wish)
            by = Person.By.OPERATOR
            person = people.opt_out(obj.source, obj.name, by, days=days, actor=actor)
        obj.pk = person.pk
        obj.refresh_from_db()

    # --- taking one back ---

    def buttons(self, row: Person) -> Sequence[str]:
        now = timezone.now()
        makes_sense = {
            "opt_in": people.is_opted_out(row, now),
            "unblock": row.blocked_at is not None,
            "hand_back": people.is_talking(row, now),
        }
        return [name for name, sensible in makes_sense.items() if sensible]

    @admin.action(description="Opt in again: they have asked for it", permissions=["wish"])
    def opt_in(self, request: HttpRequest, queryset: QuerySet[Person]) -> None:
        self._each(request, queryset, people.opt_in, "Opted in")

    @admin.action(description="Unblock", permissions=["wish"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[Person]) -> None:
        self._each(request, queryset, people.unblock, "Unblocked")

    @admin.action(description="Hand back: the talk is over", permissions=["wish"])
    def hand_back(self, request: HttpRequest, queryset: QuerySet[Person]) -> None:
        self._each(request, queryset, people.hand_back, "Handed back")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Person],
        change: Callable[[int, str], None],
        done: str,
    ) -> None:
        for person in FirstRows.of(queryset):
            change(person.pk, request.user.get_username())
            self.log_change(request, person, done)
            messages.success(request, f"{done}: {person}")

    # --- what is shown ---

    def about(self, request: HttpRequest, row: Person) -> dict[str, Any]:
        return {"history": history(row.source, row.name, scope_of(request.user))}

    @admin.display(description="what holds")
    def what_holds(self, person: Person) -> str:
        return "; ".join(wishes(person, timezone.now())) or "nothing any more"
