"""How many comments came in, hour by hour."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from comments import counts, partitions
from comments.partitions import id_at
from tests.factories import CommentFactory

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def since():
    """Four hours ago; comments of then can be stored."""
    begin = timezone.now().replace(microsecond=0) - 4 * HOUR
    with mock.patch.object(partitions, "today", return_value=begin.date()):
        partitions.ensure_partitions()
    return begin


def store(since, *hours: float) -> None:
    for number, hour in enumerate(hours):
        CommentFactory(id=id_at(since + hour * HOUR) + number)


def test_each_comment_is_counted_in_its_hour(since):
    store(since, -1, 0, 0.5, 0.99, 2, 4.5, 5)
    assert counts.over_time(since, HOUR, 5) == [3, 0, 1, 0, 1]
    assert counts.over_time(since, HOUR, 5) == [3, 0, 1, 0, 1]


def test_an_hour_that_is_over_is_not_counted_again(since):
    store(since, 0, 1, 4)
    assert counts.over_time(since, HOUR, 5) == [1, 1, 0, 0, 1]
    with CaptureQueriesContext(connection) as captured:
        store(since, 0.5, 4.5)
        assert counts.over_time(since, HOUR, 5) == [1, 1, 0, 0, 2]
    [counted] = [q["sql"] for q in captured if q["sql"].startswith("SELECT")]
    assert str(id_at(since + 3 * HOUR)) in counted  # it has been over for too short a time


def test_nothing_is_asked_where_all_is_over(since, django_assert_num_queries):
    assert counts.over_time(since, HOUR, 3) == [0, 0, 0]
    with django_assert_num_queries(0):
        assert counts.over_time(since, HOUR, 3) == [0, 0, 0]


def test_without_the_cache_all_is_counted_each_time(since, no_redis):
    store(since, 0, 4)
    assert counts.over_time(since, HOUR, 5) == [1, 0, 0, 0, 1]
    store(since, 1)
    assert counts.over_time(since, HOUR, 5) == [1, 1, 0, 0, 1]
