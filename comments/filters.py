"""By what the comments of the API can be narrowed; each has its index, or its partitions."""

from datetime import UTC, datetime

import django_filters
from django.db.models import QuerySet

from comments.models import Comment, SeenComment
from comments.partitions import IDS_PER_DAY, first_id


class CommentFilter(django_filters.FilterSet):
    """`stored_after` and `stored_before` also cut down the days that are looked at."""

    post_id = django_filters.CharFilter()
    author = django_filters.CharFilter()
    external_id = django_filters.CharFilter(method="by_external_id", label="the platform's id")
    analyzed = django_filters.BooleanFilter("analyzed_at", "isnull", exclude=True)
    stored_after = django_filters.IsoDateTimeFilter(method="from_time", label="from then on")
    stored_before = django_filters.IsoDateTimeFilter(method="to_time", label="earlier than that")

    class Meta:
        model = Comment
        fields = ("source",)

    def by_external_id(
        self, comments: QuerySet[Comment], name: str, value: str
    ) -> QuerySet[Comment]:
        """The ledger knows the id here of every id there."""
        known = SeenComment.objects.filter(external_id=value).values("comment_id")
        return comments.filter(pk__in=known)

    def from_time(
        self, comments: QuerySet[Comment], name: str, value: datetime
    ) -> QuerySet[Comment]:
        day = value.astimezone(UTC).date()
        return comments.filter(created_at__gte=value, pk__gte=first_id(day))

    def to_time(
        self, comments: QuerySet[Comment], name: str, value: datetime
    ) -> QuerySet[Comment]:
        next_day = first_id(value.astimezone(UTC).date()) + IDS_PER_DAY
        return comments.filter(created_at__lt=value, pk__lt=next_day)
