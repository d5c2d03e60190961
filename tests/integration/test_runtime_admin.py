"""The read-only pages of a program."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from http1.sweep import Sweeper
from runtime.address import Address
from runtime.admin import Pages, serve_admin
from runtime.configuration import ConfigurationError
from tests.support.ports import free_port


class Program:
    reason = None

    @property
    def pages(self):
        return Pages(lambda: self.reason, lambda: {"links": 2}, lambda: iter(["up ", "1\n"]))


@asynccontextmanager
async def serving(program):
    port = free_port()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve_admin(Address("127.0.0.1", port), program.pages, "X_LISTEN", Sweeper()))
        async with asyncio.timeout(5):
            while True:
                try:
                    async with session.get("/healthz"):
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.01)
        try:
            yield session
        finally:
            task.cancel()


async def fetch(session, path, method="GET"):
    async with session.request(method, path) as answer:
        return answer.status, await answer.text(), answer.content_type


async def test_each_page_says_what_the_program_says():
    program = Program()
    async with serving(program) as session:
        assert await fetch(session, "/healthz") == (200, "ok\n", "text/plain")
        assert await fetch(session, "/readyz") == (200, "ready\n", "text/plain")
        assert await fetch(session, "/status") == (200, '{"links": 2}', "application/json")
        assert await fetch(session, "/metrics") == (200, "up 1\n", "text/plain")


async def test_a_program_that_cannot_serve_says_why():
    program = Program()
    program.reason = "the tunnel is starting"
    async with serving(program) as session:
        assert (await fetch(session, "/readyz"))[:2] == (503, "the tunnel is starting\n")
        assert (await fetch(session, "/healthz"))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_no_page_changes_anything(method):
    async with serving(Program()) as session:
        for path in ("/healthz", "/readyz", "/status", "/metrics"):
            assert (await fetch(session, path, method))[0] == 405
        assert (await fetch(session, "/other"))[0] == 404


async def test_an_address_that_is_taken_is_named_with_its_variable():
    async with serving(Program()) as session:
        taken = Address("127.0.0.1", session._base_url.port)
        with pytest.raises(ConfigurationError) as failure:
            await serve_admin(taken, Program().pages, "X_LISTEN", Sweeper())
    assert failure.value.variable == "X_LISTEN"
