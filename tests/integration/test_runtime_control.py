"""The control socket: a command's way to the running program, and its way back."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from http1.sweep import Sweeper
from runtime.control import SOCKET_NAME, NotRunning, call, serve_control
from runtime.exits import CONFIGURATION, UNAVAILABLE, CommandFailed
from tests.support.mini_gateway import until


@asynccontextmanager
async def serving(directory, **commands):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve_control(directory, commands, Sweeper()))
        await until(lambda: (directory / SOCKET_NAME).exists() or task.done())
        try:
            yield task
        finally:
            task.cancel()


async def ask(directory, command, arguments=None, **options):
    """Call from a thread, as another process would."""
    return await asyncio.to_thread(call, directory, command, arguments, **options)


async def echo(arguments):
    return {"got": arguments, "thread": threading.current_thread().name}


async def test_a_command_gets_its_arguments_and_gives_its_answer(tmp_path):
    async with serving(tmp_path, echo=echo):
        assert (await ask(tmp_path, "echo", {"a": [1, "ü"]}))["got"] == {"a": [1, "ü"]}
        assert (await ask(tmp_path, "echo"))["got"] == {}


async def test_only_the_owner_may_open_it_and_it_goes_with_the_program(tmp_path):
    async with serving(tmp_path, echo=echo):
        assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / SOCKET_NAME).exists()


async def test_a_refusal_keeps_its_line_and_status(tmp_path):
    async def refuse(_):
        raise CommandFailed("there is no connection x; see connections list", 1)

    async with serving(tmp_path, refuse=refuse):
        with pytest.raises(CommandFailed, match="there is no connection x; see connections list") as failure:
            await ask(tmp_path, "refuse")
    assert failure.value.status == 1


async def test_a_bug_in_a_command_is_not_taken_for_a_program_that_is_not_there(tmp_path):
    async def crash(_):
        raise ZeroDivisionError

    async with serving(tmp_path, crash=crash, echo=echo):
        for name in ("crash", "unheard-of"):
            with pytest.raises(CommandFailed, match="failed there; see the program's log") as failure:
                await ask(tmp_path, name)
            assert failure.value.status == 1
        assert (await ask(tmp_path, "echo"))["got"] == {}


async def test_nothing_running_is_69(tmp_path):
    (tmp_path / SOCKET_NAME).touch()
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotRunning) as failure:
            await ask(directory, "echo")
        assert failure.value.status == UNAVAILABLE


async def test_a_program_that_hangs_is_69_too(tmp_path):
    async def hang(_):
        await asyncio.Event().wait()

    async with serving(tmp_path, hang=hang):
        with pytest.raises(NotRunning, match=r"no answer on .* within 0.2 s"):
            await ask(tmp_path, "hang", seconds=0.2)


async def test_what_a_killed_program_left_behind_is_replaced(tmp_path):
    (tmp_path / SOCKET_NAME).touch()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve_control(tmp_path, {"echo": echo}, Sweeper()))
        await until((tmp_path / SOCKET_NAME).is_socket)
        assert (await ask(tmp_path, "echo"))["got"] == {}
        task.cancel()


async def test_a_second_program_leaves_the_socket_to_the_first(tmp_path):
    async with serving(tmp_path, echo=echo):
        with pytest.raises(CommandFailed, match="another process runs on"):
            await serve_control(tmp_path, {}, Sweeper())
        assert (await ask(tmp_path, "echo"))["got"] == {}


async def test_a_directory_that_takes_no_socket_is_told_in_one_line(tmp_path):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with pytest.raises(CommandFailed) as failure:
        await serve_control(deep, {}, Sweeper())
    assert failure.value.status == CONFIGURATION
    assert "\n" not in failure.value.line


async def test_what_is_too_large_or_no_http_is_refused_and_the_next_one_is_served(tmp_path):
    async with serving(tmp_path, echo=echo):
        with pytest.raises(CommandFailed, match="failed there") as failure:
            await ask(tmp_path, "echo", {"a": "x" * (1 << 20)})
        assert failure.value.status == 1
        reader, writer = await asyncio.open_unix_connection(tmp_path / SOCKET_NAME)
        writer.write(b"good morning\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        assert (await ask(tmp_path, "echo"))["got"] == {}
