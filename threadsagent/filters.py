"""What the API narrows for everybody, whatever they ask for."""

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from rest_framework.filters import BaseFilterBackend

from comments.scope import scope_of

if TYPE_CHECKING:  # DRF imports this module while it defines its views
    from rest_framework.request import Request
    from rest_framework.views import APIView


class WithinAccounts(BaseFilterBackend):
    """The rows of the accounts that the caller sees, in lists and one by one: others are a 404."""

    def filter_queryset(
        self, request: "Request", queryset: QuerySet[Any], view: "APIView"
    ) -> QuerySet[Any]:
        return scope_of(request.user).narrow(queryset)
