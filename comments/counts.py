"""How many comments came in over time.

An id begins with the second it was given out in, so a stretch of time that is over gets no more
comments, and erasing a person keeps the rows: its count is remembered in the cache, and only what
is new is counted.
"""

from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import BigIntegerField, Count, Expression, ExpressionWrapper, F
from django.utils import timezone

from comments.models import Comment
from comments.partitions import IDS_PER_SECOND, id_at
from comments.scope import EVERY, Scope

SETTLES = timedelta(minutes=10)  # until whoever stores comments has committed for certain
REMEMBERED = 24 * 3600  # seconds


def place(field: str, since: datetime, step: timedelta) -> Expression:
    """Which stretch of time, from 0, the comment is of whose id the field holds."""
    width = step // timedelta(seconds=1) * IDS_PER_SECOND
    return ExpressionWrapper((F(field) - id_at(since)) / width, output_field=BigIntegerField())


def over_time(since: datetime, step: timedelta, stretches: int, scope: Scope = EVERY) -> list[int]:
    """How many comments came in during each of the stretches of time that follow each other."""
    seconds = step // timedelta(seconds=1)
    name = f"comments:{scope.label}:{seconds}"
    keys = [f"{name}:{id_at(since + n * step)}" for n in range(stretches)]
    known = cache.get_many(keys)
    first = next((n for n, key in enumerate(keys) if key not in known), stretches)
    begin, end = since + first * step, since + stretches * step
    rows = scope.narrow(Comment.objects.filter(pk__gte=id_at(begin), pk__lt=id_at(end))).order_by()
    placed = rows.annotate(place=place("pk", since, step)).values_list("place")
    counted = dict(placed.annotate(Count("pk"))) if first < stretches else {}
    over = (timezone.now() - SETTLES - since) // step
    settled = range(first, min(over, stretches))
    if settled:
        cache.set_many({keys[n]: counted.get(n, 0) for n in settled}, REMEMBERED)
    return [counted.get(n, 0) if n >= first else known[key] for n, key in enumerate(keys)]
