from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

if TYPE_CHECKING:  # DRF imports this module while it defines its views
    from rest_framework.views import APIView

ORDERINGS = {"newest": "-pk", "oldest": "pk"}
LIMIT = serializers.IntegerField(min_value=1)

PAGING = {"cursor", "limit", "ordering"}


class NewestFirst(CursorPagination):
    """Cursor paging from the newest row on, or with `ordering=oldest` from the oldest.

    No COUNT(*), and no row twice while rows come in. Both ways are those of every primary key.
    """

    ordering = ORDERINGS["newest"]
    ordering_query_param = "ordering"
    page_size_query_param = "limit"
    max_page_size = 500

    def get_ordering(
        self, request: Request, queryset: QuerySet[Any], view: "APIView"
    ) -> tuple[str, ...]:
        """As asked for; a word that is none of ours is a 400."""
        asked = request.query_params.get(self.ordering_query_param, "newest")
        if asked not in ORDERINGS:
            raise ValidationError({self.ordering_query_param: f"must be {' or '.join(ORDERINGS)}"})
        return (ORDERINGS[asked],)

    def get_page_size(self, request: Request) -> int:
        """As asked for, up to the most; what is no number of rows is a 400."""
        asked = request.query_params.get(self.page_size_query_param, self.page_size)
        try:
            rows: int = LIMIT.run_validation(asked)
        except ValidationError as error:
            raise ValidationError({self.page_size_query_param: error.detail}) from error
        return min(rows, self.max_page_size)

    def get_schema_operation_parameters(self, view: "APIView") -> list[dict[str, Any]]:
        """DRF's, with the least number of rows, and the order."""
        parameters = super().get_schema_operation_parameters(view)
        [limit] = [each for each in parameters if each["name"] == self.page_size_query_param]
        limit["schema"] |= {"minimum": LIMIT.min_value, "default": self.page_size}
        ordering = {
            "name": self.ordering_query_param,
            "required": False,
            "in": "query",
            "description": "Which rows come first.",
            "schema": {"type": "string", "enum": list(ORDERINGS), "default": "newest"},
        }
        return [*parameters, ordering]

    def decode_cursor(self, request: Request) -> Cursor | None:
        """As DRF does, but a position that is no id is a 404 like any other broken cursor."""
        cursor = super().decode_cursor(request)
        if cursor and cursor.position is not None and not str(cursor.position).isdecimal():
            raise NotFound(self.invalid_cursor_message)
        return cursor


def allow_empty_filters(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say in the OpenAPI schema that of a list's parameters an empty filter is none (a hook)."""
    for path in result["paths"].values():
        parameters = path.get("get", {}).get("parameters", [])
        if any(each["name"] == NewestFirst.cursor_query_param for each in parameters):
            for each in parameters:
                if each["name"] not in PAGING:
                    each["allowEmptyValue"] = True
    return result
