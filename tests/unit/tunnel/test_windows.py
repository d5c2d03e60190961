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


def test_credit_is_owed_until_half_of_the_window_is_consumed():
    window, _ = opened()
    assert pass_through(window, PLAIN_WINDOW // 2 - 1, 0.0) == 0
    assert pass_through(window, 1, 0.0) == PLAIN_WINDOW // 2
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


def test_a_window_doubles_while_whole_windows_are_consumed_within_two_round_trips():
    window, budget = opened()
    now = 0.0
    while window.size < MAX_WINDOW:
        before = window.size
        pass_through(window, before // 2, now)
        now += RTT
        assert pass_through(window, before // 2, now) > before // 2
        assert window.size == before * 2
    pass_through(window, MAX_WINDOW // 2, now)
    pass_through(window, MAX_WINDOW // 2, now)
    assert window.size == MAX_WINDOW == budget.granted


def test_a_slow_consumer_does_not_make_its_window_grow():
    window, _ = opened()
    pass_through(window, PLAIN_WINDOW // 2, 0.0)
    pass_through(window, PLAIN_WINDOW // 2, 3 * RTT)
    assert window.size == PLAIN_WINDOW


def test_no_window_grows_when_half_of_the_budget_is_granted():
    window, _ = opened(budget=Budget(2 * PLAIN_WINDOW))
    pass_through(window, PLAIN_WINDOW, 0.0)
    assert window.size == PLAIN_WINDOW


def test_a_wide_window_falls_back_when_the_stream_turns_slow():
    window, budget = opened(MAX_WINDOW)
    for now in (0.0, 60.0):
        grant = pass_through(window, MAX_WINDOW // 2, now)
    assert grant == 0
    assert window.size == MAX_WINDOW // 2 == budget.granted


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
