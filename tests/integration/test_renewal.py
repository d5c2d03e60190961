"""Certificates are renewed over the tunnel while requests run: none fails, and every link ends up with the new one."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from agent import renewal
from agent.errors import Cause
from certs.certificates import serial_hex
from tests.support.aging import age_certificate, serial_in
from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

ECHO = "/jira/hq/rest/api/2/test/echo"


@pytest.fixture
async def jira():
    async with FakeJira() as jira:
        yield jira


@pytest.fixture
async def stack(tmp_path, monkeypatch):
    monkeypatch.setattr(renewal, "LOOK_SECONDS", 0.1)
    async with running_gateway(tmp_path) as stack:
        yield stack


def aged(stack, agent, days):
    gateway = stack.folder / "gateway"
    return age_certificate(agent.settings.state_dir, gateway, timedelta(days=days))


def serials(stack, agent):
    return sorted(serial_hex(link.certificate.serial) for link in stack.links_of(agent))


class Load:
    """GET and POST without a pause, each POST with a marker of its own."""

    def __init__(self, caller):
        self.caller = caller
        self.statuses = []
        self.markers = []

    async def _run(self, method):
        while True:
            marker = f"{method.lower()}-{len(self.statuses)}"
            self.markers.append((method, marker))
            answer = await self.caller.send(method, f"{ECHO}/{marker}", body=b"x" if method == "POST" else b"")
            self.statuses.append(answer.status)

    @asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as tasks:
            under_way = [tasks.create_task(self._run(method)) for method in ("GET", "POST") * 4]
            yield
            for task in under_way:
                task.cancel()


async def test_renewal_under_load_fails_no_request_and_moves_every_link(stack, jira):
    agent = await stack.enroll("hq", jira, links=3, start=False)
    old = aged(stack, agent, 5)
    await stack.connect("hq")
    load = Load(await stack.caller("hq"))
    await stack.start(agent)
    async with load.running():
        state = agent.settings.state_dir
        await until(lambda: serial_in(state) != old)
        new = serial_in(state)
        await until(lambda: serials(stack, agent) == [new] * 3 and len(load.statuses) > 300)
        await until(lambda: all(link.certificate.serial == int(new, 16) for link in stack.gateway.registry.links()))

    assert set(load.statuses) == {200}
    [row] = [row for row in await stack.stored.store.instances() if row.agent == "hq"]
    assert row.serial == new
    assert row.expires_at > datetime.now(UTC) + timedelta(days=6)
    page = agent.agent.board.page()
    assert page["renewal"]["renewed"] == 1
    assert page["certificate_expires_at"] > (datetime.now(UTC) + timedelta(days=6)).isoformat()
    assert page["warnings"] == []


async def test_a_long_answer_on_an_old_link_is_carried_to_its_end(stack, jira):
    agent = await stack.enroll("hq", jira, links=1, start=False)
    old = aged(stack, agent, 5)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    await stack.start(agent)
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(caller.send("GET", "/jira/hq/rest/api/2/test/sleep/1.5"))
        await jira.wait_for(lambda jira: jira.active == 1)
        await until(lambda: serials(stack, agent) and serials(stack, agent) != [old])
        assert not slow.done()
        assert (await caller.send("POST", ECHO, body=b"x")).status == 200

    assert slow.result().status == 200
    await until(lambda: len(list(stack.gateway.registry.links())) == 1)


async def test_both_serials_are_denied_with_their_instance(stack, jira):
    agent = await stack.enroll("hq", jira, links=2, start=False)
    old = aged(stack, agent, 5)
    other = await stack.enroll("hq", jira, links=1)
    await stack.connect("hq")
    await stack.start(agent)
    await until(lambda: serial_in(agent.settings.state_dir) != old)
    new = serial_in(agent.settings.state_dir)
    await until(lambda: serials(stack, agent) == [new] * 2)
    async with stack.stored.store.change("test", datetime.now(UTC)) as change:
        await change.revoke_instance("hq", agent.instance)
    await stack.apply()

    await until(lambda: not stack.links_of(agent))
    assert len(stack.links_of(other)) == 1
    for serial in (old, new):
        assert stack.gateway.directory.revoked("hq", agent.instance, serial)
    service = agent.agent.board.service
    await until(lambda: service.supervisor.trouble)
    assert {trouble.error.cause for trouble in service.supervisor.trouble.values()} == {Cause.CERTIFICATE_REJECTED}


async def test_an_instance_that_is_not_on_record_is_told_and_works_on(stack, jira):
    """Its certificate was issued by hand: as good as another, but only whoever issued it can renew it."""
    agent = await stack.enroll("hq", jira, links=1, start=False)
    gateway = stack.folder / "gateway"
    old = age_certificate(agent.settings.state_dir, gateway, timedelta(days=5), instance="by-hand")
    agent.instance = "by-hand"
    await stack.connect("hq")
    await stack.start(agent)
    board = agent.agent.board
    await until(lambda: board.page()["renewal"]["problem"])

    assert "not have it on record" in board.page()["renewal"]["problem"]
    assert any("not have it on record" in warning for warning in board.warnings())
    assert serial_in(agent.settings.state_dir) == old
    assert (await (await stack.caller("hq")).send("GET", ECHO)).status == 200
