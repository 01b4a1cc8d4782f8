"""By what the comments of the API can be narrowed; each has its index, or is a range of ids."""

from datetime import datetime
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from comments.models import Comment, SeenComment
from comments.partitions import id_at
from comments.search import search

BOOLEANS = {"true": True, "false": False, "True": True, "False": False}


@extend_schema_field(OpenApiTypes.BOOL)
class TrueOrFalse(django_filters.TypedChoiceFilter):
    """Django-filter's own for booleans takes what is neither for no filter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        words = [(word, word) for word in BOOLEANS]
        super().__init__(*args, choices=words, coerce=BOOLEANS.__getitem__, **kwargs)


class CommentFilter(django_filters.FilterSet):
    """Times are whole seconds, so that windows that follow each other leave nothing out."""

    post_id = django_filters.CharFilter()
    author = django_filters.CharFilter()
    external_id = django_filters.CharFilter(method="by_external_id", label="the platform's id")
    analyzed = TrueOrFalse("analyzed_at", "isnull", exclude=True)
    search = django_filters.CharFilter(
        method="by_words", label='words of the text; also "a phrase", this or that, -not'
    )
    stored_after = django_filters.IsoDateTimeFilter(method="from_time", label="from then on")
    stored_before = django_filters.IsoDateTimeFilter(method="to_time", label="earlier than that")

    class Meta:
        model = Comment
        fields = ()

    def by_external_id(
        self, comments: QuerySet[Comment], name: str, value: str
    ) -> QuerySet[Comment]:
        """The ledger knows the id here of every id there."""
        known = SeenComment.objects.filter(external_id=value).values("comment_id")
        return comments.filter(pk__in=known)

    def by_words(self, comments: QuerySet[Comment], name: str, value: str) -> QuerySet[Comment]:
        return search(comments, value)

    def from_time(
        self, comments: QuerySet[Comment], name: str, value: datetime
    ) -> QuerySet[Comment]:
        return comments.filter(pk__gte=id_at(value))

    def to_time(self, comments: QuerySet[Comment], name: str, value: datetime) -> QuerySet[Comment]:
        return comments.filter(pk__lt=id_at(value))
