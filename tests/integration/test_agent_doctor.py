"""The doctor against real sockets: gateway, Jira, listener, middleboxes, and what it does not do."""

import asyncio
import socket
from contextlib import aclosing

import pytest
from pydantic import SecretStr

from agent.addresses import GatewayAddress
from agent.doctor.check import Circumstances
from agent.doctor.examination import ALL, examine
from gateway.line_desk import Bounds, LineDesk
from tests.support.agent_identity import make_authority
from tests.support.fake_jira import FakeJira, make_certificate, server_context
from tests.support.in_process import running_gateway
from tests.support.interceptor import Interceptor
from tests.support.mini_gateway import MiniGateway, agent_settings
from tests.support.ports import free_port
from tunnel.probing import BALLAST_BYTES

RIGHT = {"jira_username": "svc.bridge", "jira_password": "password-of-svc.bridge"}


async def examined(settings, running=None, *, quick=False):
    """Return every check by its name."""
    circumstances = Circumstances(settings, running, lambda _: None, quick)
    async with asyncio.timeout(60), aclosing(examine(circumstances)) as rows:
        return {row.check: row async for row in rows}


def results(checks):
    return {name: row.result for name, row in checks.items()}


@pytest.fixture
async def jira():
    async with FakeJira(context="/jira") as jira:
        yield jira


@pytest.fixture
async def gateway(tmp_path):
    async with MiniGateway(tmp_path / "gateway", make_authority()) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def test_where_all_is_well_everything_passes_and_jira_is_logged_in_to_once(tmp_path, jira, monkeypatch):
    monkeypatch.setattr("agent.line_probe.MAX_BYTES", 64 * BALLAST_BYTES)
    async with running_gateway(tmp_path) as stack:
        stack.gateway.tunnel.line_desk = LineDesk("jira-gateway/t", Bounds(size=64 * BALLAST_BYTES))
        agent = await stack.enroll("hq", jira, start=False, jira_token=None, **RIGHT)
        checks = await examined(agent.settings)

    assert set(checks) == set(ALL)
    assert results(checks) == {
        **dict.fromkeys(ALL, "pass"),
        "proxy": "skip", "jira-tls": "skip", "webhook-permission": "skip", "webhook-loop": "skip",
    }  # fmt: skip
    logins = [request for request in jira.requests if request.header("Authorization") and b"myself" in request.target]
    assert len(logins) == 1


async def test_a_wrong_password_is_tried_once(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira, jira_token=None, jira_username="svc.bridge", jira_password="no")
    checks = await examined(settings)
    assert (checks["login"].result, checks["webhook-permission"].result) == ("fail", "skip")
    assert sum(request.header("Authorization") is not None for request in jira.requests) == 1


@pytest.mark.parametrize("carries", [True, False])
async def test_intercepted_tls_is_named_by_its_issuer_enrolled_or_not(tmp_path, gateway, jira, carries):
    foreign = make_authority()
    async with Interceptor(tmp_path / "box", foreign, gateway.port, carries=carries) as box:
        there = (GatewayAddress("127.0.0.1", box.port),)
        for enroll in (True, False):
            settings = agent_settings(tmp_path / str(enroll), gateway, jira, enroll=enroll, gateway_url=there)
            checks = await examined(settings, quick=True)
            assert checks["connect"].result == "pass"
            assert checks["tls"].result == "fail"
            assert foreign.certificate.subject.rfc4514_string() in checks["tls"].detail
            assert checks["clock"].result == checks["websocket"].result == "skip"
    assert b"Authorization" not in box.seen


async def test_before_enrolment_the_code_tells_which_gateway_is_right(tmp_path, gateway, jira):
    _, code = gateway.invite()
    settings = agent_settings(tmp_path, gateway, jira, enroll=False, enroll_code=code)
    assert (await examined(settings, quick=True))["tls"].result == "pass"
    _, code = gateway.invite(make_authority().fingerprint)
    settings = agent_settings(tmp_path, gateway, jira, enroll=False, enroll_code=code)
    found = (await examined(settings, quick=True))["tls"]
    assert (found.result, "another CA" in found.detail) == ("fail", True)


async def test_a_gateway_that_cannot_measure_is_no_failure(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira)
    checks = await examined(settings, quick=True)
    assert (checks["tls"].result, checks["websocket"].result, checks["upload"].result) == ("pass", "skip", "skip")


@pytest.fixture
def hasty(monkeypatch):
    """What never answers is not waited for as long as in earnest."""
    monkeypatch.setattr("agent.sighting.LOOK_SECONDS", 1.0)
    monkeypatch.setattr("agent.doctor.jira_desk.SHAKE_SECONDS", 1.0)


async def test_what_speaks_no_tls_and_what_does_not_listen_are_told_apart(tmp_path, gateway, jira, hasty):
    plain = (GatewayAddress("127.0.0.1", jira.port),)
    checks = await examined(agent_settings(tmp_path, gateway, jira, gateway_url=plain), quick=True)
    assert (checks["connect"].result, checks["tls"].result) == ("pass", "fail")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = (GatewayAddress("127.0.0.1", closed.getsockname()[1]),)
        checks = await examined(agent_settings(tmp_path, gateway, jira, gateway_url=nobody), quick=True)
    assert (checks["connect"].result, "refused" in checks["connect"].detail) == ("fail", True)
    assert checks["tls"].result == "skip"


async def test_every_gateway_has_checks_of_its_own(tmp_path, gateway, jira, hasty):
    two = (gateway.address, GatewayAddress("127.0.0.1", jira.port))
    checks = await examined(agent_settings(tmp_path, gateway, jira, gateway_url=two), quick=True)
    assert checks[f"tls 127.0.0.1:{gateway.port}"].result == "pass"
    assert checks[f"tls 127.0.0.1:{jira.port}"].result == "fail"


async def test_jiras_unknown_ca_is_named_and_its_file_mends_it(tmp_path, gateway):
    files = make_certificate(tmp_path)
    async with FakeJira(context="/jira", tls=server_context(files.cert, files.key)) as jira:
        found = (await examined(agent_settings(tmp_path, gateway, jira), quick=True))["jira-tls"]
        assert (found.result, "CN=localhost" in found.detail) == ("fail", True)
        assert "JIRA_AGENT_JIRA_CA_FILE" in found.action
        checks = await examined(agent_settings(tmp_path, gateway, jira, jira_ca_file=files.ca), quick=True)
        assert (checks["jira-tls"].result, checks["jira"].result) == ("pass", "pass")
        plain = jira.url.replace("https://", "http://")
        assert (await examined(agent_settings(tmp_path, gateway, jira_url=plain), quick=True))["jira"].result == "fail"


async def test_plain_http_on_a_port_called_https_is_recognised(tmp_path, gateway, jira, hasty):
    url = jira.url.replace("http://", "https://")
    found = (await examined(agent_settings(tmp_path, gateway, jira_url=url), quick=True))["jira-tls"]
    assert (found.result, "does not speak TLS" in found.detail) == ("fail", True)


@pytest.mark.parametrize("wrong", ["", "/wrong", "/jira/secure"])
async def test_a_wrong_context_path_is_recognised_and_the_right_one_suggested(tmp_path, gateway, jira, wrong):
    settings = agent_settings(tmp_path, gateway, jira_url=jira.url.replace("/jira", wrong))
    found = (await examined(settings, quick=True))["jira"]
    assert (found.result, found.action) == ("fail", f"set JIRA_AGENT_JIRA_URL={jira.url}")


async def test_a_jira_that_starts_or_is_not_there_is_told(tmp_path, gateway, jira):
    jira.state = "STARTING"
    found = (await examined(agent_settings(tmp_path, gateway, jira), quick=True))["jira"]
    assert (found.result, "is starting" in found.detail) == ("fail", True)
    found = await examined(agent_settings(tmp_path, gateway, jira_url="http://127.0.0.1:1/jira"), quick=True)
    assert (found["jira-address"].result, found["jira"].result) == ("fail", "skip")
    found = await examined(agent_settings(tmp_path, gateway, jira_url=None), quick=True)
    assert found["jira-address"].detail == "JIRA_AGENT_JIRA_URL is not set"


@pytest.mark.parametrize("with_tls", [False, True])
async def test_without_a_running_agent_the_loop_is_closed_by_the_doctor_itself(tmp_path, gateway, jira, with_tls):
    port, listener = free_port(), {}
    if with_tls:
        files = make_certificate(tmp_path)
        listener = {"webhook_cert_file": files.cert, "webhook_key_file": files.key}
    listener["webhook_listen"] = f"127.0.0.1:{port}"
    checks = await examined(agent_settings(tmp_path, gateway, jira, **RIGHT, jira_token=None, **listener))
    assert checks["webhook-loop"].result == "pass", checks["webhook-loop"]

    elsewhere = f"http://127.0.0.1:{jira.port}"
    settings = agent_settings(tmp_path, gateway, jira, **RIGHT, jira_token=None, **listener, webhook_url=elsewhere)
    checks = await examined(settings)
    assert checks["webhook-loop"].result == "fail"
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))  # nothing of the doctor's listens any more


async def test_a_certificate_of_the_listener_for_another_name_is_told(tmp_path, gateway, jira):
    files = make_certificate(tmp_path, ("other.example",))
    listener = {"webhook_cert_file": files.cert, "webhook_key_file": files.key}
    settings = agent_settings(
        tmp_path, gateway, jira, **RIGHT, jira_token=None, **listener, webhook_listen=f"127.0.0.1:{free_port()}"
    )
    found = (await examined(settings))["webhook-loop"]
    assert (found.result, "certificate" in found.detail.lower()) == ("fail", True)


async def test_a_proxys_refusal_is_the_proxys_and_keeps_its_password(tmp_path, gateway, jira):
    from tests.integration.test_agent_proxy import Proxy

    async with Proxy().running() as proxy:
        url = SecretStr(f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        checks = await examined(agent_settings(tmp_path, gateway, jira, proxy_url=url), quick=True)
        assert (checks["proxy"].result, checks["connect"].result, checks["tls"].result) == ("pass", "pass", "pass")
        for status, words in ((407, "user:password@"), (403, "allow CONNECT"), (503, "proxy itself")):
            proxy.status = status
            checks = await examined(agent_settings(tmp_path, gateway, jira, proxy_url=url), quick=True)
            found = checks["proxy"]
            assert (found.result, f"answered {status}" in found.detail, words in found.action) == ("fail", True, True)
            assert "p@ss" not in str(checks)
            assert checks["connect"].result == "skip"


async def test_an_https_proxy_of_an_unknown_ca_is_named_by_its_issuer(tmp_path, gateway, jira):
    from tests.integration.test_agent_proxy import Proxy

    files = make_certificate(tmp_path)
    async with Proxy(server_context(files.cert, files.key)).running() as proxy:
        url = SecretStr(f"https://user:p%40ss@127.0.0.1:{proxy.port}")
        found = (await examined(agent_settings(tmp_path, gateway, jira, proxy_url=url), quick=True))["proxy"]
        assert (found.result, "issued by CN=localhost" in found.detail) == ("fail", True)
        assert "JIRA_AGENT_PROXY_CA_FILE" in found.action
        settings = agent_settings(tmp_path, gateway, jira, proxy_url=url, proxy_ca_file=files.ca)
        assert (await examined(settings, quick=True))["tls"].result == "pass"
