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


class FakeIntake:
    is_full = False


def retention(*answers):
    intake = FakeIntake()
    return Retention(FakeStore(*answers), intake, lambda: NOW, days=30, max_bytes=1000), intake


async def test_it_asks_for_what_is_older_than_allowed():
    keeper, _ = retention(Pruned(0, 10, more=False))
    assert await keeper.prune() is False
    assert keeper._store.asked == [(NOW - timedelta(days=30), 1000)]
    assert keeper.bytes == 10


async def test_it_goes_on_while_there_is_more():
    keeper, intake = retention(Pruned(1000, 5000, more=True))
    assert await keeper.prune() is True
    assert not intake.is_full


async def test_when_nothing_may_go_the_intake_is_full_until_there_is_room():
    keeper, intake = retention(Pruned(0, 1001, more=False), Pruned(5, 900, more=False))
    await keeper.prune()
    assert intake.is_full
    await keeper.prune()
    assert not intake.is_full


async def test_a_store_that_cannot_be_used_changes_nothing():
    keeper, intake = retention(Pruned(0, 1001, more=False), StoreUnavailable("gateway.db", "locked"))
    await keeper.prune()
    assert await keeper.prune() is False
    assert intake.is_full
