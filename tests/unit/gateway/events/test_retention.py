"""Retention: bounded by age and size, and full only when everything is still to be sent."""

from datetime import timedelta

from gateway.events.retention import Retention
from gateway.store import StoreUnavailable
from gateway.store.event_retention import Pruned
from tests.support.subscriptions import NOW


class FakeStore:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def prune(self, before, max_bytes):
        self.asked.append((before, max_bytes))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeLog:
    is_full = False
    stored_bytes = 0

    def __init__(self, *answers):
        self.store = FakeStore(*answers)


def retention(*answers):
    events = FakeLog(*answers)
    return Retention(events, lambda: NOW, days=30, max_bytes=1000), events


async def test_it_asks_for_what_is_older_than_allowed():
    keeper, events = retention(Pruned(0, 10, more=False))
    assert await keeper.prune() is False
    assert events.store.asked == [(NOW - timedelta(days=30), 1000)]
    assert keeper.bytes == 10


async def test_it_goes_on_while_there_is_more():
    keeper, events = retention(Pruned(1000, 5000, more=True))
    assert await keeper.prune() is True
    assert not events.is_full


async def test_when_nothing_may_go_the_log_is_full_until_there_is_room():
    keeper, events = retention(Pruned(0, 1001, more=False), Pruned(5, 900, more=False))
    await keeper.prune()
    assert events.is_full
    await keeper.prune()
    assert not events.is_full


async def test_a_store_that_cannot_be_used_changes_nothing():
    keeper, events = retention(Pruned(0, 1001, more=False), StoreUnavailable("gateway.db", "locked"))
    await keeper.prune()
    assert await keeper.prune() is False
    assert events.is_full


async def test_a_flood_makes_it_look_sooner():
    keeper, events = retention(Pruned(0, 10, more=False), Pruned(0, 10, more=False))
    await keeper.prune()
    events.stored_bytes = 20
    assert not keeper.is_due
    events.stored_bytes = 21
    assert keeper.is_due
    await keeper.prune()
    assert not keeper.is_due
