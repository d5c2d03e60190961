"""What the store finds of events: due, in order, by page; and what it deletes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.store import NewEvent, Settled, State, event_retention
from gateway.store.event_store import open_event_store
from gateway.store.event_writing import ROW_BYTES, Batch
from tests.support.subscriptions import NOW

LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def store(tmp_path):
    async with open_event_store(tmp_path / "gateway.db") as store:
        yield store


async def add(store, *numbers, issue="10001", size=10, received_at=NOW):
    events = [
        NewEvent("hq", f"changelog/{number}", "jira:issue_updated", received_at, (1,), b"x" * size, issue_id=issue)
        for number in numbers
    ]
    made = await store.write(Batch(events=events))
    return [delivery for deliveries in made for delivery in deliveries]


async def settle(store, delivery, state=State.DELIVERED, next_at=None, attempts=1):
    await store.write(Batch(settled=[Settled(delivery.number, state, attempts, next_at, 200, None, NOW)]))


async def test_due_is_what_is_pending_and_whose_time_has_come_oldest_first(store):
    one, two, three, four = await add(store, 1, 2, 3, 4)
    await settle(store, one)
    await settle(store, two, State.PENDING, LATER)
    await settle(store, three, State.DEAD)

    assert await store.due(1, NOW, limit=10) == [four]
    assert [row.number for row in await store.due(1, LATER, limit=10)] == [four.number, two.number]
    assert [row.number for row in await store.due(1, LATER, limit=10, skip={four.number})] == [two.number]
    assert await store.next_due(1) == NOW
    assert await store.next_due(2) is None


async def test_in_order_means_the_oldest_of_each_issue_and_waiting_counts(store):
    one, two = await add(store, 1, 2, issue="10001")
    [three] = await add(store, 3, issue="10002")
    assert [row.number for row in await store.due(1, NOW, limit=10, ordered=True)] == [one.number, three.number]

    await settle(store, one, State.PENDING, LATER)
    assert [row.number for row in await store.due(1, NOW, limit=10, ordered=True)] == [three.number]

    await settle(store, one, State.DEAD)
    assert [row.number for row in await store.due(1, NOW, limit=10, ordered=True)] == [two.number, three.number]


async def test_a_page_begins_after_its_cursor_and_ends_with_its_bounds(store):
    made = await add(store, *range(10), size=1000)
    assert [row.number for row in await store.page(1, made[3].number, limit=3)] == [row.number for row in made[4:7]]
    assert len(await store.page(1, 0, limit=100, max_bytes=2500)) == 2
    assert len(await store.page(1, 0, limit=100, max_bytes=10)) == 1
    await settle(store, made[8], State.DEAD)
    assert [row.number for row in await store.page(1, 0, limit=100, states=[State.DEAD])] == [made[8].number]
    assert await store.page(2, 0, limit=10) == []
    assert await store.last_number(1) == made[-1].number


async def test_everything_that_waits_can_be_made_due_at_once(store):
    one, two = await add(store, 1, 2)
    await settle(store, one, State.PENDING, LATER)
    await settle(store, two, State.DEAD)
    assert await store.expedite(1, NOW) == 1
    assert [row.number for row in await store.due(1, NOW, limit=10)] == [one.number]


async def test_counts_are_by_trigger_and_state(store):
    one, *_ = await add(store, 1, 2, 3)
    await settle(store, one)
    assert await store.counts() == {1: {State.DELIVERED: 1, State.PENDING: 2}}


async def test_old_events_go_with_their_deliveries_whatever_became_of_them(store):
    await add(store, 1, received_at=NOW - timedelta(days=31))
    [young] = await add(store, 2)
    pruned = await store.prune(NOW - timedelta(days=30), 10**9)

    assert (pruned.events, pruned.bytes_left, pruned.more) == (1, 10 + 2 * ROW_BYTES, False)
    assert [row.number for row in await store.page(1, 0, limit=10)] == [young.number]


async def test_for_room_the_oldest_go_that_nobody_waits_for(store):
    one, two, three = await add(store, 1, 2, 3, size=1000)
    await settle(store, two)
    await settle(store, three)
    pruned = await store.prune(NOW - timedelta(days=30), 2500 + 6 * ROW_BYTES)

    assert pruned.events == 1
    assert [row.number for row in await store.page(1, 0, limit=10)] == [one.number, three.number]


async def test_what_is_to_be_sent_yet_never_goes_for_room(store):
    await add(store, 1, 2, 3, size=1000)
    pruned = await store.prune(NOW - timedelta(days=30), 100)
    assert (pruned.events, pruned.bytes_left) == (0, 3000 + 6 * ROW_BYTES)


async def test_large_ones_go_a_few_at_a_time(store, monkeypatch):
    monkeypatch.setattr(event_retention, "_BYTES_AT_ONCE", 2500 + 4 * ROW_BYTES)
    for delivery in await add(store, *range(5), size=1000):
        await settle(store, delivery)
    by_size = await store.prune(NOW - timedelta(days=30), 0)
    by_age = await store.prune(NOW + timedelta(days=1), 10**9)
    rest = await store.prune(NOW + timedelta(days=1), 10**9)
    assert [(one.events, one.more) for one in (by_size, by_age, rest)] == [(2, True), (2, True), (1, False)]


async def test_events_without_a_body_take_room_too(store):
    made = await add(store, *range(100), size=0)
    for delivery in made:
        await settle(store, delivery)
    pruned = await store.prune(NOW - timedelta(days=30), 20 * ROW_BYTES)
    assert (pruned.events, pruned.bytes_left) == (90, 20 * ROW_BYTES)


async def test_numbers_are_never_used_again(store):
    [one] = await add(store, 1, received_at=NOW - timedelta(days=31))
    await store.prune(NOW - timedelta(days=30), 10**9)
    [two] = await add(store, 1)
    assert two.number > one.number
    assert replace(two.event, seq=0) != one.event
