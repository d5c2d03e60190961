"""Token buckets by name; time is what the test says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import rates
from gateway.rates import Rates


def test_a_second_of_the_rate_may_come_at_once_and_then_it_has_to_wait():
    buckets = Rates()
    assert [buckets.take("ci", 3, 10.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("ci", 3, 10.0) == pytest.approx(1 / 3)
    assert buckets.take("ci", 3, 10.34) == 0


def test_names_do_not_share():
    buckets = Rates()
    assert buckets.take("a", 1, 0.0) == 0
    assert buckets.take("b", 1, 0.0) == 0
    assert buckets.take("a", 1, 0.0) == 1


def test_a_rate_below_one_a_second_still_lets_one_through():
    buckets = Rates()
    assert buckets.take("slow", 0.1, 0.0) == 0
    assert buckets.take("slow", 0.1, 1.0) == pytest.approx(9)
    assert buckets.take("slow", 0.1, 10.0) == 0


def test_a_burst_of_its_own():
    buckets = Rates(burst=5)
    assert [buckets.take("ip", 5 / 60, 0.0) for _ in range(5)] == [0] * 5
    assert buckets.take("ip", 5 / 60, 0.0) == pytest.approx(12)


def test_waiting_in_vain_does_not_cost_anything():
    buckets = Rates()
    buckets.take("ci", 1, 0.0)
    for tenth in range(1, 10):
        assert buckets.take("ci", 1, tenth / 10) > 0
    assert buckets.take("ci", 1, 1.0) == 0


def test_the_number_of_buckets_is_bounded(monkeypatch):
    monkeypatch.setattr(rates, "MAX_BUCKETS", 10)
    buckets = Rates()
    for number in range(1000):
        buckets.take(str(number), 1, 0.0)
    assert repr(buckets) in {f"<Rates {count} buckets>" for count in range(11)}


@given(st.floats(0.1, 50), st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_nobody_ever_gets_more_than_burst_and_rate(per_second, gaps):
    buckets, now, taken = Rates(), 0.0, 0
    for gap in gaps:
        now += gap
        taken += buckets.take("x", per_second, now) == 0
    assert taken <= max(per_second, 1) + now * per_second + 1e-6


def test_an_event_that_does_not_count_is_given_back():
    rates = Rates(burst=1)
    for _ in range(20):
        assert rates.take("a", 0.01, 5.0) == 0
        rates.give_back("a")
    rates.give_back("never seen")

    assert rates.take("a", 0.01, 5.0) == 0
    assert rates.take("a", 0.01, 5.0) > 0
