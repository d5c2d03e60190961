"""How the agent finds, keeps, replaces and gives up its links, over real TLS."""

import asyncio
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest

from agent import supervisor
from agent.app import Agent
from agent.errors import Cause
from agent.identity import IDENTITY_FILE, read_identity, store_identity
from agent.links import LinkCount
from certs.keys import make_key
from runtime.exits import CommandFailed
from tests.support.agent_identity import issue_agent, make_authority
from tests.support.fake_jira import FakeJira
from tests.support.mini_gateway import MiniGateway, agent_settings, running, until


@pytest.fixture(scope="module")
def authority():
    return make_authority()


@pytest.fixture
async def jira():
    async with FakeJira() as jira:
        yield jira


@pytest.fixture
async def gateway(tmp_path, authority):
    async with MiniGateway(tmp_path / "gateway", authority) as gateway:
        yield gateway


def troubles(agent):
    service = agent.board.service
    return [] if service is None else [trouble.error for trouble in service.supervisor.trouble.values()]


async def test_it_holds_the_least_number_of_links_and_is_ready(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira, links="3")) as agent:
        await gateway.link(3)
        await until(lambda: agent.board.ready() is None)

        page = agent.board.page()
        metrics = agent.metrics.page.render()

    assert page["status"] == "3 of 3 links up, Jira 9.12.5"
    assert (page["agent"], page["instance"]) == ("site-a", "i1")
    assert [link["gateway"] for link in page["links"]] == [gateway.address.url] * 3
    assert "jira_agent_links_up 3" in metrics


async def test_the_number_of_links_follows_what_the_line_deserves(tmp_path, gateway, jira, monkeypatch):
    wanted = 1
    monkeypatch.setattr(supervisor, "OBSERVE_SECONDS", 0.05)
    monkeypatch.setattr(LinkCount, "observe", lambda self, now, lines: self._set(wanted))
    monkeypatch.setattr(
        LinkCount, "_set", lambda self, number: setattr(self, "wanted", number) or number, raising=False
    )
    async with running(agent_settings(tmp_path, gateway, jira)) as agent:
        await gateway.link(1)
        exchange = await gateway.open("GET", "/rest/api/2/test/sleep/1")
        wanted = 4
        await gateway.link(4)
        busy = await gateway.open("GET", "/rest/api/2/test/sleep/1")
        wanted = 2
        await until(lambda: len(gateway.links) == 2)
        await exchange.wait()
        await busy.wait()

        assert agent.board.service.supervisor.up == 2
    assert (exchange.status, busy.status) == (200, 200)


async def test_it_comes_back_when_the_gateway_does(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira, links="2")) as agent:
        await gateway.link(2)
        await gateway.stop()
        await until(lambda: agent.board.ready() is not None)
        await gateway.start()
        await gateway.link(2, seconds=15)

        answer = await gateway.request("GET", "/rest/api/2/serverInfo")

    assert answer.status == 200


async def test_several_gateways_share_the_links(tmp_path, authority, gateway, jira):
    async with MiniGateway(tmp_path / "other", authority) as other:
        settings = agent_settings(tmp_path, gateway, jira, links="4", gateway_url=(gateway.address, other.address))
        async with running(settings):
            await gateway.link(2)
            await other.link(2)

            assert (len(gateway.links), len(other.links)) == (2, 2)


async def test_a_link_moves_to_the_other_gateway_when_its_own_is_gone(tmp_path, authority, gateway, jira):
    async with MiniGateway(tmp_path / "other", authority) as other:
        settings = agent_settings(tmp_path, gateway, jira, gateway_url=(gateway.address, other.address))
        async with running(settings):
            await gateway.link()
            await gateway.stop()
            await other.link(seconds=15)
        await gateway.start()


async def test_the_replacement_is_up_before_a_draining_link_goes(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira)):
        exchange = await gateway.open("GET", "/rest/api/2/test/sleep/3")
        [old] = gateway.links
        await jira.wait_for(lambda jira: jira.active == 1)
        old.go_away()
        new = await gateway.link()
        await exchange.wait()

        assert new is not old
        assert exchange.status == 200


async def test_a_spent_link_works_until_its_successor_does_and_finishes_its_streams(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira)) as agent:
        exchange = await gateway.open("GET", "/rest/api/2/test/sleep/2")
        await jira.wait_for(lambda jira: jira.active == 1)
        [old] = agent.board.service.supervisor.links
        [old_link] = gateway.links
        old.is_spent = True
        while not old_link.draining:
            assert old_link.is_usable
            await asyncio.sleep(0.001)
        usable = [link for link in gateway.links if link.is_usable]
        await exchange.wait()
        await until(lambda: len(gateway.links) == 1)

    assert len(usable) == 1, "the successor was up before the old link went"
    assert exchange.status == 200


async def test_links_that_show_an_older_certificate_are_replaced_one_after_the_other(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira, links="3")
    async with running(settings) as agent:
        await gateway.link(3)
        supervisor = agent.board.service.supervisor
        key = make_key()
        certificate, ca = issue_agent(key, authority=gateway.authority)
        store_identity(settings.state_dir, key, certificate, ca, gateway.address)
        serial = read_identity(settings.state_dir).certificate.serial
        supervisor.show(serial)
        most = 0
        while {live.identity.certificate.serial for live in supervisor.links} != {serial}:
            most = max(most, sum(link.is_usable for link in gateway.links))
            await asyncio.sleep(0.001)
        await until(lambda: len(gateway.links) == 3)

    assert most <= 4, "one at a time"
    assert supervisor.opened == 6


async def test_a_link_whose_successor_cannot_be_opened_stays(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira)) as agent:
        [old] = [await gateway.link()]
        gateway.refusal = (HTTPStatus.SERVICE_UNAVAILABLE, "try_later\n")
        agent.board.service.supervisor.links[0].is_spent = True
        await until(lambda: troubles(agent))
        answer = await gateway.request("GET", "/rest/api/2/serverInfo")
        gateway.refusal = None
        await until(lambda: gateway.links and old not in gateway.links, seconds=15)
        await until(lambda: not troubles(agent))

    assert answer.status == 200


async def test_a_stopping_agent_finishes_what_is_under_way_and_takes_nothing_new(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira, drain_seconds=5.0)
    agent = Agent(settings, lambda: settings)
    async with asyncio.TaskGroup() as tasks:
        ended = tasks.create_task(agent.run())
        exchange = await gateway.open("GET", "/rest/api/2/test/sleep/0.5")
        [link] = gateway.links
        await jira.wait_for(lambda jira: jira.active == 1)
        agent.stop()
        await until(lambda: link.draining)
        await exchange.wait()

    assert exchange.status == 200
    assert ended.exception() is None


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        ((HTTPStatus.FORBIDDEN, "certificate_revoked\n"), Cause.CERTIFICATE_REJECTED),
        ((HTTPStatus.NOT_FOUND, "nothing here\n"), Cause.NOT_A_GATEWAY),
    ],
)
async def test_a_refusal_that_needs_a_person_is_retried_slowly_and_told_loudly(tmp_path, gateway, jira, refusal, cause):
    gateway.refusal = refusal
    async with running(agent_settings(tmp_path, gateway, jira, links="4")) as agent:
        await until(lambda: troubles(agent))
        await asyncio.sleep(1.5)
        [error] = troubles(agent)
        headline = agent.board.headline()

    assert error.cause is cause
    assert len(gateway.visits) == 1
    assert str(refusal[0].value) in headline
    assert cause.action in headline


async def test_a_busy_gateway_is_asked_again(tmp_path, gateway, jira):
    gateway.refusal = (HTTPStatus.SERVICE_UNAVAILABLE, "try_later\n")
    async with running(agent_settings(tmp_path, gateway, jira)):
        await until(lambda: len(gateway.visits) >= 2)
        gateway.refusal = None
        await gateway.link(seconds=12)


async def test_a_new_enrolment_ends_the_slow_retry(tmp_path, gateway, jira):
    gateway.refusal = (HTTPStatus.FORBIDDEN, "certificate_revoked\n")
    settings = agent_settings(tmp_path, gateway, jira)
    async with running(settings) as agent:
        await until(lambda: troubles(agent))
        gateway.refusal = None
        key = make_key()
        certificate, ca = issue_agent(key, "site-a", "i2", authority=gateway.authority)
        store_identity(settings.state_dir, key, certificate, ca, gateway.address)
        await gateway.link(seconds=5)

        assert agent.board.page()["instance"] == "i2"


async def test_a_gateway_with_another_ca_is_not_trusted(tmp_path, authority, jira):
    stranger = make_authority()
    async with MiniGateway(tmp_path / "stranger", stranger) as gateway:
        gateway.authority = authority  # what the agent was enrolled with
        async with running(agent_settings(tmp_path, gateway, jira)) as agent:
            await until(lambda: troubles(agent))
            [error] = troubles(agent)

    assert error.cause is Cause.GATEWAY_UNTRUSTED
    assert gateway.visits == []


async def test_a_certificate_that_tls_rejects_is_recognised(tmp_path, authority, jira):
    async with MiniGateway(tmp_path / "gateway", authority) as gateway:
        settings = agent_settings(tmp_path, gateway, jira)
        key = make_key()
        certificate, _ = issue_agent(key, authority=make_authority())
        store_identity(settings.state_dir, key, certificate, authority.pem, gateway.address)
        async with running(settings) as agent:
            await until(lambda: [error for error in troubles(agent) if not error.cause.is_transient], seconds=20)
            [error] = troubles(agent)

    assert error.cause in {Cause.CERTIFICATE_PROBABLY_REJECTED, Cause.CERTIFICATE_REJECTED}
    assert gateway.visits == []


async def test_an_expired_certificate_is_not_even_tried(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira)
    key = make_key()
    past = datetime.now(UTC) - timedelta(days=30)
    certificate, ca = issue_agent(key, authority=gateway.authority, now=past)
    store_identity(settings.state_dir, key, certificate, ca, gateway.address)
    async with running(settings) as agent:
        await until(lambda: troubles(agent))
        [error] = troubles(agent)

    assert error.cause is Cause.CERTIFICATE_EXPIRED
    assert gateway.visits == []


async def test_a_key_that_others_can_read_refuses_the_start(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira)
    (settings.state_dir / IDENTITY_FILE).chmod(0o640)

    with pytest.raises(CommandFailed) as caught:
        await Agent(settings, lambda: settings).run()

    assert caught.value.status == 78
    assert "chmod 600" in caught.value.line


async def test_without_jiras_address_an_enrolled_agent_does_not_start(tmp_path, gateway):
    settings = agent_settings(tmp_path, gateway, jira_url=None)

    with pytest.raises(CommandFailed, match="JIRA_AGENT_JIRA_URL") as caught:
        Agent(settings, lambda: settings)

    assert caught.value.status == 78


async def test_a_reload_takes_the_new_policy_and_a_bad_file_keeps_the_old_one(tmp_path, gateway, jira):
    file = tmp_path / "policy.toml"
    file.write_text('profiles = ["read-only"]')
    settings = agent_settings(tmp_path, gateway, jira, policy_file=file)
    async with running(settings) as agent:
        first = await gateway.request("DELETE", "/rest/api/2/test/echo")
        file.write_text('profiles = ["full-rest"]')
        agent.reload()
        second = await gateway.request("DELETE", "/rest/api/2/test/echo")
        file.write_text("profiles = [")
        agent.reload()
        third = await gateway.request("DELETE", "/rest/api/2/test/echo")
        warnings = agent.board.warnings()
        metrics = agent.metrics.page.render()

    assert (first.code, second.status, third.status) == ("POLICY_DENIED", 200, 200)
    assert any("reload" in warning and "is no TOML" in warning for warning in warnings)
    assert "jira_agent_policy_reload_ok 0" in metrics
    assert "jira_agent_policy_denials_total 1" in metrics


async def test_jira_being_down_does_not_delay_the_links(tmp_path, gateway):
    async with running(agent_settings(tmp_path, gateway)) as agent:
        await gateway.link(seconds=3)
        await until(lambda: agent.board.ready() is None)

        assert "Jira does not answer" in agent.board.headline()
