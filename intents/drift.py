"""Whether comments are scored as they were: the distribution of the scores, by a sample."""

import math
from collections import Counter
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from comments.partitions import id_at
from comments.statistics import estimated_rows
from intents.models import IntentResult

BINS = 10  # of ten scores each
DAY, WEEK = timedelta(days=1), timedelta(days=7)
SAMPLE = 50_000  # results of the whole table, of which about a quarter lies in the eight days
LEAST = 500  # results that a distribution is made of

# Whole blocks are taken or left, so that little is read of a table of millions.
SCORES = """
    SELECT comment_id >= %(day)s, least(score / 10, 9), count(*)
    FROM intents_intentresult TABLESAMPLE SYSTEM (%(percent)s)
    WHERE comment_id >= %(week)s
    GROUP BY 1, 2
"""


def score_drift() -> float | None:
    """The population stability index of the last day's scores against the week before.

    None where there are too few to say.
    """
    now = timezone.now()
    table = IntentResult._meta.db_table
    rows = estimated_rows([table])[table]
    percent = min(100.0, 100 * SAMPLE / max(rows, 1))
    before, lately = Counter[int](), Counter[int]()
    with connection.cursor() as cursor:
        cursor.execute(
            SCORES,
            {"percent": percent, "day": id_at(now - DAY), "week": id_at(now - DAY - WEEK)},
        )
        for is_late, part, count in cursor.fetchall():
            (lately if is_late else before)[part] += count
    if min(before.total(), lately.total()) < LEAST:
        return None
    return stability_index(before, lately)


def stability_index(before: Counter[int], lately: Counter[int]) -> float:
    """The population stability index of two counts by bin: 0 for the same distribution.

    Half a result is added to each bin, since an empty one would make it infinite.
    """

    def shares(counts: Counter[int]) -> list[float]:
        total = counts.total() + BINS / 2
        return [(counts[part] + 0.5) / total for part in range(BINS)]

    pairs = zip(shares(before), shares(lately), strict=True)
    return sum((new - old) * math.log(new / old) for old, new in pairs)
