"""Measuring a line, agent and gateway as they are: certificates, revocation, what is measured."""

import asyncio
import ssl
from datetime import UTC, datetime

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage

from agent.dialer import ProxyRoute
from agent.errors import Cause, DialError
from agent.identity import read_identity
from agent.line_probe import LineLost, visit_line
from certs.tls import agent_context, unverified_context
from gateway.line_desk import Bounds, LineDesk
from tests.integration.test_gateway_listeners import dial, refused
from tests.support.agent_identity import issue_agent, make_authority
from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import MiniGateway, agent_settings, until
from tunnel.probing import BALLAST_BYTES

DIRECT = ProxyRoute(lambda gateway: None)


@pytest.fixture
async def stack(tmp_path):
    async with running_gateway(tmp_path) as stack:
        stack.gateway.tunnel.line_desk = LineDesk("jira-gateway/t", Bounds(seconds=0.5, size=64 * BALLAST_BYTES))
        yield stack


@pytest.fixture
async def identity(stack):
    async with FakeJira() as jira:
        agent = await stack.enroll("hq", jira, start=False)
        yield read_identity(agent.settings.state_dir)


def visit(identity):
    return visit_line(identity.gateway, identity, DIRECT, "test")


async def test_a_line_is_measured_both_ways(stack, identity, monkeypatch):
    monkeypatch.setattr("agent.line_probe.MAX_BYTES", 64 * BALLAST_BYTES)
    async with visit(identity) as line:
        trips = await line.round_trips()
        down, up = await line.download(), await line.upload()

    assert line.welcome.software == "jira-gateway/t"
    assert abs(line.welcome.time / 1000 - datetime.now(UTC).timestamp()) < 60
    assert len(trips) == 5
    assert max(trips) < 5
    assert down.size == up.size == 64 * BALLAST_BYTES
    assert min(down.bits_per_second, up.bits_per_second) > 0
    await until(lambda: stack.gateway.tunnel.line_desk.bytes == 128 * BALLAST_BYTES)


async def test_without_a_certificate_nothing_is_measured(stack):
    context = agent_context(stack.stored.authority.pem)
    assert (await refused(stack, "/probe/v1", context))[0] == 403


async def test_a_foreign_certificate_is_refused(stack, tmp_path):
    from certs.keys import make_key, write_pair

    key = make_key()
    (tmp_path / "foreign").mkdir(mode=0o700)
    write_pair(tmp_path / "foreign" / "pair.pem", key, issue_agent(key, authority=make_authority())[0])
    context = unverified_context()
    context.load_cert_chain(tmp_path / "foreign" / "pair.pem")
    with pytest.raises((InvalidMessage, ssl.SSLError, ConnectionError, ConnectionClosed)):
        await dial(stack, "/probe/v1", context)
    assert stack.gateway.tunnel.line_desk.visits == 0


async def test_a_revoked_instance_is_refused_and_loses_a_visit_under_way(stack, identity):
    async with visit(identity) as line:
        async with stack.stored.store.change("test", datetime.now(UTC)) as change:
            await change.revoke_instance("hq", identity.instance)
        await stack.apply()
        with pytest.raises(LineLost):
            await line.round_trips()
    with pytest.raises(DialError) as caught:
        async with visit(identity):
            pass
    assert caught.value.cause is Cause.CERTIFICATE_REJECTED


async def test_a_second_visit_has_to_wait(stack, identity):
    async with visit(identity):
        with pytest.raises(DialError) as caught:
            async with visit(identity):
                pass
    assert (caught.value.cause, caught.value.status, caught.value.retry_after >= 1) == (Cause.GATEWAY_BUSY, 503, True)


async def test_a_stopping_gateway_measures_nothing(stack, identity):
    stack.gateway.tunnel.is_draining = True
    with pytest.raises(DialError) as caught:
        async with visit(identity):
            pass
    assert caught.value.cause is Cause.GATEWAY_BUSY


async def test_a_gateway_that_does_not_know_the_path_says_404(tmp_path):
    async with MiniGateway(tmp_path / "gateway", make_authority()) as gateway:
        settings = agent_settings(tmp_path, gateway)
        with pytest.raises(DialError) as caught:
            async with visit(read_identity(settings.state_dir)):
                pass
    assert caught.value.status == 404


async def test_something_else_that_answers_is_told_as_such(tmp_path):
    """The stand-in takes every path for the tunnel: its first message is a HELLO."""
    async with MiniGateway(tmp_path / "gateway", make_authority()) as gateway:
        gateway.measures = True
        settings = agent_settings(tmp_path, gateway)
        async with asyncio.timeout(10):
            with pytest.raises(LineLost):
                async with visit(read_identity(settings.state_dir)):
                    pass
