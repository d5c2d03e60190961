"""Deadlines without timers."""

from http1.sweep import NEVER, Sweeper


class Item:
    def __init__(self, deadline):
        self.deadline = deadline
        self.expired = []

    def expire(self, now):
        self.expired.append(now)


def test_items_expire_from_their_deadline_on_until_it_moves():
    sweeper = Sweeper()
    soon, never = Item(10.0), Item(NEVER)
    sweeper.add(soon)
    sweeper.add(never)
    for now in (9.9, 10.0, 10.1):
        sweeper.sweep(now)
    soon.deadline = 20.0
    sweeper.sweep(10.2)
    assert (soon.expired, never.expired, sweeper.now) == ([10.0, 10.1], [], 10.2)


def test_an_item_may_discard_itself_and_others_while_the_sweep_runs():
    sweeper = Sweeper()
    first, second = Item(1.0), Item(1.0)
    first.expire = second.expire = lambda _: (sweeper.discard(first), sweeper.discard(second))
    sweeper.add(first)
    sweeper.add(second)
    sweeper.sweep(2.0)
    assert len(sweeper) == 0
