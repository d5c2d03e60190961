"""The bytes that all windows of a process may hold together."""

import pytest

from tunnel.budget import NARROW_WINDOW, PLAIN_WINDOW, WIDE_WINDOW, Budget
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
    assert repr(budget) == "<Budget 10/100>"
