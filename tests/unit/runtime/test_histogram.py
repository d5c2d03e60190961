"""Histograms: every value is counted once, under the least bound that holds it."""

import pytest

from runtime.histogram import Histogram


@pytest.mark.parametrize(
    ("value", "place"), [(0.0, 0), (0.1, 0), (0.100001, 1), (1.0, 1), (2.0, 2), (2.5, 3), (1e9, 3)]
)
def test_a_bound_is_part_of_its_bucket(value, place):
    counted = Histogram((0.1, 1.0, 2.0))
    counted.observe(value)
    assert [index for index, count in enumerate(counted.counts) if count] == [place]
    assert counted.total == value


def test_it_shows_what_it_holds():
    counted = Histogram((1.0,))
    counted.observe(0.5)
    counted.observe(1.5)
    assert repr(counted) == "<Histogram 2 observations, 2 in all>"
