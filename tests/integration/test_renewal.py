"""Certificates are renewed over the tunnel while requests run: none fails, and every link ends up with the new one."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from agent import renewal
from agent.errors import Cause
from agent.identity import CA_FILE
from certs.ca_directory import CaDirectory
from certs.certificates import fingerprint, issuer_of, read_certificates, serial_hex
from certs.errors import AuthorityUnfit
from gateway import tunnel_listener
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
    monkeypatch.setattr(renewal, "SOON_SECONDS", 0.5)
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


def trusted(agent):
    return read_certificates((agent.settings.state_dir / CA_FILE).read_bytes())


def server_issuer(stack, bundle):
    return issuer_of(read_certificates((stack.folder / "gateway" / "server.pem").read_bytes())[0], bundle)


async def test_a_new_ca_takes_over_under_load_and_the_older_one_ends(stack, jira):
    agents = [await stack.enroll("hq", jira, links=2), await stack.enroll("branch", jira, links=1)]
    asleep = await stack.enroll("asleep", jira, links=1)
    await stack.connect("hq")
    load = Load(await stack.caller("hq"))
    ca = CaDirectory(stack.folder / "gateway" / "ca")
    old = ca.authority().certificate
    await asleep.kill()
    async with load.running():
        new = ca.rotate(datetime.now(UTC)).certificate
        await until(lambda: all(trusted(agent) == [new, old] for agent in agents), seconds=20)
        late = await stack.enroll("late", jira, links=1)  # its code pins the older CA
        assert trusted(late) == [new, old]
        await until(lambda: ca.rollover() is not None and len(ca.rollover().waiting) == 1, seconds=20)
        assert ca.rollover().waiting[0].who == f"asleep/{asleep.instance}"
        assert server_issuer(stack, [old]) is not None, "the tunnel shows the older CA while somebody knows only that"
        with pytest.raises(AuthorityUnfit, match="asleep"):
            ca.distrust(fingerprint(old), datetime.now(UTC))

        await stack.start(asleep)
        await until(lambda: server_issuer(stack, [new]) is not None, seconds=20)
        await until(lambda: ca.rollover().has_moved)
        again = await stack.enroll("again", jira, links=1)  # its code pins the new one
        everybody = [*agents, asleep, late, again]
        await until(lambda: not ca.needs(old, datetime.now(UTC)))
        ca.distrust(fingerprint(old), datetime.now(UTC))
        await until(lambda: all(trusted(agent) == [new] for agent in everybody), seconds=20)
        await until(lambda: all(len(stack.links_of(agent)) == agent.settings.links.minimum for agent in everybody))
        for link in stack.gateway.registry.links():
            link.link.abort()  # everybody dials anew, with what is trusted now
        before = len(load.statuses)
        await until(lambda: all(stack.links_of(agent) for agent in everybody), seconds=20)
        lost = load.statuses[before:]
        checked = load.statuses[:before]
        await until(lambda: len(load.statuses) > before + len(lost) + 50)

    assert len(checked) > 300
    assert set(checked) == {200}
    assert ca.rollover() is None


async def test_an_agent_whose_ca_was_distrusted_by_force_is_out_at_once_and_is_told_what_to_do(stack, jira):
    agent = await stack.enroll("hq", jira, links=1)
    ca = CaDirectory(stack.folder / "gateway" / "ca")
    old = ca.authority()
    renewal.SOON_SECONDS = 60.0  # it does not renew in time; the fixture puts it back
    ca.rotate(datetime.now(UTC))
    ca.distrust(old.fingerprint, datetime.now(UTC), force=True)
    await until(lambda: not list(stack.gateway.registry.links()), seconds=5)
    supervisor = agent.agent.board.service.supervisor
    await until(lambda: supervisor.trouble, seconds=10)

    [trouble] = supervisor.trouble.values()
    assert trouble.error.cause is Cause.GATEWAY_UNTRUSTED
    assert "enroll again" in str(trouble.error)


async def test_a_link_ends_with_its_certificate_though_nothing_else_has_changed(stack, jira, monkeypatch):
    await stack.enroll("hq", jira, links=1)
    tunnel, registry = stack.gateway.tunnel, stack.gateway.registry
    [first] = registry.links()
    await until(lambda: tunnel._expires_at == first.certificate.not_after)
    tunnel._expires_at = tunnel_listener._NEVER  # as before there was any link
    first.link.abort()
    await until(lambda: first not in list(registry.links()) and list(registry.links()))
    [link] = registry.links()
    end = link.certificate.not_after

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.moment

    monkeypatch.setattr(tunnel_listener, "datetime", Later)
    Later.moment = end - timedelta(seconds=1)
    await asyncio.sleep(1.5)  # longer than the gateway looks
    assert link in list(registry.links())
    Later.moment = end
    await until(lambda: link not in list(registry.links()), seconds=5)
