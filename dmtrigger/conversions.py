"""The sales that messages led to, as the shop tells them. The only writer of `Conversion`.

An order is stored once, by the shop's id of it. Told again, it changes nothing; told otherwise, it
stays as it was first, and the answer says what is different.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, transaction

from comments.parsing import FieldError, ItemError, parse_text, parse_timestamp
from dmtrigger import links, metrics
from dmtrigger.models import Conversion, DirectMessage

MAX_ORDER_ID = 100  # characters, the column's
MAX_VALUE = Decimal(10) ** 10  # the column's
CENT = Decimal("0.01")
CURRENCY = re.compile(r"[A-Z]{3}")
NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")

# Sorted, so that of two calls with the same orders none waits for the other in a circle.
INSERT = """
    INSERT INTO dmtrigger_conversion (message_id, order_id, value, currency, at)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::numeric[], %s::text[], %s::timestamptz[])
        AS new (message_id, order_id, value, currency, at)
    ORDER BY order_id
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
"""


class Sale(NamedTuple):
    """An order that can be stored, but for its message."""

    comment_id: int
    order_id: str
    value: Decimal
    currency: str
    at: datetime


class Order(NamedTuple):
    """An order of a message: what two tellings of it are compared by."""

    message_id: int
    value: Decimal
    currency: str
    at: datetime


@dataclass
class Report:
    """What became of the items; places count from 0."""

    stored: int = 0
    known: int = 0
    """Told before, with the same values."""
    kept: list[ItemError] = field(default_factory=list)
    """Told before with other values, which were kept: `field` names the first that differs."""
    rejected: list[ItemError] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.stored + self.known + len(self.kept)


def record(items: Sequence[Any]) -> Report:
    """Store what can be stored, all of it or (at an error of the database) nothing."""
    report, sales = Report(), dict[int, Sale]()
    for index, item in enumerate(items):
        try:
            sales[index] = parse_sale(item)
        except FieldError as error:
            report.rejected.append(ItemError(index, _order_id(item), error.field, str(error)))
    with transaction.atomic():
        orders = _with_messages(sales, report)
        new = _insert(sales, orders)
        there = _stored(sales[index].order_id for index in orders)
    report.rejected.sort(key=lambda error: error.index)
    for index, order in orders.items():
        _judge(index, sales[index].order_id, order, there, new, report)
    for outcome, count in (
        ("stored", report.stored),
        ("known", report.known),
        ("kept", len(report.kept)),
        ("rejected", len(report.rejected)),
    ):
        metrics.CONVERSIONS.labels(outcome).inc(count)
    return report


def parse_sale(item: Any) -> Sale:
    """One item as `POST /conversions` has it. Raises FieldError."""
    if not isinstance(item, Mapping):
        raise FieldError("item", "must be an object with token, order_id, value, currency and at")
    return Sale(
        comment_id=_comment_id(item.get("token")),
        order_id=parse_text("order_id", item.get("order_id"), MAX_ORDER_ID),
        value=_value(item.get("value")),
        currency=_currency(item.get("currency")),
        at=_moment(item.get("at")),
    )


def _comment_id(token: Any) -> int:
    found = links.comment_of(parse_text("token", token, 100))
    if found is None:
        raise FieldError("token", "is not one of ours")
    return found


def _value(value: Any) -> Decimal:
    """Exact: a number of JSON comes as it was written, and is never a float."""
    if value is None or value == "":
        raise FieldError("value", "is missing")
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FieldError("value", "must be a number such as 49.90")
    number = Decimal(value)
    # first of all by its size: an exponent can stand for more digits than there is memory
    if not number.is_finite() or number.adjusted() >= MAX_VALUE.adjusted():
        raise FieldError("value", f"must be below {MAX_VALUE:,}")
    if number < 0:
        raise FieldError("value", "must not be negative")
    if number.quantize(CENT) != number:
        raise FieldError("value", "has more than 2 decimal places")
    return number.quantize(CENT)


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not CURRENCY.fullmatch(value):
        raise FieldError("currency", "must be three capital letters, as ISO 4217 has them: EUR")
    return value


def _moment(value: Any) -> datetime:
    try:
        return parse_timestamp(value)
    except FieldError as error:
        raise FieldError("at", str(error)) from None


def _order_id(item: Any) -> str | None:
    """The item's order id, if it can be shown."""
    try:
        return parse_text("order_id", dict(item).get("order_id"), MAX_ORDER_ID)
    except (FieldError, TypeError, ValueError):
        return None


def _with_messages(sales: Mapping[int, Sale], report: Report) -> dict[int, Order]:
    """The orders by their places in the batch, each with its message."""
    wanted = {sale.comment_id for sale in sales.values()}
    messages = dict(
        DirectMessage.objects.filter(comment_id__in=wanted).values_list("comment_id", "pk")
    )
    orders = {}
    for index, sale in sales.items():
        message_id = messages.get(sale.comment_id)
        if message_id is None:
            reason = "is of a message that is no more"
            report.rejected.append(ItemError(index, sale.order_id, "token", reason))
        else:
            orders[index] = Order(message_id, sale.value, sale.currency, sale.at)
    return orders


def _insert(sales: Mapping[int, Sale], orders: Mapping[int, Order]) -> set[str]:
    """Store them; the ids of those that were not there. Of two with the same id, the first."""
    first: dict[str, Order] = {}
    for index, order in orders.items():
        first.setdefault(sales[index].order_id, order)
    if not first:
        return set()
    message_ids, values, currencies, moments = zip(*first.values(), strict=True)
    columns = [message_ids, list(first), values, currencies, moments]
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [list(column) for column in columns])
        return {order_id for (order_id,) in cursor.fetchall()}


def _stored(order_ids: Iterable[str]) -> dict[str, Order]:
    rows = Conversion.objects.filter(order_id__in=set(order_ids))
    return {row.order_id: Order(row.message_id, row.value, row.currency, row.at) for row in rows}


def _judge(
    index: int,
    order_id: str,
    order: Order,
    there: Mapping[str, Order],
    new: set[str],
    report: Report,
) -> None:
    stored = there[order_id]
    if order_id in new:
        new.discard(order_id)  # its second place in the batch tells it again
        report.stored += 1
    elif stored == order:
        report.known += 1
    else:
        report.kept.append(ItemError(index, order_id, *_difference(stored, order)))


def _difference(stored: Order, told: Order) -> tuple[str, str]:
    """The first field in which they differ, and how, for people."""
    if stored.message_id != told.message_id:
        return "token", "another message's order has this id; it was kept"
    for name in ("value", "currency", "at"):
        before, now = getattr(stored, name), getattr(told, name)
        if before != now:
            shown = before.isoformat() if isinstance(before, datetime) else before
            return name, f"was told as {shown} before, which was kept"
    raise AssertionError("they are the same")
