"""The real gateway and real agents in one event loop on ports of the system's choice, for tests that look inside.

    async with running_gateway(folder) as stack:
        await stack.enroll("hq", jira)
        caller = await stack.caller("hq")
        answer = await caller.send("GET", "/jira/hq/rest/api/2/myself")

Everything is as in production (TLS, enrolment, store, sockets) but for the processes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretBytes

from agent.app import Agent
from agent.enroll import enroll
from agent.routes import make_route
from agent.settings import AgentSettings
from certs.enrollment import parse_code
from gateway.app import Gateway, Stored
from gateway.certificate_authority import CertificateAuthority, invite
from gateway.directory import read_directory, secret_place
from gateway.sealing import load_secret_key
from gateway.settings import GatewaySettings
from gateway.store import Connection, Credentials, Token, open_store
from gateway.store.event_store import open_event_store
from gateway.tokens import hash_token, make_token
from runtime.address import Address
from tests.support.caller import Caller
from tests.support.fake_jira import FakeJira
from tests.support.mini_gateway import until


class WatchedGateway(Gateway):
    """A gateway that tells where it listens."""

    tunnel_address: Address | None = None

    def _tunnel_started(self, bound: Address) -> None:
        super()._tunnel_started(bound)
        self.tunnel_address = bound

    @property
    def api_port(self) -> int:
        """The port of the callers' listener."""
        assert self.api.socket.address is not None
        return self.api.socket.address.port


class RunningAgent:
    """One agent process's worth of agent, as a task."""

    def __init__(self, settings: AgentSettings, instance: str) -> None:
        self.settings = settings
        self.instance = instance
        self.agent: Agent | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run it (again)."""
        agent = self.agent = Agent(self.settings, lambda: self.settings)
        self.task = tasks.create_task(agent.run())

    async def kill(self) -> None:
        """End it without a word, as SIGKILL does: its sockets are gone, nothing was drained."""
        assert self.task is not None
        service = self.agent.board.service if self.agent is not None else None
        for live in service.supervisor.links if service is not None else ():
            live.link._websocket.transport.abort()  # before anything can say goodbye
        self.task.cancel()
        await asyncio.wait([self.task])

    async def stop(self) -> None:
        """End it in good order."""
        assert self.agent is not None
        assert self.task is not None
        self.agent.stop()
        await asyncio.wait([self.task])


class InProcess:
    """One gateway and its agents. `stored` is the gateway's store, key and CA."""

    def __init__(self, gateway: WatchedGateway, stored: Stored, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.gateway = gateway
        self.stored = stored
        self.folder = folder
        self.agents: list[RunningAgent] = []
        self._tasks = tasks
        self._count = 0

    @property
    def port(self) -> int:
        """Where callers go."""
        return self.gateway.api_port

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"http://127.0.0.1:{self.port}"

    async def enroll(self, name: str, jira: FakeJira, *, links: int = 2, start: bool = True, **options: Any):
        """Invite, enroll and start one more instance of an agent, and wait for its links."""
        self._count += 1
        stored, now = self.stored, datetime.now(UTC)
        by = ("test", now)
        tunnel = f"wss://{self.gateway.tunnel_address}"
        made = await invite(stored.store, stored.authority, name, tunnel, ttl=timedelta(hours=1), by=by)
        values = {
            "state_dir": self.folder / f"agent-{self._count}",
            "jira_url": jira.url,
            "jira_token": "pat-10412-of-svc.bridge",
            "admin_listen": "127.0.0.1:0",
            "links": str(links),
            "policy_profile": "full-rest",
            "drain_seconds": 1.0,
        }
        settings = AgentSettings(**{**values, **options})
        certificate = await enroll(
            parse_code(made.code.get_secret_value()), settings.state_dir, make_route(settings), "test"
        )
        await self.apply()
        agent = RunningAgent(settings, certificate.identity.instance)
        self.agents.append(agent)
        if start:
            await self.start(agent)
        return agent

    async def start(self, agent: RunningAgent) -> None:
        """Start an enrolled agent and wait for its links."""
        agent.start(self._tasks)
        wanted = agent.settings.links.minimum
        await until(lambda: len(self.links_of(agent)) == wanted)

    def links_of(self, agent: RunningAgent):
        """Return the usable links of an agent."""
        links = self.gateway.registry.links()
        return [link for link in links if link.identity.instance == agent.instance and link.link.is_usable]

    async def connect(self, name: str, via: str | None = None, credentials: str = "agent", **fields: Any) -> None:
        """Add a connection; `secret` is what is sealed for credentials `gateway`."""
        secret = fields.pop("secret", None)
        if secret is not None:
            fields["sealed_secret"] = self.stored.key.seal(SecretBytes(secret.encode()), secret_place(name))
        row = Connection(name, via or name, Credentials(credentials), **fields)
        async with self.stored.store.change("test", datetime.now(UTC)) as change:
            await change.add_connection(row)
        await self.apply()

    async def token(self, *connections: str, name: str | None = None, **fields: Any) -> str:
        """Make a token for these connections."""
        self._count += 1
        secret = make_token().get_secret_value()
        row = Token(
            name or f"token-{self._count}",
            hash_token(secret.encode()),
            datetime.now(UTC),
            frozenset(connections),
            **fields,
        )
        async with self.stored.store.change("test", datetime.now(UTC)) as change:
            await change.add_token(row)
        await self.apply()
        return secret

    async def caller(self, *connections: str, host: str = "", **fields: Any) -> Caller:
        """Return a caller with a new token for these connections."""
        return Caller(self.port, await self.token(*connections, **fields), host)

    async def apply(self) -> None:
        """Let the gateway see changes at once, as its watcher does within half a second."""
        self.gateway._use(await read_directory(self.stored.store, self.stored.key))


@asynccontextmanager
async def running_gateway(folder: Path, **options: Any) -> AsyncIterator[InProcess]:
    """Run a gateway, and the agents that are enrolled meanwhile, for as long as the block."""
    values = {
        "state_dir": folder / "gateway",
        "api_listen": "127.0.0.1:0",
        "tunnel_listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "drain_seconds": 1.0,
    }
    settings = GatewaySettings(**{**values, **options})
    settings.state_dir.mkdir(mode=0o700)
    now = datetime.now(UTC)
    key = load_secret_key(settings.state_dir, None)
    path = settings.state_dir / "gateway.db"
    async with open_store(path, key, now) as store, open_event_store(path) as events:
        authority = CertificateAuthority(settings.state_dir)
        authority.create_if_absent(now)
        stored = Stored(store, events, key, authority)
        gateway = WatchedGateway(settings, stored, await read_directory(store, key))
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(gateway.run())
            await until(lambda: gateway.tunnel_address)
            stack = InProcess(gateway, stored, folder, tasks)
            try:
                yield stack
            finally:
                for agent in stack.agents:
                    if agent.task is not None and not agent.task.done():
                        await agent.kill()
                serving.cancel()
