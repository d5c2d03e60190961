"""The bytes that bodies of a process may hold together."""

import pytest

from tunnel.budget import HIGH_WATER, NARROW_WINDOW, PLAIN_WINDOW, WIDE_WINDOW, Budget
from tunnel.errors import LocalProtocolError
from tunnel.frames import KIB


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        (0, WIDE_WINDOW),
        (511 * KIB, WIDE_WINDOW),
        (512 * KIB, PLAIN_WINDOW),
        (769 * KIB, NARROW_WINDOW),
        (1009 * KIB, None),
    ],
)
def test_the_first_window_follows_what_is_granted(granted, expected):
    budget = Budget(1024 * KIB)
    budget.reserve(granted)
    assert budget.reserve_window(10**9) == expected


def test_a_window_is_never_wider_than_needed():
    assert Budget().reserve_window(1000) == 1000


def test_nothing_is_reserved_when_not_all_fits():
    budget = Budget(100)
    assert not budget.reserve(101)
    assert budget.granted == 0


def test_releasing_more_than_was_granted_is_our_bug():
    with pytest.raises(LocalProtocolError):
        Budget().release(1)


def test_the_state_is_visible():
    budget = Budget(100)
    budget.reserve(10)
    budget.waiting += 5
    assert repr(budget) == "<Budget 10+5/100>"


@pytest.mark.parametrize("granted", [0, 300 * KIB])
@pytest.mark.parametrize(
    ("held", "first_window", "high_water", "is_short"),
    [
        (300 * KIB, WIDE_WINDOW, HIGH_WATER, False),
        (512 * KIB, PLAIN_WINDOW, PLAIN_WINDOW, False),
        (769 * KIB, NARROW_WINDOW, NARROW_WINDOW, True),
        (1009 * KIB, None, NARROW_WINDOW, True),
    ],
)
def test_what_waits_counts_like_windows(granted, held, first_window, high_water, is_short):
    budget = Budget(1024 * KIB)
    budget.reserve(granted)
    budget.waiting = held - granted
    assert (budget.high_water, budget.is_short) == (high_water, is_short)
    assert budget.reserve_window(10**9) == first_window


def test_who_needs_no_room_is_let_in_however_much_waits():
    budget = Budget(100)
    budget.waiting = 200
    assert budget.reserve(0)
    assert not budget.reserve(1)
