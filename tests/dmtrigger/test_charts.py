"""Where the bars of a chart stand."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from dmtrigger.charts import HEIGHT, WIDTH, chart, name_of, round_up

BEGIN = datetime(2026, 3, 1, 22, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_bar_is_as_high_as_its_share_of_the_upper_edge():
    picture = chart([5, 10, 0, 2], BEGIN, HOUR)
    assert picture.top == 10
    assert [bar.height for bar in picture.bars] == [HEIGHT / 2, HEIGHT, 0, HEIGHT / 5]
    assert all(bar.y + bar.height == HEIGHT for bar in picture.bars)


def test_bars_stand_beside_each_other_within_the_picture():
    bars = chart([1] * 30, BEGIN, DAY).bars
    assert bars[0].x > 0
    assert bars[-1].x + bars[-1].width < WIDTH
    assert all(a.x + a.width < b.x for a, b in pairwise(bars))


def test_each_bar_is_named_by_its_time_and_the_last_goes_on():
    bars = chart([1, 2, 3], BEGIN, HOUR).bars
    assert [bar.name for bar in bars] == ["22:00", "23:00", "00:00"]
    assert [bar.is_last for bar in bars] == [False, False, True]
    assert name_of(BEGIN, DAY) == "1 Mar"


def test_a_few_times_are_written_below():
    ticks = chart([0] * 24, BEGIN, HOUR).ticks
    assert [tick.name for tick in ticks] == ["01:00", "07:00", "13:00", "19:00"]


def test_what_cannot_be_told_is_no_bar_and_no_number():
    picture = chart([None, 3], BEGIN, DAY)
    assert [(bar.height, bar.value) for bar in picture.bars] == [(0, None), (HEIGHT, 3)]
    assert picture.most == picture.bars[1]


def test_nothing_is_a_picture_too():
    picture = chart([0, 0], BEGIN, HOUR)
    assert (picture.top, picture.most) == (1, None)


@pytest.mark.parametrize(
    ("number", "top"),
    [(0, 1), (1, 1), (7, 7), (10, 10), (11, 20), (93, 100), (400, 400), (4_999_999, 5_000_000)],
)
def test_the_upper_edge_is_a_round_number(number, top):
    assert round_up(number) == top
