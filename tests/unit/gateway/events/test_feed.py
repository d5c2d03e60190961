"""Who waits for a trigger's deliveries is woken by them, misses none, and holds up nobody."""

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from gateway.events import feed as feed_module
from gateway.events.feed import MAX_OF_ONE, MAX_PAGE_BYTES, MIN_PAGE_BYTES, Feed, TooManyReaders
from gateway.store import Delivery, Event, State, StoreUnavailable

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LONG = 60


def delivery(number, trigger=1, state=State.KEPT):
    event = Event(number, "hq", f"o/{number}", "jira:issue_created", NOW, b"{}", None, None, None, None, False)
    return Delivery(number, trigger, state, 0, event)


class FakeLog:
    """A log whose store is a list."""

    def __init__(self):
        self.listeners = []
        self.rows = []
        self.reads = 0
        self.at_once = 0
        self.most_at_once = 0
        self.meanwhile = None
        self.problem = None
        self.store = SimpleNamespace(page=self.page)

    def add(self, *rows):
        self.rows += rows
        for listener in self.listeners:
            listener(rows)

    async def page(self, trigger, after, *, limit, states, max_bytes):
        self.reads += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.max_bytes = max_bytes
        found = [row for row in self.rows if row.trigger == trigger and row.number > after]
        found = [row for row in found if not states or row.state in states][:limit]
        await asyncio.sleep(0)
        if self.meanwhile is not None:
            self.meanwhile, meanwhile = None, self.meanwhile
            self.add(meanwhile)
        self.at_once -= 1
        if self.problem is not None:
            raise self.problem
        return found


@pytest.fixture
async def parts():
    log = FakeLog()
    feed = Feed(log)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        await asyncio.sleep(0)
        yield log, feed, tasks
        running.cancel()


def numbers(page):
    return [row.number for row in page]


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_there_is_answered_at_once(parts):
    log, feed, _ = parts
    log.add(delivery(1), delivery(2, trigger=2), delivery(3))
    with feed.reading(1, "ci") as reader:
        assert numbers(await reader.page(0, wait=LONG)) == [1, 3]
        assert numbers(await reader.page(1, wait=LONG)) == [3]
        assert numbers(await reader.page(0, limit=1)) == [1]


async def test_nothing_is_answered_when_the_time_is_over(parts):
    _, feed, _ = parts
    with feed.reading(1, "ci") as reader:
        assert await reader.page(0) == []
        assert await reader.page(0, wait=0.001) == []


async def test_a_new_delivery_wakes_those_who_wait_for_its_trigger_only(parts):
    log, feed, tasks = parts
    with feed.reading(1, "ci") as mine, feed.reading(1, "ci") as twin, feed.reading(2, "ci") as other:
        waits = [tasks.create_task(reader.page(0, wait=LONG)) for reader in (mine, twin, other)]
        await settled()
        reads = log.reads
        log.add(delivery(7))
        assert numbers(await waits[0]) == numbers(await waits[1]) == [7]
        await settled()
        assert not waits[2].done()
        assert log.reads == reads + 2
        log.add(delivery(8, trigger=2))
        assert numbers(await waits[2]) == [8]


async def test_what_is_stored_during_a_look_is_not_missed(parts):
    log, feed, _ = parts
    log.meanwhile = delivery(5)
    with feed.reading(1, "ci") as reader:
        assert numbers(await reader.page(0, wait=LONG)) == [5]


async def test_who_waits_in_turns_does_not_ask_the_store_each_time(parts):
    log, feed, _ = parts
    with feed.reading(1, "ci") as reader:
        for _ in range(5):
            assert await reader.page(0) == []
        assert log.reads == 1
        assert await reader.page(3) == []
        assert log.reads == 2


async def test_after_a_failed_look_the_next_one_asks_again(parts):
    log, feed, _ = parts
    with feed.reading(1, "ci") as reader:
        await reader.page(0)
        log.problem = StoreUnavailable("gateway.db", "disk full")
        log.add(delivery(4))
        with pytest.raises(StoreUnavailable):
            await reader.page(0)
        log.problem = None
        assert numbers(await reader.page(0)) == [4]


async def test_a_state_that_comes_later_is_found_by_the_next_look(parts):
    log, feed, _ = parts
    log.add(delivery(1, state=State.PENDING))
    with feed.reading(1, "ci") as reader:
        assert await reader.page(0, states={State.DEAD}) == []
        log.rows[0] = delivery(1, state=State.DEAD)
        assert numbers(await reader.page(0, states={State.DEAD})) == [1]


async def test_readers_look_one_after_the_other(parts):
    log, feed, tasks = parts
    log.add(delivery(1))

    async def read():
        with feed.reading(1, "ci") as reader:
            return numbers(await reader.page(0))

    many = [tasks.create_task(read()) for _ in range(20)]
    assert [await task for task in many] == [[1]] * 20
    assert log.most_at_once == 1


async def test_a_look_that_takes_too_long_is_given_up(parts, monkeypatch):
    _, feed, _ = parts
    monkeypatch.setattr(feed_module, "READ_SECONDS", 0.001)
    await feed._turn.acquire()
    with feed.reading(1, "ci") as reader, pytest.raises(TimeoutError):
        await reader.page(0)
    feed._turn.release()


async def test_pages_are_smaller_while_many_read(parts):
    log, feed, _ = parts
    with feed.reading(1, "ci") as reader:
        await reader.page(0)
        assert log.max_bytes == MAX_PAGE_BYTES
        with feed.reading(2, "ci") as other:
            feed._count += 30
            await other.page(0)
            assert log.max_bytes == 1 << 20
            feed._count += 10_000
            await other.page(1)
            assert log.max_bytes == MIN_PAGE_BYTES


async def test_when_it_closes_everybody_goes_home_with_nothing(parts):
    log, feed, tasks = parts
    with feed.reading(1, "ci") as reader:
        waiting = tasks.create_task(reader.page(0, wait=LONG))
        await settled()
        feed.close()
        assert await waiting == []
        log.add(delivery(1))
        assert await reader.page(0, wait=LONG) == []


async def test_who_has_left_is_forgotten(parts):
    _, feed, _ = parts
    with feed.reading(1, "ci"), feed.reading(1, "ci"):
        assert feed.readers == 2
    assert feed.readers == 0
    assert not feed._readers


async def test_its_end_closes_it_and_it_hears_no_more():
    log = FakeLog()
    feed = Feed(log)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        await asyncio.sleep(0)
        assert log.listeners == [feed.wake]
        running.cancel()
    assert log.listeners == []
    assert feed.is_closed


async def test_one_who_reads_often_leaves_room_for_the_others(parts):
    _, feed, _ = parts
    with ExitStack() as readers:
        for _ in range(MAX_OF_ONE):
            readers.enter_context(feed.reading(1, "greedy"))
        with pytest.raises(TooManyReaders):
            readers.enter_context(feed.reading(1, "greedy"))
        with feed.reading(1, "other") as reader:
            assert await reader.page(0) == []
    with feed.reading(1, "greedy") as reader:
        assert await reader.page(0) == []
