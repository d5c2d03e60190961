"""The desk where agents measure their line: what a visit may cost, and how often one may come."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosedOK

from certs.certificates import AgentCertificate
from certs.identity import AgentIdentity
from gateway.line_desk import BURST, BURST_OF_ALL, EACH_SECONDS, Bounds, LineDesk
from tunnel.probing import BALLAST_BYTES, MAX_ECHOES, Tally, Welcome

BALLAST = b"\x03" + bytes(BALLAST_BYTES - 1)
NOW = datetime.now(UTC)


class Socket:
    def setsockopt(self, *words):
        raise OSError

    getsockopt = setsockopt


class Transport:
    def __init__(self):
        self.is_aborted = False

    def abort(self):
        self.is_aborted = True

    def get_extra_info(self, name):
        return Socket()


class Visitor:
    """The gateway's end of a visitor's websocket; leaves after its last message, unless it lingers."""

    def __init__(self, *messages, lingers=False):
        self.messages = list(messages)
        self.lingers = lingers
        self.sent = []
        self.transport = Transport()

    async def send(self, message):
        self.sent.append(message)

    async def recv(self):
        if self.messages:
            return self.messages.pop(0)
        if self.lingers:
            await asyncio.Event().wait()
        raise ConnectionClosedOK(None, None)


def certificate(instance="i1", serial=1):
    return AgentCertificate(AgentIdentity("hq", instance), serial, NOW, NOW + timedelta(days=7))


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def desk(**bounds):
    clock = Clock()
    return LineDesk("jira-gateway/1", Bounds(**{"size": 10 * BALLAST_BYTES, **bounds}), clock), clock


async def test_a_visitor_is_told_the_time_and_gets_its_echoes():
    one, _ = desk()
    visitor = Visitor(b"\x01abc", b"\x01")
    await one.serve(visitor, certificate())
    welcome = Welcome.from_json(visitor.sent[0])
    assert abs(welcome.time / 1000 - datetime.now(UTC).timestamp()) < 60
    assert (welcome.software, visitor.sent[1:]) == ("jira-gateway/1", [b"\x01abc", b"\x01"])
    assert visitor.transport.is_aborted


async def test_what_a_visitor_may_have_sent_is_bounded_in_bytes_and_comes_once():
    one, _ = desk()
    visitor = Visitor(b"\x02", b"\x02", b"\x01late")
    await one.serve(visitor, certificate())
    assert [len(message) for message in visitor.sent[1:-1]] == [BALLAST_BYTES] * 10
    assert Tally.from_bytes(visitor.sent[-1]).size == 10 * BALLAST_BYTES
    assert one.bytes == 10 * BALLAST_BYTES


async def test_a_visitor_that_does_not_read_is_sent_to_for_so_long_only():
    one, _ = desk(seconds=0.01)

    class Deaf(Visitor):
        async def send(self, message):
            if message[0] == 3:
                await asyncio.Event().wait()
            await super().send(message)

    visitor = Deaf(b"\x02")
    await one.serve(visitor, certificate())
    assert Tally.from_bytes(visitor.sent[-1]).size == 0


async def test_ballast_is_counted_up_to_its_bound():
    one, _ = desk()
    visitor = Visitor(*[BALLAST] * 10, b"\x04")
    await one.serve(visitor, certificate())
    assert Tally.from_bytes(visitor.sent[-1]).size == 10 * BALLAST_BYTES
    greedy = Visitor(*[BALLAST] * 11, b"\x04")
    await one.serve(greedy, certificate())
    assert len(greedy.sent) == 1


async def test_ballast_that_comes_for_too_long_ends_the_visit():
    one, clock = desk(seconds=5.0)

    class Slow(Visitor):
        async def recv(self):
            clock.now += 4.0
            return await super().recv()

    visitor = Slow(*[BALLAST] * 5, b"\x04")
    await one.serve(visitor, certificate())
    assert len(visitor.sent) == 1


@pytest.mark.parametrize("message", ["text", b"", b"\x05", b"\x03", b"\x01" + bytes(65), b"\x02x"])
async def test_a_message_of_another_form_ends_the_visit(message):
    one, _ = desk()
    visitor = Visitor(message, b"\x01abc")
    await one.serve(visitor, certificate())
    assert (len(visitor.sent), visitor.transport.is_aborted) == (1, True)


async def test_echoes_have_an_end():
    one, _ = desk()
    visitor = Visitor(*[b"\x01"] * (MAX_ECHOES + 5))
    await one.serve(visitor, certificate())
    assert len(visitor.sent) == 1 + MAX_ECHOES


async def test_a_visitor_that_stays_is_shown_out():
    one, _ = desk(visit_seconds=0.01)
    visitor = Visitor(lingers=True)
    await one.serve(visitor, certificate())
    assert visitor.transport.is_aborted
    assert not one._inside


async def test_one_visit_of_an_instance_at_a_time_and_two_in_all():
    one, _ = desk()
    async with asyncio.TaskGroup() as tasks:
        first, second, third = (Visitor(lingers=True) for _ in range(3))
        staying = [tasks.create_task(one.serve(first, certificate("i1")))]
        await asyncio.sleep(0)
        assert one.knock(certificate("i1"))
        twin = Visitor(b"\x01x")  # it knocked before the first had come in
        await one.serve(twin, certificate("i1"))
        assert (twin.sent, twin.transport.is_aborted) == ([], True)
        assert not one.knock(certificate("i2"))
        staying.append(tasks.create_task(one.serve(second, certificate("i2"))))
        await asyncio.sleep(0)
        assert one.knock(certificate("i3"))
        await one.serve(third, certificate("i3"))
        assert third.transport.is_aborted
        for task in staying:
            task.cancel()
    assert (one.refused, one._inside) == (4, {})


def test_an_instance_comes_a_few_times_and_then_seldom():
    one, clock = desk()
    assert [one.knock(certificate()) for _ in range(BURST)] == [0] * BURST
    assert 0 < one.knock(certificate()) <= EACH_SECONDS + 1
    assert not one.knock(certificate("i2"))
    clock.now += EACH_SECONDS
    assert not one.knock(certificate())
    assert one.knock(certificate())


def test_many_instances_together_come_a_few_times_and_then_seldom():
    one, clock = desk()
    assert not any(one.knock(certificate(f"i{number}")) for number in range(BURST_OF_ALL))
    assert one.knock(certificate("last"))
    clock.now += 5
    assert not one.knock(certificate("last"))


async def test_a_certificate_that_is_revoked_meanwhile_ends_its_visit():
    one, _ = desk()
    async with asyncio.TaskGroup() as tasks:
        bad, good = Visitor(lingers=True), Visitor(lingers=True)
        staying = [
            tasks.create_task(one.serve(bad, certificate("bad", 1))),
            tasks.create_task(one.serve(good, certificate("good", 2))),
        ]
        await asyncio.sleep(0)
        one.drop(lambda shown: shown.serial == 1)
        assert (bad.transport.is_aborted, good.transport.is_aborted) == (True, False)
        for task in staying:
            task.cancel()
