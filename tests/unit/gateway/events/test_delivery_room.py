"""The bound of all bodies together, and the counts."""

from gateway.events.delivery_room import Room, Tally
from tests.support.subscriptions import NOW


def test_there_is_room_up_to_the_limit_and_what_must_be_taken_is():
    room = Room(100)
    assert room.take(100, at_any_rate=False)
    assert room.is_full
    assert not room.take(1, at_any_rate=False)
    assert room.take(50, at_any_rate=True)
    assert room.held == 150
    room.give_back(51)
    assert not room.is_full
    assert room.take(1, at_any_rate=False)


def test_failures_in_a_row_end_with_a_success():
    tally = Tally()
    tally.fail("a", NOW, is_dead=False)
    tally.fail("b", NOW, is_dead=True)
    assert (tally.failed, tally.failures, tally.dead, tally.last_error, tally.last_error_at) == (2, 2, 1, "b", NOW)
    tally.succeed(NOW)
    assert (tally.failed, tally.failures, tally.delivered, tally.last_success_at) == (2, 0, 1, NOW)
