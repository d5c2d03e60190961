"""One dead name costs one thread, whoever asks for it."""

import asyncio
import ipaddress
import socket
import threading

import pytest

from gateway.name_lookup import NameLookup


@pytest.fixture
def resolver(monkeypatch):
    """A resolver that waits until it is released, and counts."""

    class Resolver:
        calls = 0
        released = threading.Event()
        answer = ("8.8.8.8", "::ffff:8.8.8.8", "2600::1")

        def __call__(self, host, port, **_):
            self.calls += 1
            assert self.released.wait(10)
            if isinstance(self.answer, Exception):
                raise self.answer
            return [(0, 0, 0, "", (address, port)) for address in self.answer]

    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.released.set()


async def test_who_asks_for_a_name_that_is_being_looked_up_joins_the_lookup(resolver):
    names = NameLookup()
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(names.addresses("jira.example")) for _ in range(20)]
        await asyncio.sleep(0)
        resolver.released.set()
    assert resolver.calls == 1
    assert asked[0].result() == [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("2600::1")]


async def test_giving_up_does_not_start_another_lookup_of_a_dead_name(resolver):
    names = NameLookup()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await names.addresses("dead.example")
    assert resolver.calls == 1
    resolver.released.set()
    await names.addresses("dead.example")


async def test_a_later_question_is_a_new_lookup(resolver):
    resolver.released.set()
    names = NameLookup()
    await names.addresses("jira.example")
    await asyncio.sleep(0)
    await names.addresses("jira.example")
    assert resolver.calls == 2


async def test_an_unknown_name_is_an_os_error_for_everybody(resolver):
    resolver.answer = socket.gaierror(-2, "Name or service not known")
    resolver.released.set()
    names = NameLookup()
    for _ in range(2):
        with pytest.raises(OSError, match="not known"):
            await names.addresses("nobody.example")


async def test_a_name_that_is_none_is_an_os_error_too():
    with pytest.raises(OSError, match="no valid host name"):
        await NameLookup().addresses("a" * 64 + ".example")


async def test_dead_names_cost_a_bounded_number_of_threads(resolver, monkeypatch):
    monkeypatch.setattr("gateway.name_lookup.MAX_PENDING", 2)
    names = NameLookup()
    for name in ("one.example", "two.example"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await names.addresses(name)
    with pytest.raises(OSError, match="too many names"):
        await names.addresses("three.example")
    assert resolver.calls == 2
    resolver.released.set()
    await names.addresses("two.example")
