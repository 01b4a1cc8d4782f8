"""Rows as CSV, for spreadsheets, which take strangers' text for formulas."""

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

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
