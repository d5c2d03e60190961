"""Credit arithmetic of one direction of one stream."""

import pytest

from tunnel.budget import NARROW_WINDOW, PLAIN_WINDOW, WIDE_WINDOW, Budget
from tunnel.errors import LocalProtocolError
from tunnel.frames import KIB
from tunnel.windows import MAX_WINDOW, UNKNOWN_LENGTH, ReceiveWindow

RTT = 0.05


def opened(size=PLAIN_WINDOW, left=UNKNOWN_LENGTH, budget=None):
    budget = budget or Budget()
    assert budget.reserve(size)
    return ReceiveWindow(budget, size, left), budget


def pass_through(window, size, now):
    window.receive(size)
    return window.consume(size, now, RTT)


def test_credit_is_owed_until_a_quarter_of_the_window_is_consumed():
    window, _ = opened()
    assert pass_through(window, PLAIN_WINDOW // 4 - 1, 0.0) == 0
    assert pass_through(window, 1, 0.0) == PLAIN_WINDOW // 4
    assert window.credit == PLAIN_WINDOW


def test_delivered_bytes_grant_nothing_before_they_are_consumed():
    window, _ = opened()
    window.receive(PLAIN_WINDOW)
    assert (window.credit, window.unread) == (0, PLAIN_WINDOW)


def test_consuming_more_than_was_delivered_is_our_bug():
    window, _ = opened()
    window.receive(10)
    with pytest.raises(LocalProtocolError):
        window.consume(11, 0.0, RTT)


def carry(window, rate, seconds, now=0.0):
    """Let bytes arrive evenly, a hundred times a round trip, as far as there is credit; returns when it ended."""
    for _ in range(round(100 * seconds / RTT)):
        now += RTT / 100
        pass_through(window, min(window.credit, round(rate * RTT / 100)), now)
    return now


@pytest.mark.parametrize("per_trip", [16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB])
def test_a_window_settles_at_four_to_sixteen_times_what_a_round_trip_carries(per_trip):
    window, budget = opened(WIDE_WINDOW)

    carry(window, per_trip / RTT, 2.0)

    assert min(4 * per_trip, MAX_WINDOW) <= window.size <= max(16 * per_trip, WIDE_WINDOW)
    assert window.size == budget.granted


def test_a_window_that_is_the_limit_doubles_every_round_trip_or_two():
    window, _ = opened()
    now, trips = 0.0, 0
    while window.size < MAX_WINDOW:  # the sender fills it at once, and hears half a round trip later of new credit
        now += RTT
        trips += 1
        pass_through(window, window.credit, now)
    assert trips <= 14


def test_bursts_within_one_round_trip_are_not_taken_for_the_rate():
    window, _ = opened(WIDE_WINDOW)
    for trip in range(50):  # 64 KiB at once, then nothing
        for chunk in range(4):
            pass_through(window, 16 * KIB, trip * RTT + chunk * 0.0001)
    assert window.size <= 2 * WIDE_WINDOW


def test_a_slow_consumer_does_not_make_its_window_grow():
    window, _ = opened(WIDE_WINDOW)
    carry(window, 1 * KIB, 600.0)
    assert window.size == WIDE_WINDOW


def test_a_consumer_that_turns_slow_keeps_a_wide_window_at_most():
    window, budget = opened(WIDE_WINDOW)
    now = carry(window, 40 * KIB * KIB, 2.0)
    assert window.size == MAX_WINDOW

    carry(window, 200 * KIB, 120.0, now)

    assert window.size == budget.granted == WIDE_WINDOW


def test_a_standstill_of_half_a_second_costs_no_window():
    window, _ = opened(WIDE_WINDOW)
    now = carry(window, 20 * KIB * KIB, 2.0)
    before = window.size

    carry(window, 20 * KIB * KIB, 2.0, now + 0.5)

    assert window.size == before


def test_no_window_grows_when_half_of_the_budget_is_granted():
    window, _ = opened(budget=Budget(2 * PLAIN_WINDOW))
    pass_through(window, PLAIN_WINDOW, 0.0)
    assert window.size == PLAIN_WINDOW


def test_a_window_narrows_when_the_budget_is_short():
    window, budget = opened(PLAIN_WINDOW, budget=Budget(100 * KIB))
    budget.reserve(30 * KIB)
    pass_through(window, PLAIN_WINDOW, 0.0)
    assert window.size == NARROW_WINDOW
    assert budget.granted == NARROW_WINDOW + 30 * KIB


def test_a_body_of_known_length_gets_no_credit_beyond_it():
    window, budget = opened(1000, left=1000)
    window.receive(600)
    assert window.consume(600, 0.0, RTT) == 0
    assert budget.granted == 400


def test_learning_a_short_length_gives_back_the_rest_of_the_window():
    window, budget = opened(WIDE_WINDOW)
    window.expect(4096)
    assert window.credit == budget.granted == 4096


def test_the_last_grant_covers_exactly_what_is_still_to_come():
    window, budget = opened(1000, left=1200)
    window.receive(600)
    assert window.consume(600, 0.0, RTT) == 200
    assert window.credit == window.left == budget.granted == 600


def test_a_first_window_is_widened_only_while_the_budget_is_ample():
    assert opened(left=10**9)[0].widen(WIDE_WINDOW) == WIDE_WINDOW - PLAIN_WINDOW
    assert opened(left=PLAIN_WINDOW)[0].widen(WIDE_WINDOW) == 0
    assert opened(left=10**9, budget=Budget(PLAIN_WINDOW + 1))[0].widen(WIDE_WINDOW) == 0


def test_a_closed_window_keeps_unread_bytes_until_they_are_consumed():
    window, budget = opened()
    window.receive(100)
    window.close()
    assert budget.granted == 100
    assert window.consume(100, 0.0, RTT) == 0
    assert budget.granted == 0


def test_an_abandoned_window_gives_everything_back():
    window, budget = opened()
    window.receive(100)
    window.abandon()
    assert budget.granted == 0


def test_without_a_round_trip_windows_keep_their_size():
    window, _ = opened()
    window.receive(PLAIN_WINDOW)
    window.consume(PLAIN_WINDOW, 0.0, None)
    assert window.size == PLAIN_WINDOW
