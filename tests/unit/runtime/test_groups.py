"""Leaving the outermost TaskGroup: on purpose, by the one error for people, or by everything else."""

import asyncio

import pytest

from runtime.exits import CommandFailed
from runtime.groups import leave_group, leaving_group


async def fail(error):
    raise error


async def wait():
    await asyncio.Event().wait()


async def run(*works):
    """Run a program of these tasks."""
    with leaving_group():
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)


async def test_leaving_ends_the_other_tasks_quietly():
    with leaving_group():
        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(wait())
            await asyncio.sleep(0)
            leave_group()
    assert other.cancelled()


async def test_a_failed_command_comes_out_alone_however_deep():
    async def nested():
        async with asyncio.TaskGroup() as inner:
            inner.create_task(fail(CommandFailed("the line", 78)))
            inner.create_task(wait())

    with pytest.raises(CommandFailed, match="the line") as failure:
        await run(nested(), wait())
    assert failure.value.status == 78


async def test_a_failed_command_wins_over_leaving():
    with pytest.raises(CommandFailed):
        await run(fail(CommandFailed("x")), fail_by_leaving())


async def fail_by_leaving():
    leave_group()


async def test_a_bug_comes_out_as_the_group_that_it_is():
    with pytest.raises(ExceptionGroup) as group:
        await run(fail(ZeroDivisionError()), fail(CommandFailed("x")))
    assert group.value.subgroup(ZeroDivisionError)


async def test_without_an_error_nothing_happens():
    with leaving_group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(0))


async def test_a_cancellation_is_not_swallowed():
    async def program():
        with leaving_group():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(wait())

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(program())
        await asyncio.sleep(0)
        running.cancel()
    assert running.cancelled()
