"""The pace that `make bench-dm` measures at full size, at a small one."""

import pytest

from tests.benchmarks import pace

pytestmark = pytest.mark.django_db


def test_a_burst_uses_its_hours_keeps_the_limit_and_the_order(settings):
    settings.MESSAGES_PER_HOUR = 0
    found = pace.burst(100, 30)
    assert found.most_in_an_hour == 30
    assert found.share_used_percent >= 97
    assert found.out_of_order == 0
    assert 3 <= found.hours < 3.1


def test_the_platforms_own_word_slows_an_account_down(settings):
    settings.MESSAGES_PER_HOUR = 0
    found = pace.slow_down(40)
    assert found.at_85_percent_shortest_gap_s >= 90  # an hour by 40
    assert 30 <= found.at_96_percent_pause_minutes <= 61  # the usage holds for an hour
