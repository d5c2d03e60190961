"""Enrolment against a real listener: who is trusted when, what is sent, what is stored, and how refusals read."""

import asyncio

import pytest

from agent.dialer import ProxyRoute
from agent.enroll import EnrollmentFailed, enroll
from agent.identity import is_enrolled, read_identity
from agent.status import WAITING
from tests.support.agent_identity import make_authority
from tests.support.fake_jira import FakeJira
from tests.support.mini_gateway import MiniGateway, agent_settings, running, until

DIRECT = ProxyRoute(lambda gateway: None)


@pytest.fixture(scope="module")
def authority():
    return make_authority()


@pytest.fixture
async def gateway(tmp_path, authority):
    async with MiniGateway(tmp_path / "gateway", authority) as gateway:
        yield gateway


async def test_a_code_becomes_an_identity(tmp_path, gateway):
    code, _ = gateway.invite()
    state = tmp_path / "state"

    granted = await enroll(code, state, DIRECT, "jira-agent/1")

    assert str(granted.identity) == "site-a/i9"
    assert read_identity(state).gateway == gateway.address
    assert {file.name: file.stat().st_mode & 0o777 for file in state.iterdir()} == {
        "agent.pem": 0o600, "gateway-ca.pem": 0o644, "gateway.url": 0o644, "enrolled-code.sha256": 0o644,
    }  # fmt: skip


async def test_a_waiting_agent_starts_when_it_is_enrolled(tmp_path, gateway):
    async with FakeJira() as jira:
        settings = agent_settings(tmp_path, gateway, jira, enroll=False)
        async with running(settings) as agent:
            await asyncio.sleep(0.1)
            assert (agent.board.headline(), agent.board.ready()) == (WAITING, WAITING)

            code, _ = gateway.invite()
            await enroll(code, settings.state_dir, DIRECT, "jira-agent/1")
            await gateway.link(seconds=5)
            await until(lambda: agent.board.ready() is None)


async def test_a_used_code_is_refused_and_an_earlier_identity_stays(tmp_path, gateway):
    state = tmp_path / "state"
    code, _ = gateway.invite()
    await enroll(code, state, DIRECT, "jira-agent/1")
    before = (state / "agent.pem").read_bytes()
    gateway.secret_hash = b""

    with pytest.raises(EnrollmentFailed, match="used, expired") as caught:
        await enroll(code, state, DIRECT, "jira-agent/1")

    assert caught.value.status == 1
    assert (state / "agent.pem").read_bytes() == before


async def test_a_gateway_with_another_ca_gets_no_secret(tmp_path, gateway):
    code, _ = gateway.invite(make_authority().fingerprint)

    with pytest.raises(EnrollmentFailed, match="another CA") as caught:
        await enroll(code, tmp_path / "state", DIRECT, "jira-agent/1")

    assert "jira-tunnel CA" in caught.value.line
    assert gateway.secrets_seen == 0
    assert not is_enrolled(tmp_path / "state")


async def test_intercepted_tls_is_named_by_its_issuer_and_gets_no_secret(tmp_path, authority):
    interceptor = make_authority()
    async with MiniGateway(tmp_path / "gateway", authority, server_authority=interceptor) as gateway:
        code, _ = gateway.invite()

        with pytest.raises(EnrollmentFailed, match="intercepted") as caught:
            await enroll(code, tmp_path / "state", DIRECT, "jira-agent/1")

    assert interceptor.certificate.subject.rfc4514_string() in caught.value.line
    assert gateway.secrets_seen == 0


async def test_a_gateway_that_is_not_there_is_status_69(tmp_path, gateway):
    code, _ = gateway.invite()
    await gateway.stop()

    with pytest.raises(EnrollmentFailed, match="check that the gateway runs") as caught:
        await enroll(code, tmp_path / "state", DIRECT, "jira-agent/1")

    assert caught.value.status == 69
    await gateway.start()
