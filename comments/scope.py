"""What a user sees where several brands share one ThreadsAgent: everything, or some accounts.

The one place where rows are narrowed to that. A model says once how its rows belong to accounts
(`seen_by`). One that does not say it belongs to all of them: to whoever sees only some its rows are
none, and its rights none of theirs. So what was forgotten is closed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from hashlib import sha256
from operator import or_
from typing import Any, NamedTuple, TypeVar

from django.apps import apps
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

Row = TypeVar("Row", bound=Model)


class Seen(NamedTuple):
    """An account that is seen: its key, and how comments name it."""

    key: int
    source: str
    name: str


@dataclass(frozen=True)
class Scope:
    """The accounts that somebody sees."""

    accounts: frozenset[Seen] | None
    """None: every one, also those that are still to come."""

    @property
    def is_whole(self) -> bool:
        return self.accounts is None

    @property
    def names(self) -> dict[str, list[str]]:
        """How comments name the accounts, by their sources."""
        found: dict[str, list[str]] = {}
        for account in sorted(self.accounts or ()):
            found.setdefault(account.source, []).append(account.name)
        return found

    @property
    def keys(self) -> list[int]:
        return sorted(account.key for account in self.accounts or ())

    @property
    def label(self) -> str:
        """Stands for these accounts in what is kept for several people; empty: all."""
        return "" if self.is_whole else sha256(str(self.keys).encode()).hexdigest()

    def has(self, source: str, name: str) -> bool:
        """Whether the account is seen that comments name so."""
        return self.is_whole or name in self.names.get(source, ())

    def has_source(self, source: str) -> bool:
        """Whether an account of this platform is seen."""
        return self.is_whole or source in self.names

    def has_key(self, key: int | None) -> bool:
        """Whether what is of this account, or (None) of every account, is nobody else's."""
        return self.is_whole or key in self.keys

    def narrow(self, rows: QuerySet[Row]) -> QuerySet[Row]:
        """The rows of these accounts; as they were, for who sees every account."""
        if self.is_whole:
            return rows
        rule: Rule | None = getattr(rows.model, "seen_by", None)
        return rows.filter(rule(self)) if rule and self.accounts else rows.none()

    def covers(self, right: str) -> bool:
        """Whether a permission (`app.codename`) can be used within these accounts."""
        return self.is_whole or right in _rights_within_accounts()


EVERY = Scope(None)
NOTHING = Scope(frozenset())


def scope_of(user: Any) -> Scope:
    """What a request's user sees; who is not known sees nothing."""
    scope: Scope = getattr(user, "scope", NOTHING)
    return scope


@cache
def _rights_within_accounts() -> frozenset[str]:
    """The rights to models that have `seen_by`, but for those that it takes every account for."""
    found = set()
    for model in apps.get_models():
        if hasattr(model, "seen_by"):
            options = model._meta
            names = [f"{verb}_{options.model_name}" for verb in options.default_permissions]
            names += [name for name, _said in options.permissions]
            beyond = getattr(model, "rights_over_all", ())
            found |= {f"{options.app_label}.{name}" for name in names if name not in beyond}
    return frozenset(found)


# --- how rows belong to accounts --------------------------------------------------------------

Rule = Callable[[Scope], Q | Exists]


def by_names(source: str, account: str) -> Rule:
    """By two fields that hold an account's source and its name."""

    def rule(scope: Scope) -> Q:
        of_each = (
            Q((source, its_source), (f"{account}__in", names))
            for its_source, names in scope.names.items()
        )
        return reduce(or_, of_each)

    return rule


def by_account(path: str, *, or_none: bool = False) -> Rule:
    """By a foreign key to an account; `or_none`: what is of every account is seen as well."""

    def rule(scope: Scope) -> Q:
        own = Q((f"{path}__in", scope.keys))
        return own | Q((path, None)) if or_none else own

    return rule


def by_comment(field: str) -> Rule:
    """By a field that holds a comment's id without a foreign key."""

    def rule(scope: Scope) -> Exists:
        comments = apps.get_model("comments", "Comment")._default_manager.all()
        return Exists(scope.narrow(comments).filter(pk=OuterRef(field)))

    return rule
