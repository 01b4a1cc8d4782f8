"""By what the lists of the API can be narrowed; each has its index, or a small table."""

import django_filters
from django import forms
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from dmtrigger.models import DirectMessage, Person, Refusal


@extend_schema_field(OpenApiTypes.INT)
class IdFilter(django_filters.Filter):
    """A row's id: a whole number, and where there is no such row nothing is found."""

    field_class = forms.IntegerField


class MessageFilter(django_filters.FilterSet):
    campaign = IdFilter()
    account = IdFilter()
    post_id = django_filters.CharFilter()
    recipient = django_filters.CharFilter()

    class Meta:
        model = DirectMessage
        fields = ("state", "campaign", "account", "post_id", "recipient")


class OptOutFilter(django_filters.FilterSet):
    source = django_filters.CharFilter()
    name = django_filters.CharFilter()

    class Meta:
        model = Person
        fields = ("source", "name")


class RefusalFilter(django_filters.FilterSet):
    campaign = IdFilter()
    comment_id = IdFilter()

    class Meta:
        model = Refusal
        fields = ("rule", "campaign", "comment_id")
