"""The event log on a real database: nothing is said to be durable before it is, and nothing is stored twice."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.events import event_log
from gateway.events.event_log import MAX_WAITING_BYTES, EventLog
from gateway.store import (
    Cause,
    Gap,
    NewEvent,
    Settled,
    State,
    StoreError,
    StoreUnavailable,
    Watermark,
    Way,
    open_store,
)
from gateway.store.event_store import open_event_store
from tests.support.subscriptions import KEY, NOW


def event(number=1, triggers=(1,), **fields):
    row = NewEvent("hq", f"changelog/{number}", "jira:issue_updated", NOW, triggers, b'{"n":1}', issue_id="10001")
    return replace(row, **fields)


@asynccontextmanager
async def running(path):
    async with open_event_store(path / "gateway.db") as store:
        log = EventLog(store)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(log.run())
            try:
                yield log
            finally:
                writer.cancel()


async def test_an_event_gets_one_delivery_for_each_trigger_that_wants_it(tmp_path):
    async with running(tmp_path) as log:
        made = await log.add(event(triggers=(1, 2), kept_for=frozenset({2})))

        assert [(delivery.trigger, delivery.state) for delivery in made] == [(1, State.PENDING), (2, State.KEPT)]
        assert made[0].event.body == b'{"n":1}'
        [due] = await log.store.due(1, NOW, limit=10)
        assert due == made[0]
        assert await log.store.due(2, NOW, limit=10) == []


async def test_the_same_occurrence_counts_once_for_a_trigger_and_still_reaches_another(tmp_path):
    async with running(tmp_path) as log:
        [first] = await log.add(event(triggers=(1,)))
        assert await log.add(event(triggers=(1,))) == []
        [second] = await log.add(event(triggers=(1, 2), body=b"late"))

        assert (second.trigger, second.event.seq) == (2, first.event.seq)
        assert await log.add(event(type="comment_created")) == []  # another webhook of the same occurrence
        assert len(await log.store.page(1, 0, limit=10)) == 1


async def test_occurrences_of_another_connection_have_nothing_to_do_with_it(tmp_path):
    async with running(tmp_path) as log:
        await log.add(event(triggers=(1,)))
        assert len(await log.add(event(triggers=(2,), connection="branch"))) == 1


async def test_what_is_heard_of_is_in_the_database_already(tmp_path):
    async with running(tmp_path) as log:
        seen = []

        def look(deliveries):
            import sqlite3

            with sqlite3.connect(tmp_path / "gateway.db") as other:
                seen.append(other.execute("SELECT count(*) FROM deliveries").fetchone()[0])
            assert deliveries

        log.listeners.append(look)
        await log.add(event(1))
        await log.add(event(2))
        assert seen == [1, 2]


async def test_many_share_a_commit(tmp_path):
    async with running(tmp_path) as log:
        commits = []
        write = log.store.write

        async def counted(batch):
            commits.append(len(batch.events))
            return await write(batch)

        log.store.write = counted
        done = asyncio.Event()
        answers = []

        def count(made):
            answers.append(made)
            if len(answers) == 300:
                done.set()

        for number in range(300):
            assert log.offer(event(number), count)
        async with asyncio.timeout(10):
            await done.wait()
        assert all(made for made in answers)
        assert len(commits) <= 3


async def test_there_is_a_bound_to_what_waits(tmp_path):
    async with open_event_store(tmp_path / "gateway.db") as store:
        log = EventLog(store)
        large = b"x" * (8 << 20)
        taken = sum(log.offer(event(number, body=large), lambda _: None) for number in range(10))
        assert taken == MAX_WAITING_BYTES // len(large)
        assert log.waiting_bytes <= MAX_WAITING_BYTES + len(large) + 1024


async def test_an_unwritable_store_refuses_events_keeps_outcomes_and_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    async with running(tmp_path) as log:
        [made] = await log.add(event())
        write, broken = log.store.write, True

        async def failing(batch):
            if broken:
                raise StoreUnavailable("gateway.db", "database or disk is full")
            return await write(batch)

        log.store.write = failing
        log.settle(Settled(made.number, State.DELIVERED, 1, None, 200, None, NOW))
        with pytest.raises(StoreError):
            await log.add(event(2))
        assert log.problem is not None
        assert "disk is full" in log.problem

        broken = False
        assert len(await log.add(event(3))) == 1
        assert log.problem is None
        assert (await log.store.find(1, "changelog/1")).state is State.DELIVERED
        assert await log.store.find(1, "changelog/2") is None


async def test_gaps_are_acknowledged_when_durable_and_known_by_their_uid(tmp_path):
    async with open_store(tmp_path / "gateway.db", KEY, NOW) as rows, running(tmp_path) as log:
        gap = Gap(0, "u1/hq", "hq", Cause.AGENT, NOW - timedelta(hours=1), NOW, NOW, Way.LAN)
        for _ in range(2):
            kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            log.offer_gaps([gap], kept.set_result)
            assert await kept
        [stored] = await rows.gaps(open_only=True)
        assert replace(stored, number=0) == gap

        await log.store.close_gap(stored.number, NOW, 4)
        assert await rows.gaps(open_only=True) == []
        assert [row.found for row in await rows.gaps()] == [4]


async def test_watermarks_signs_of_life_and_news_of_hooks_are_kept(tmp_path):
    async with open_store(tmp_path / "gateway.db", KEY, NOW) as rows, running(tmp_path) as log:
        log.mark(Watermark("hook:1", NOW, NOW, None))
        log.mark(Watermark("hook:1", NOW + timedelta(minutes=1), NOW, "it failed"))
        log.live(NOW)
        log.note_hook(1, problem="its filter is wrong", checked_at=NOW)
        await log.add(event(hook=1))
        await log.add(event(2, hook=1, received_at=NOW + timedelta(minutes=5)))

        assert (await rows.watermarks())["hook:1"].problem == "it failed"
        assert await log.store.alive_at() == NOW
        state = (await rows.hook_states())[1]
        assert (state.first_event_at, state.last_event_at) == (NOW, NOW + timedelta(minutes=5))
        assert state.problem == "its filter is wrong"


async def test_the_end_writes_outcomes_and_refuses_what_nobody_acknowledged(tmp_path):
    async with open_event_store(tmp_path / "gateway.db") as store:
        log = EventLog(store)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(log.run())
            [made] = await log.add(event())
            log.settle(Settled(made.number, State.DELIVERED, 1, None, 200, None, NOW))
            answers = []
            log.offer(event(2), answers.append)
            writer.cancel()
        assert answers == [None]
        assert (await store.find(1, "changelog/1")).state is State.DELIVERED


async def test_what_cannot_be_written_at_all_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    async with running(tmp_path) as log:
        with pytest.raises(StoreError):
            await log.add(event(issue_key="\ud800"))
        assert len(await log.add(event(2))) == 1
        assert log.problem is None


async def test_who_fails_to_hear_costs_nobody_else_anything(tmp_path):
    heard = []

    def fail(made):
        heard.append(made)
        raise KeyError("bug")

    async with running(tmp_path) as log:
        log.listeners += [fail, heard.append]
        log.offer(event(1), fail)
        log.offer_gaps([], fail)
        assert len(await log.add(event(2))) == 1
        assert len(await log.add(event(3))) == 1
    assert len(heard) >= 5
