"""Peers that speak version 1 and nothing newer (tests/support/pinned_peer.py), on both ends, on real sockets."""

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from agent.addresses import GatewayAddress
from agent.identity import read_identity, store_identity
from certs.keys import make_key
from certs.tls import ServerFiles, TunnelTls
from gateway.canary_watch import CanaryTimings
from tests.support.agent_identity import issue_agent, make_authority, write_server
from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import agent_settings, running, until
from tests.support.pinned_peer import SETTINGS, PinnedPeer
from tests.support.tunnel_pair import Recorder
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import RequestHead

SUBPROTOCOL = "jira-tunnel.v1"


@pytest.fixture
async def jira():
    async with FakeJira() as jira:
        yield jira


# As an agent, against our gateway


@asynccontextmanager
async def pinned_agent(stack, jira, **options):
    """A pinned agent on one link of our gateway, with an identity that our own agent has enrolled."""
    enrolled = await stack.enroll("hq", jira, start=False)
    await stack.connect("hq")
    context = read_identity(enrolled.settings.state_dir).context()
    url = f"wss://{stack.gateway.tunnel_address}/tunnel/v1"
    async with connect(url, ssl=context, subprotocols=[SUBPROTOCOL], compression=None, proxy=None) as websocket:
        peer = PinnedPeer(websocket, first_id=1, **options)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(until_closed(peer))
            await until(lambda: len(stack.links_of(enrolled)) == 1)
            yield peer
            serving.cancel()


async def until_closed(peer):
    with suppress(ConnectionClosed):
        await peer.run()


@pytest.fixture
async def stack(tmp_path):
    async with running_gateway(tmp_path) as stack:
        stack.gateway.tunnel.canaries.timings = CanaryTimings(interval=0.1, patience=3.0, tick=0.05)
        yield stack


async def test_our_gateway_is_served_by_an_agent_of_version_1(stack, jira):
    async with pinned_agent(stack, jira) as peer:
        caller = await stack.caller("hq")
        read = await caller.send("GET", "/jira/hq/rest/api/2/myself")
        written = await caller.send("POST", "/jira/hq/rest/api/2/issue", body=b"x" * 300_000)

        assert (read.status, read.body, read.header("X-Later")) == (200, b"0 bytes", "1")
        assert (written.status, written.body) == (200, b"300000 bytes")
        assert jira.requests == []
        asked = [exchange.fields for exchange in peer.streams.values() if b"credentials" in exchange.metas]
        assert asked == [[b"GET", b"/rest/api/2/myself"], [b"POST", b"/rest/api/2/issue"]]


async def test_an_agent_that_knows_no_canary_stays_in_use(stack, jira):
    async with pinned_agent(stack, jira) as peer:
        [link] = stack.gateway.registry.links()

        def refused():
            return [each for each in peer.streams.values() if b"canary" in each.metas]

        await until(lambda: len(refused()) >= 6)  # each is sent only when the one before has come back

        assert list(stack.gateway.registry.links()) == [link]
        assert link.canary.took is not None
        caller = await stack.caller("hq")
        assert (await caller.send("GET", "/jira/hq/rest/api/2/myself")).status == 200


async def test_what_our_gateway_announces_and_a_later_agent_says_disturbs_nobody(stack, jira):
    news = {b"context-path": b"/jira", b"jira-url": b"http://jira.corp/jira", b"x" * 3000: b"y" * 3000}
    async with pinned_agent(stack, jira, settings=news) as peer:
        [link] = stack.gateway.registry.links()
        link.link.announce({b"setting-of-a-later-version": b"1", b"hooks": b""})
        await until(lambda: len(peer.settings) >= 2)

        assert link.settings == {b"context-path": b"/jira", b"jira-url": b"http://jira.corp/jira"}


async def test_a_later_agents_codes_are_read_carefully(stack, jira):
    async with pinned_agent(stack, jira) as peer:
        caller = await stack.caller("hq")
        peer.answer = lambda exchange: 7  # a code and a progress that nobody knows

        answer = await caller.send("POST", "/jira/hq/rest/api/2/issue", body=b"x")

        assert (answer.status, answer.outcome[1], answer.outcome[3]) == (500, "internal", "unknown")
        assert len(list(stack.gateway.registry.links())) == 1


async def test_a_later_agents_questions_are_answered(stack, jira):
    async with pinned_agent(stack, jira) as peer:
        unknown = await peer.open(b"POST", b"/v9/of-a-later-version", b"{}")
        odd = await peer.open(b"GET", b"/")

        for exchange in (unknown, odd):
            assert exchange.status >= 400 or exchange.reset is not None
        assert len(list(stack.gateway.registry.links())) == 1


async def test_an_agent_of_version_1_leaves_in_good_order(stack, jira):
    async with pinned_agent(stack, jira) as peer:
        [link] = stack.gateway.registry.links()
        await peer.go_away()
        await until(lambda: not link.link.is_usable)
        caller = await stack.caller("hq")

        answer = await caller.send("GET", "/jira/hq/rest/api/2/myself")

        assert (answer.status, answer.outcome[1], answer.outcome[3]) == (503, "agent_offline", "no")


# As a gateway, against our agent


class PinnedGateway:
    """A listener whose links are pinned peers; it knows nothing but the tunnel."""

    def __init__(self, directory):
        directory.mkdir(mode=0o700)
        self.authority = make_authority()
        pair, ca = write_server(directory, self.authority, ["127.0.0.1"])
        self._tls = TunnelTls(ServerFiles(pair, pair, ca), datetime.now(UTC))
        self.peers = []
        self.port = 0

    @property
    def address(self):
        return GatewayAddress("127.0.0.1", self.port)

    async def _serve(self, websocket):
        peer = PinnedPeer(websocket, first_id=2)
        self.peers.append(peer)
        await until_closed(peer)
        self.peers.remove(peer)

    @asynccontextmanager
    async def listening(self):
        async with serve(
            self._serve, "127.0.0.1", 0, ssl=self._tls.context, subprotocols=[SUBPROTOCOL], compression=None
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self


@pytest.fixture
async def gateway(tmp_path):
    async with PinnedGateway(tmp_path / "gateway").listening() as gateway:
        yield gateway


async def greeted(gateway):
    """The pinned end of our agent's link, once our agent has said everything that it says first."""
    await until(lambda: gateway.peers and SETTINGS in gateway.peers[0].kinds)
    return gateway.peers[0]


async def test_our_agent_serves_a_gateway_of_version_1(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira)) as agent:
        peer = await greeted(gateway)
        read = await peer.open(b"GET", b"/rest/api/2/test/echo", credentials=b"agent", caller=b"ci")
        body = b"y" * 60_000
        written = await peer.open(b"POST", b"/rest/api/2/test/echo", body, credentials=b"agent", caller=b"ci")

        assert (read.status, written.status) == (200, 200)
        assert [len(request.body) for request in jira.requests if request.method == "POST"] == [60_000]
        assert b"mood-of-a-later-version" not in b"".join(name for r in jira.requests for name, _ in r.headers)
        assert agent.board.ready() is None
        assert len(gateway.peers) == 1


async def test_our_agent_refuses_a_later_gateways_questions_and_goes_on(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira)):
        peer = await greeted(gateway)
        later = await peer.open(b"POST", b"/v9/of-a-later-version", b"{}")
        stranger = await peer.open(b"GET", b"/rest/api/2/myself", credentials=b"of-a-later-version")
        canary = await peer.open(b"HEAD", b"/v1/canary", canary=b"and more")
        fine = await peer.open(b"GET", b"/rest/api/2/test/echo", credentials=b"agent")

        assert [later.reset, stranger.reset] == [(20, 0), (20, 0)]
        assert canary.status == 204
        assert fine.status == 200
        assert [request.target for request in jira.requests if b"/v9/" in request.target] == []


async def test_our_agent_needs_nothing_that_version_1_does_not_have(tmp_path, gateway, jira):
    """No canary comes, and whatever the agent asks is refused: its links stay, and it answers PING."""
    async with running(agent_settings(tmp_path, gateway, jira)) as agent:
        peer = await greeted(gateway)
        [live] = agent.board.service.supervisor.links
        heard = Recorder()
        live.link.open_stream(RequestHead(b"POST", b"/v9/of-a-later-version", []), heard)
        await until(lambda: heard.calls)
        await peer.ping()
        answer = await peer.open(b"GET", b"/rest/api/2/test/echo", credentials=b"agent")

        assert heard.calls[0][:3] == ("reset", ErrorCode.BAD_REQUEST, Progress.NOT_SENT)
        assert answer.status == 200
        assert agent.board.service.supervisor.links == [live]
        assert live.link.is_usable


async def test_a_gateway_that_knows_no_renewal_leaves_our_agent_at_work(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira)
    key, past = make_key(), datetime.now(UTC) - timedelta(days=5)
    certificate, ca = issue_agent(key, authority=gateway.authority, now=past)
    store_identity(settings.state_dir, key, certificate, ca, gateway.address)
    async with running(settings) as agent:
        peer = await greeted(gateway)
        await until(lambda: any(each.fields == [b"POST", b"/v1/renew"] for each in peer.streams.values()))
        renewal = agent.board.service.renewal
        await until(lambda: renewal.failed)
        answer = await peer.open(b"GET", b"/rest/api/2/test/echo", credentials=b"agent")

        assert answer.status == 200
        assert renewal.problem is not None
        assert gateway.peers == [peer]


async def test_our_agent_replaces_a_link_when_a_gateway_of_version_1_drains(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira)):
        first = await greeted(gateway)
        await first.go_away()
        await until(lambda: any(peer is not first for peer in gateway.peers))
        second = next(peer for peer in gateway.peers if peer is not first)
        await until(lambda: SETTINGS in second.kinds)

        answer = await second.open(b"GET", b"/rest/api/2/test/echo", credentials=b"agent")

        assert answer.status == 200
