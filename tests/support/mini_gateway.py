"""The gateway's side of the tunnel, as small as a test of the agent needs it: real TLS, real websockets, real links.

    async with MiniGateway(tmp_path, authority) as gateway, running(agent_settings(...)):
        answer = await gateway.request("GET", "/rest/api/2/myself")

It refuses, drains, restarts and forgets on demand, and serves enrolment with whatever code it made. What an agent asks
(docs/protocol.md §11) is kept in `asked` and answered by `verdict`.
"""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from time import monotonic
from typing import Any

from websockets.asyncio.server import serve

from agent.addresses import GatewayAddress
from agent.app import Agent
from agent.identity import store_identity
from agent.settings import AgentSettings
from certs.enrollment import EnrollmentGrant, EnrollmentRequest, make_code, refusal, secret_hash, write_code
from certs.errors import RefusalReason
from certs.identity import AgentIdentity
from certs.keys import make_key
from certs.tls import ServerFiles, TunnelTls
from tests.support.agent_identity import issue_agent, write_server
from tunnel.budget import Budget
from tunnel.errors import LinkClosed
from tunnel.heads import NO_BODY, STREAMED, RequestHead, ResponseHead
from tunnel.link import SUBPROTOCOL, WEBSOCKET_OPTIONS, Link
from tunnel.session import Role, Session


@dataclass
class Exchange:
    """One request opened by the gateway, and everything that came of it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    meta: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    received: int = 0
    reset: tuple[Any, Any, str] | None = None
    consumes: bool = True
    keeps: bool = True
    stream: Any = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    writable: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def code(self):
        return self.reset and self.reset[0].name

    @property
    def progress(self):
        return self.reset and self.reset[1].name

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def on_response(self, head):
        self.status, self.headers, self.meta = head.status, head.headers, head.meta

    def on_data(self, data):
        self.received += len(data)
        if self.keeps:
            self.body += data
        if self.consumes:
            self.stream.consume(len(data))

    def on_end(self, trailers):
        self.done.set()

    def on_reset(self, code, progress, detail):
        self.reset = (code, progress, detail)
        self.done.set()
        self.writable.set()

    def on_writable(self):
        self.writable.set()

    async def send(self, chunks):
        """Send the body, as fast as the tunnel takes it."""
        for chunk in chunks:
            self.writable.clear()
            self.stream.send_data(chunk)
            if self.stream.is_choked:
                await self.writable.wait()
        self.stream.send_end()

    async def wait(self, seconds=10.0):
        async with asyncio.timeout(seconds):
            await self.done.wait()
        return self


@dataclass
class Asked:
    """One stream that the agent opened."""

    stream: Any
    head: RequestHead
    gateway: "MiniGateway"
    body: bytes = b""
    is_whole: bool = False
    answered: int | None = None
    reset: Any = None

    @property
    def hook(self):
        return self.head.target.rpartition(b"/")[2].decode()

    @property
    def event_id(self):
        return self.head.meta[b"event-id"]

    @property
    def is_gap(self):
        return self.head.target == b"/v1/gaps"

    def answer(self, status):
        self.answered = status
        self.stream.respond(ResponseHead(status, []), end=True)

    def on_data(self, data):
        self.body += data
        self.stream.consume(len(data))

    def on_end(self, trailers):
        self.is_whole = True
        status = self.gateway.verdict(self)
        if status is not None:
            self.answer(status)

    def on_reset(self, code, progress, detail):
        self.reset = code

    def on_writable(self):
        pass


class MiniGateway:
    """One listener for tunnels and enrolment on a loopback port that survives `restart`."""

    def __init__(self, directory, authority, *, host="127.0.0.1", server_authority=None):
        directory.mkdir(mode=0o700, exist_ok=True)
        pair, ca = write_server(directory, server_authority or authority, [host])
        if server_authority is not None:
            ca.write_bytes(authority.pem)
        self.authority = authority
        self.tls = TunnelTls(ServerFiles(pair, pair, ca), datetime.now(UTC))
        self.budget = Budget()
        self.host = host
        self.port = 0
        self.links: list[Link] = []
        self.news: list[dict[bytes, bytes]] = []
        self.refusal: tuple[HTTPStatus, str] | None = None
        self.visits: list[float] = []
        self.secret_hash = b""
        self.secrets_seen = 0
        self.hooks: tuple[str, ...] | None = None
        self.measures = False
        self.asked: list[Asked] = []
        self.verdict = lambda asked: 204  # None: no answer
        self._server = None

    @property
    def events(self):
        """What the agent asked about webhooks, whole, in order."""
        return [asked for asked in self.asked if asked.is_whole and not asked.is_gap]

    @property
    def gaps(self):
        return [asked for asked in self.asked if asked.is_whole and asked.is_gap]

    def use_hooks(self, *ids):
        """Announce these hooks now and on every new link."""
        self.hooks = ids
        for link in self.links:
            self._announce(link)

    def _announce(self, link):
        link.announce({b"hooks": b"".join(sha256(hook.encode()).digest() for hook in self.hooks)})

    def _accept(self, stream, head):
        self.asked.append(Asked(stream, head, self))
        return self.asked[-1]

    @property
    def address(self):
        return GatewayAddress(self.host, self.port)

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *exc):
        await self.stop()

    async def start(self):
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            ssl=self.tls.context,
            process_request=self._process_request,
            subprotocols=[SUBPROTOCOL],
            **WEBSOCKET_OPTIONS,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close(close_connections=False)
        for link in list(self.links):
            link.abort()
        async with asyncio.timeout(5):
            await self._server.wait_closed()

    def _process_request(self, websocket, request):
        self.visits.append(monotonic())
        if self.refusal is not None:
            return websocket.respond(*self.refusal)
        if request.path == "/probe/v1" and not self.measures:
            return websocket.respond(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        return None

    async def _serve(self, websocket):
        if websocket.request.path == "/enroll/v1":
            await self._enroll(websocket)
            return
        session = Session(Role.GATEWAY, budget=self.budget, clock=monotonic)
        link = Link(websocket, session, self._accept, on_settings=self.news.append)
        if self.hooks is not None:
            self._announce(link)
        self.links.append(link)
        with suppress(LinkClosed):
            await link.run()
        self.links.remove(link)

    async def _enroll(self, websocket):
        with suppress(Exception):
            await websocket.send(self.authority.pem)
            request = EnrollmentRequest.from_json(await websocket.recv())
            self.secrets_seen += 1
            if secret_hash(request.secret) != self.secret_hash:
                await websocket.send(refusal(RefusalReason.CODE_REJECTED))
                return
            from certs.ca import sign_agent
            from certs.certificates import to_pem

            certificate = sign_agent(self.authority, request.csr, AgentIdentity("site-a", "i9"), datetime.now(UTC))
            await websocket.send(EnrollmentGrant(to_pem([certificate]), self.authority.pem).to_json())

    def invite(self, fingerprint=None):
        """Return a one-time code for this gateway."""
        code = make_code(self.address.url, fingerprint or self.authority.fingerprint)
        self.secret_hash = secret_hash(code.secret)
        return code, write_code(code).get_secret_value()

    async def link(self, number=1, seconds=10.0):
        """Return the first usable link, once there are `number` of them."""
        async with asyncio.timeout(seconds):
            while len(usable := [link for link in self.links if link.is_usable]) < number:
                await asyncio.sleep(0.01)
        return usable[0]

    async def open(self, method, target, *, headers=(), body=NO_BODY, login="agent", timeout=5.0, **exchange):
        """Open a stream on a usable link."""
        link = await self.link()
        meta = {b"credentials": login.encode(), b"request-id": b"r-1", b"caller": b"ci"}
        head = RequestHead(method.encode(), target.encode(), list(headers), body, int(timeout * 1000), meta)
        receiver = Exchange(**exchange)
        receiver.stream = link.open_stream(head, receiver)
        return receiver

    async def request(self, method, target, *, body=None, streamed=False, **options):
        """Carry out one exchange and return it when it has ended."""
        size = NO_BODY if body is None else STREAMED if streamed else len(body)
        exchange = await self.open(method, target, body=size, **options)
        if body:
            await exchange.send([body[at : at + 65536] for at in range(0, len(body), 65536)])
        elif streamed:
            exchange.stream.send_end()
        return await exchange.wait()


def agent_settings(directory, gateway=None, jira=None, *, enroll=True, **options):
    """Return settings of an agent whose state directory is below `directory`, enrolled with the gateway's CA."""
    state = directory / "agent"
    if enroll:
        key = make_key()
        certificate, ca = issue_agent(key, authority=gateway.authority)
        store_identity(state, key, certificate, ca, gateway.address)
    values = {
        "state_dir": state,
        "jira_url": jira.url if jira else "http://127.0.0.1:1",
        "jira_token": "pat-10412-of-svc.bridge",
        "admin_listen": "127.0.0.1:0",
        "links": "1",
        "policy_profile": "full-rest",
        "drain_seconds": 1.0,
    }
    return AgentSettings(**{**values, **options})


@asynccontextmanager
async def running(settings, read_settings=None):
    """Run an agent in this process for as long as the block."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    agent = Agent(settings, read_settings or (lambda: settings))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run())
        try:
            yield agent
        finally:
            agent.stop()


async def until(condition, seconds=10.0):
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found
