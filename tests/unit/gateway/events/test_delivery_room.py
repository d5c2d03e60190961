"""The bound of all bodies together, and the counts."""

import asyncio

from gateway.events.delivery_room import LARGE_AT_ONCE, LARGE_BYTES, MAX_LARGE_BYTES, Room, Tally
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


def test_of_large_ones_only_some_are_taken_at_any_rate():
    room, size = Room(100), 10 << 20
    taken = 0
    while room.take(size, at_any_rate=True):
        taken += 1
    assert taken == (100 + MAX_LARGE_BYTES) // size
    assert room.take(LARGE_BYTES, at_any_rate=True)


async def test_large_ones_are_sent_a_few_at_a_time_and_small_ones_pass_them():
    room, sending, leave = Room(), [], asyncio.Event()

    async def send(size):
        async with room.sending(size, is_failing=False):
            sending.append(size)
            await leave.wait()

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for _ in range(LARGE_AT_ONCE + 3):
            tasks.create_task(send(LARGE_BYTES + 1))
        tasks.create_task(send(LARGE_BYTES))
        await asyncio.sleep(0.01)
        assert sorted(sending) == [LARGE_BYTES] + [LARGE_BYTES + 1] * LARGE_AT_ONCE
        leave.set()
    assert len(sending) == LARGE_AT_ONCE + 4


async def test_large_ones_to_subscribers_that_fail_hold_up_only_each_other():
    room, sending, leave = Room(), [], asyncio.Event()

    async def send(name, is_failing):
        async with room.sending(LARGE_BYTES + 1, is_failing=is_failing):
            sending.append(name)
            await leave.wait()

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for _ in range(LARGE_AT_ONCE + 3):
            tasks.create_task(send("dead", is_failing=True))
        tasks.create_task(send("healthy", is_failing=False))
        await asyncio.sleep(0.01)
        assert sorted(sending) == ["dead", "healthy"]
        leave.set()
    assert len(sending) == LARGE_AT_ONCE + 4


def test_failures_in_a_row_end_with_a_success():
    tally = Tally()
    tally.fail("a", NOW, is_dead=False)
    tally.fail("b", NOW, is_dead=True)
    assert (tally.failed, tally.failures, tally.dead, tally.last_error, tally.last_error_at) == (2, 2, 1, "b", NOW)
    tally.succeed(NOW)
    assert (tally.failed, tally.failures, tally.delivered, tally.last_success_at) == (2, 0, 1, NOW)
