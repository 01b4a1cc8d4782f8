"""A filter for lists of the admin: the rows that belong to the comments of a stretch of time."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from comments.partitions import given_out_at

HIGHEST = 2**53 - 1  # of a comment's id, see `comments.partitions`


class CameIn(admin.FieldListFilter):
    """By a field that holds a comment's id: a stretch of time is a range of ids.

    It is set by links (the dashboard's figures lead to their rows), so it only shows while it is.
    """

    def expected_parameters(self) -> list[str | None]:
        return [self._since, self._until]

    def has_output(self) -> bool:
        self.title = "when the comment came in"
        return bool(self.used_parameters)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**self._bounds())

    def choices(self, changelist: ChangeList) -> Any:
        said = {self._since: "from", self._until: "until"}
        words = [
            f"{said[name]} {given_out_at(bound):%Y-%m-%d %H:%M}"
            for name, bound in self._bounds().items()
        ]
        anytime = changelist.get_query_string(remove=list(said))
        here = changelist.get_query_string()
        return [
            {"selected": False, "query_string": anytime, "display": "Any time"},
            {"selected": True, "query_string": here, "display": " ".join([*words, "UTC"])},
        ]

    @property
    def _since(self) -> str:
        return f"{self.field_path}__gte"

    @property
    def _until(self) -> str:
        return f"{self.field_path}__lt"

    def _bounds(self) -> dict[str, int]:
        """The bounds that are given, as ids."""
        used: dict[str, Any] = self.used_parameters
        try:
            bounds = {name: int(values[-1]) for name, values in used.items()}
        except ValueError as error:
            raise IncorrectLookupParameters(error) from error
        if not all(0 <= bound <= HIGHEST for bound in bounds.values()):
            raise IncorrectLookupParameters("no comment has such an id")
        return bounds
