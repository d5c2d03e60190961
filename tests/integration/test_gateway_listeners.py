"""The gateway's two doors as strangers find them: TLS, certificates, paths, pacing, limits. Real sockets."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from time import monotonic

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from agent.enroll import EnrollmentFailed
from certs.tls import agent_context, unverified_context
from gateway.app import Gateway
from gateway.tunnel_listener import OPENS_BURST
from runtime.configuration import ConfigurationError
from runtime.exits import CommandFailed
from tests.support.agent_identity import issue_agent, make_authority
from tests.support.caller import Caller
from tests.support.fake_jira import FakeJira, client_context, make_certificate
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until
from tunnel.link import SUBPROTOCOL


@pytest.fixture
async def stack(tmp_path):
    async with running_gateway(tmp_path) as stack:
        yield stack


def context_of(stack, agent=None):
    """Return a client's TLS: with an agent's certificate, or with none."""
    if agent is None:
        return agent_context(stack.stored.authority.pem)
    from agent.identity import read_identity

    return read_identity(agent.settings.state_dir).context()


async def dial(stack, path, context):
    url = f"wss://{stack.gateway.tunnel_address}{path}"
    return await connect(url, ssl=context, subprotocols=[SUBPROTOCOL], compression=None, proxy=None, open_timeout=5)


async def refused(stack, path, context):
    """Return status and headers of the answer that refuses a websocket."""
    with pytest.raises(InvalidStatus) as refusal:
        await dial(stack, path, context)
    return refusal.value.response.status_code, refusal.value.response


async def test_without_a_certificate_there_is_no_tunnel(stack):
    status, response = await refused(stack, "/tunnel/v1", context_of(stack))
    assert (status, response.body) == (HTTPStatus.FORBIDDEN, b"certificate_missing\n")


async def test_a_certificate_of_another_ca_does_not_get_through_tls(stack, tmp_path):
    from certs.keys import make_key, write_pair

    key = make_key()
    certificate, _ = issue_agent(key, authority=make_authority())
    (tmp_path / "foreign").mkdir(mode=0o700)
    pair = tmp_path / "foreign" / "pair.pem"
    write_pair(pair, key, certificate)
    context = unverified_context()
    context.load_cert_chain(pair)
    with pytest.raises((InvalidMessage, ssl.SSLError, ConnectionResetError, ConnectionClosed)):
        await dial(stack, "/tunnel/v1", context)
    assert not list(stack.gateway.registry.links())


async def test_the_tunnel_speaks_tls_13_only(stack):
    context = unverified_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await dial(stack, "/tunnel/v1", context)


@pytest.mark.parametrize("path", ["/", "/tunnel/v2", "/tunnel/v1/x", "/jira/hq/x"])
async def test_there_is_nothing_else_on_the_tunnels_port(stack, path):
    assert (await refused(stack, path, context_of(stack)))[0] == HTTPStatus.NOT_FOUND


async def test_opens_are_paced_and_told_when_to_come_back(stack, monkeypatch):
    monkeypatch.setattr("gateway.tunnel_listener.OPENS_PER_SECOND", 0.01)
    async with FakeJira() as jira:
        agent = await stack.enroll("hq", jira, start=False)
        for _ in range(int(OPENS_BURST) - 1):
            stack.gateway.tunnel._opens.take("", 0.01, monotonic())
        first = await dial(stack, "/tunnel/v1", context_of(stack, agent))
        status, response = await refused(stack, "/tunnel/v1", context_of(stack, agent))
        first.transport.abort()
        await first.wait_closed()

    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert 90 < int(response.headers["Retry-After"]) <= 101


async def test_one_agent_cannot_open_links_without_end(stack, monkeypatch):
    monkeypatch.setattr("gateway.tunnel_listener.MAX_LINKS", 1)
    async with FakeJira() as jira:
        agent = await stack.enroll("hq", jira, start=False)
        other = await stack.enroll("hq", jira, start=False)
        first = await dial(stack, "/tunnel/v1", context_of(stack, agent))
        await until(lambda: len(list(stack.gateway.registry.links("hq"))) == 1)
        status, response = await refused(stack, "/tunnel/v1", context_of(stack, agent))
        second = await dial(stack, "/tunnel/v1", context_of(stack, other))
        for websocket in (first, second):
            websocket.transport.abort()
            await websocket.wait_closed()

    assert (status, response.headers["Retry-After"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "60")


async def test_visitors_to_a_full_enrolment_desk_are_told_to_come_back(stack, monkeypatch):
    monkeypatch.setattr("gateway.enrollment.MAX_VISITS", 1)
    lingering = await dial(stack, "/enroll/v1", context_of(stack))
    await lingering.recv()

    status, response = await refused(stack, "/enroll/v1", context_of(stack))

    assert (status, response.headers["Retry-After"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "1")
    await lingering.close()
    await until(lambda: not stack.gateway.tunnel._desk.is_full)
    await (await dial(stack, "/enroll/v1", context_of(stack))).close()


async def test_a_stopping_gateway_takes_no_new_agents(stack):
    stack.gateway.tunnel.is_draining = True
    async with FakeJira() as jira:
        agent = await stack.enroll("hq", jira, start=False)
        status, response = await refused(stack, "/tunnel/v1", context_of(stack, agent))
    assert (status, response.headers["Retry-After"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "1")


async def test_an_agent_that_says_nothing_gets_no_requests_and_is_dropped(stack):
    async with FakeJira() as jira:
        agent = await stack.enroll("hq", jira, start=False)
        silent = await dial(stack, "/tunnel/v1", context_of(stack, agent))
        await until(lambda: list(stack.gateway.registry.links("hq")))
        assert stack.gateway.registry.pick("hq") is None
        silent.transport.abort()
        await silent.wait_closed()
        await until(lambda: not list(stack.gateway.registry.links("hq")))


async def test_nonsense_on_a_link_costs_the_link_and_nothing_else(stack):
    async with FakeJira() as jira:
        good = await stack.enroll("hq", jira, links=1)
        await stack.connect("hq")
        caller = await stack.caller("hq")
        bad = await stack.enroll("hq", jira, start=False)
        for message in (b"\xff" * 100, "text", b""):
            websocket = await dial(stack, "/tunnel/v1", context_of(stack, bad))
            await websocket.send(message)
            async with asyncio.timeout(10):
                await websocket.wait_closed()
        await until(lambda: len(list(stack.gateway.registry.links("hq"))) == 1)
        assert (await caller.send("GET", "/jira/hq/rest/api/2/myself")).status == 200
        assert len(stack.links_of(good)) == 1


async def test_a_code_is_good_for_one_agent_only(stack):
    from pydantic import SecretStr

    from agent.enroll import enroll
    from agent.routes import make_route
    from agent.settings import AgentSettings
    from certs.enrollment import parse_code
    from gateway.certificate_authority import invite

    by = ("test", datetime.now(UTC))
    tunnel = f"wss://{stack.gateway.tunnel_address}"
    made = await invite(stack.stored.store, stack.stored.authority, "hq", tunnel, ttl=timedelta(hours=1), by=by)
    assert isinstance(made.code, SecretStr)
    code = parse_code(made.code.get_secret_value())
    outcomes = []

    async def one(number):
        settings = AgentSettings(state_dir=stack.folder / f"racing-{number}")
        try:
            outcomes.append(await enroll(code, settings.state_dir, make_route(settings), "test"))
        except EnrollmentFailed as failure:
            outcomes.append(failure)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(one(number))
    assert sum(not isinstance(outcome, EnrollmentFailed) for outcome in outcomes) == 1


async def test_callers_may_use_tls(tmp_path):
    tls = make_certificate(tmp_path)
    tls.key.chmod(0o600)
    async with running_gateway(tmp_path, api_cert_file=tls.cert, api_key_file=tls.key) as stack:
        port = stack.port
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(tls.ca), server_hostname="localhost"
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("content", ["not a certificate", None])
async def test_a_certificate_that_cannot_be_used_refuses_the_start(tmp_path, content):
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError) as failure:
        async with running_gateway(tmp_path, api_cert_file=path, api_key_file=path):
            pass
    assert failure.value.variable == "JIRA_GATEWAY_API_CERT_FILE"


@pytest.mark.parametrize(
    ("setting", "variable"),
    [
        ("api_listen", "JIRA_GATEWAY_API_LISTEN"),
        ("tunnel_listen", "JIRA_GATEWAY_TUNNEL_LISTEN"),
        ("admin_listen", "JIRA_GATEWAY_ADMIN_LISTEN"),
    ],
)
# asyncio's create_server forgets its socket when it is cancelled in its last step, and the process ends here anyway.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
async def test_an_address_that_is_taken_ends_the_start_with_one_line(stack, tmp_path, setting, variable):
    settings = stack.gateway._settings.model_copy(update={setting: stack.gateway.tunnel_address})
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    second = Gateway(settings.model_copy(update={"state_dir": other}), stack.stored, stack.gateway.directory)
    with pytest.raises(CommandFailed) as failure:
        async with asyncio.timeout(10):
            await second.run()
    assert failure.value.variable == variable


async def test_one_socket_carries_many_requests(stack):
    async with FakeJira() as jira:
        await stack.enroll("hq", jira)
        await stack.connect("hq")
        caller = Caller(stack.port, await stack.token("hq"))
        head = caller.head("GET", "/jira/hq/rest/api/2/test/bytes/5") + b"\r\n"
        async with caller.connected(head * 3) as waiting:  # pipelined
            answers = [await waiting.answer() for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 3
        assert len({answer.header("X-Request-ID") for answer in answers}) == 3
