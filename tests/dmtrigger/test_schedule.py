"""When a message may leave: delays, quiet hours, time zones, clocks that change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from dmtrigger.schedule import check_time_zone, earliest

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NONE = timedelta(0)
NIGHT = (time(22), time(7))


def test_without_quiet_hours_only_the_delay_counts():
    assert earliest(NOON, timedelta(minutes=5), None, None, "UTC") == NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("hour", "quiet", "zone", "expected"),
    [
        (12, NIGHT, "UTC", (1, 12)),
        (22, NIGHT, "UTC", (2, 7)),
        (23, NIGHT, "UTC", (2, 7)),
        (6, NIGHT, "UTC", (1, 7)),
        (7, NIGHT, "UTC", (1, 7)),
        (13, (time(12), time(14)), "UTC", (1, 14)),
        (14, (time(12), time(14)), "UTC", (1, 14)),
        (21, NIGHT, "Europe/Berlin", (2, 5)),  # 23 o'clock there; 7 o'clock there is 5 UTC
        (19, NIGHT, "Europe/Berlin", (1, 19)),
        (3, NIGHT, "America/New_York", (1, 11)),
    ],
)
def test_what_falls_into_the_quiet_hours_waits_for_their_end(hour, quiet, zone, expected):
    begin, end = quiet
    moment = NOON.replace(hour=hour)
    day, at = expected
    assert earliest(moment, NONE, begin, end, zone) == NOON.replace(day=day, hour=at)


def test_a_delay_that_ends_in_the_quiet_hours_is_longer():
    assert earliest(NOON, timedelta(hours=11), *NIGHT, "UTC") == NOON.replace(day=2, hour=7)


def test_the_end_is_that_of_the_clock_on_the_wall_when_clocks_change():
    before = datetime(2026, 3, 28, 23, tzinfo=UTC)  # midnight in Berlin; at 2 it becomes 3
    assert earliest(before, NONE, *NIGHT, "Europe/Berlin") == datetime(2026, 3, 29, 5, tzinfo=UTC)


clocks = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
moments = st.datetimes(
    datetime(2025, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2027, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])


@given(moments, clocks, clocks, zones)
def test_nothing_leaves_in_the_quiet_hours_nor_later_than_their_end(moment, begin, end, zone):
    if begin == end:
        return
    leaves = earliest(moment, NONE, begin, end, zone)
    assert moment <= leaves <= moment + timedelta(hours=25)
    clock = leaves.astimezone(ZoneInfo(zone)).time()
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    # An end that the spring's change skips is the hour after it.
    assert (
        not inside
        or leaves.astimezone(ZoneInfo(zone)).dst() != moment.astimezone(ZoneInfo(zone)).dst()
    )


def test_a_time_zone_must_be_one():
    check_time_zone("Europe/Berlin")
    with pytest.raises(ValidationError, match="Berlin/Europe is no time zone"):
        check_time_zone("Berlin/Europe")
