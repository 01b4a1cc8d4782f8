"""Rows of the console as CSV, for spreadsheets, which take strangers' text for formulas."""

import csv
import logging
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

logger = logging.getLogger(__name__)

MOST_ROWS = 10_000
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that it is UTF-8
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def protect(cell: str) -> str:
    """The cell as text to any spreadsheet: with an apostrophe before what could be a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The rows under their header; text is protected, numbers and times are as they are."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for row in rows:
        writer.writerow([protect(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()


class CsvExport(admin.ModelAdmin[Any]):
    """A list with the action *Export as CSV*: of the ticked rows, MOST_ROWS of them at most."""

    export_fields: tuple[str, ...] = ()

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_as_csv(self, request: HttpRequest, queryset: QuerySet[Model]) -> HttpResponse:
        rows = list(queryset.values_list(*self.export_fields)[:MOST_ROWS])
        name = str(self.opts.verbose_name_plural)
        logger.info(
            "rows exported",
            extra={"user": request.user.get_username(), "what": name, "rows": len(rows)},
        )
        content = BYTE_ORDER_MARK + as_csv(self.export_fields, rows)
        response = HttpResponse(content, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{name.replace(" ", "-")}.csv"'
        return response
