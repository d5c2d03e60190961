"""What is in hand: never twice, within bounds, and forgotten in time."""

from dataclasses import replace
from datetime import timedelta

from gateway.events.delivery_hand import MAX_WAITING_BYTES, Hand
from gateway.events.delivery_room import Room, size_of
from gateway.store import State
from tests.support.deliveries import delivery
from tests.support.subscriptions import NOW


def hand(room=None):
    return Hand(room or Room())


def test_bytes_are_counted_in_and_out():
    room = Room()
    made, rows = hand(room), [delivery(number, size=1000) for number in range(3)]
    for row in rows:
        assert made.take(row)
    assert room.held == sum(map(size_of, rows))
    made.settle(made.begin(), NOW)
    assert (len(made), made.waiting, made.under_way) == (2, 2, 0)
    made.begin()
    assert made.drop_waiting()
    assert not made.drop_waiting()
    assert room.held == size_of(rows[1])
    made.drop_all()
    assert (room.held, made.under_way, len(made)) == (0, 0, 0)


def test_what_waits_is_bounded_in_bytes_but_the_first_is_always_taken():
    made = hand()
    assert made.take(delivery(1, size=2 * MAX_WAITING_BYTES))
    assert not made.take(delivery(2))
    made.begin()
    assert made.take(delivery(2))


def test_in_hand_or_just_settled_is_not_new():
    made, row = hand(), delivery(1, issue="a")
    made.take(row)
    assert not made.is_new(row)
    assert (made.issues, list(made.numbers)) == ({"a"}, [1])
    made.settle(made.begin(), NOW)
    assert not made.is_new(row)
    assert not made.is_new(replace(row, next_at=row.next_at + timedelta(microseconds=999)))  # the store cuts it
    assert made.is_new(replace(row, attempts=1))
    assert made.is_new(replace(row, next_at=row.next_at + timedelta(milliseconds=1)))
    assert made.is_new(replace(row, state=State.PENDING, next_at=None))
