"""When a PING leaves."""

import pytest

from tunnel.liveness import QUIET_BYTES, Timings

TIMINGS = Timings()


@pytest.mark.parametrize(
    ("since", "silence", "moved", "is_known", "due"),
    [
        (5.0, 0.0, 0, False, True),  # the first one
        (5.0, 5.0, QUIET_BYTES, True, False),  # canaries come and go
        (59.0, 6.5, 300, True, False),
        (60.0, 0.0, 0, True, True),  # once a minute all the same
        (5.0, 0.0, QUIET_BYTES + 1, True, True),  # it works
        (7.5, 7.5, 0, True, True),  # nothing is heard
        (5.0, 12.5, 0, True, True),  # nor is it after the last one
        (4.9, 12.5, 1 << 20, False, False),  # but never two in five seconds
    ],
)
def test_a_ping_leaves_when_somebody_needs_its_answer(since, silence, moved, is_known, due):
    assert TIMINGS.is_ping_due(since, silence, moved, is_known=is_known) is due


def test_a_silent_peer_is_asked_twice_before_its_link_is_dead():
    asked, since = 0, 0.0
    for second in range(int(TIMINGS.dead)):
        since += 1.0
        if TIMINGS.is_ping_due(since, float(second), 0, is_known=True):
            asked, since = asked + 1, 0.0

    assert asked == 2
