"""The parts that get events from Jira, without the rest of a gateway: a store, a log, a registrar and a sweeper.

    async with event_world(folder) as world:
        await world.connect("hq", jira, "admin")
        await world.trigger("t1", "hq", {"jira:issue_updated"})
        settled = await world.registrar.settle("t1")

Direct connections are real; with `registry` of an in-process gateway, agents are too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import SecretBytes

from gateway.direct_links import DirectConnections
from gateway.direct_origin import Origins
from gateway.directory import Directory, read_directory, secret_place
from gateway.egress import Dialer, Egress
from gateway.events.event_log import EventLog
from gateway.events.registrar import Registrar
from gateway.events.sweeper import Sweeper
from gateway.registry import Registry
from gateway.sealing import load_secret_key
from gateway.settings import GatewaySettings
from gateway.store import Connection, Credentials, Invite, Kind, State, Trigger, Way, open_store
from gateway.store.event_store import open_event_store
from gateway.triggers import trigger_place
from http1.sweep import Sweeper as Deadlines
from tests.support.fake_jira import FakeJira
from tests.support.mini_gateway import until
from tunnel.budget import Budget

PUBLIC_URL = "http://127.0.0.1:9"


class SameLinks:
    """Leaves links as they are."""

    def rewritten(self, connection: str, body: bytes) -> bytes:
        return body


class EventWorld:
    """See `event_world`. `offset` is how far our own clock is ahead of the machine's."""

    def __init__(self, store: Any, events: Any, key: Any, registry: Registry, direct: DirectConnections) -> None:
        self.store = store
        self.events = events
        self.key = key
        self.registry = registry
        self.direct = direct
        self.public_url = PUBLIC_URL
        self.offset = timedelta(0)
        self.directory: Directory | None = None
        self.tasks: asyncio.TaskGroup | None = None
        self.log = EventLog(events)
        self.start_parts()
        self._running: list[asyncio.Task[None]] = []

    def start_parts(self) -> None:
        """Make the registrar and the sweeper, with nothing in their memory."""
        around = SimpleNamespace(
            store=self.store, key=self.key, registry=self.registry, direct=self.direct, public_url=self.public_url
        )
        self.registrar = Registrar(self.log, around, self.now)
        self.sweeper = Sweeper(self.log, around, SameLinks(), self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def run_parts(self, *names: str) -> None:
        """Run parts of these names (registrar, sweeper) from now on."""
        await self.apply()
        for name in names:
            self._running.append(self.tasks.create_task(getattr(self, name).run()))

    async def restart(self, *names: str) -> None:
        """End all parts at once, and run new ones that remember nothing."""
        for task in self._running:
            task.cancel()
        await asyncio.wait(self._running)
        self._running.clear()
        self.start_parts()
        await self.run_parts(*names)

    async def apply(self) -> None:
        """Let a changed store count."""
        self.directory = await read_directory(self.store, self.key)
        self.direct.use(self.directory)
        self.registrar.use(self.directory)
        self.sweeper.use(self.directory)

    async def watch(self) -> None:
        """Let each change of the store count, as a running gateway does."""
        seen = -1
        while True:
            if await self.store.version() != seen:
                await self.apply()
                seen = self.directory.version
            await asyncio.sleep(0.01)

    async def connect(self, name: str, jira: FakeJira, user: str = "admin", *, agent: str | None = None, **fields: Any):
        """Add a connection: direct with this account's password, or through an agent with the agent's."""
        async with self.store.change("test", self.now()) as change:
            if agent is not None:
                await change.add_invite(Invite(f"hash-{name}", agent, self.now(), self.now()))
                row = Connection(name, agent, Credentials(fields.pop("credentials", "agent")), **fields)
            elif fields.get("credentials") == "caller":
                row = Connection(name, "direct", Credentials.CALLER, base_url=jira.url)
            else:
                secret = jira.users[user].token if jira.profile.is_cloud else f"password-of-{user}"
                login = jira.users[user].email if jira.profile.is_cloud else user
                sealed = self.key.seal(SecretBytes(secret.encode()), secret_place(name))
                row = Connection(name, "direct", Credentials.GATEWAY, jira.url, login, sealed)
            await change.add_connection(row)
        await self.apply()

    async def trigger(self, name: str, connection: str, events, jql: str | None = None, **fields: Any) -> Trigger:
        """Add a trigger."""
        if isinstance(fields.get("wanted"), str):
            fields["wanted"] = Kind(fields["wanted"])
        if isinstance(fields.get("way"), str):
            fields["way"] = Way(fields["way"])
        sealed = self.key.seal(SecretBytes(b"whsec"), trigger_place(name))
        row = Trigger(0, name, connection, frozenset(events), self.now(), jql, sealed_secret=sealed, **fields)
        async with self.store.change("test", self.now()) as change:
            made = await change.add_trigger(row)
        await self.apply()
        return made

    async def remove(self, name: str) -> None:
        """Remove a trigger."""
        async with self.store.change("test", self.now()) as change:
            await change.remove_trigger(name)
        await self.apply()

    async def row(self, name: str) -> Trigger:
        """The trigger as stored."""
        return next(row for row in await self.store.triggers() if row.name == name)

    async def deliveries(self, trigger: Trigger):
        """Everything stored for a trigger, in order."""
        return await self.events.page(trigger.id, 0, limit=10_000, states=list(State), max_bytes=1 << 30)


@asynccontextmanager
async def event_world(folder: Path, registry: Registry | None = None, *parts: str) -> AsyncIterator[EventWorld]:
    """Run it for as long as the block; `parts` run from the start."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gateway.db"
    settings = GatewaySettings(state_dir=folder, tunnel_listen="127.0.0.1:0", allow_networks="127.0.0.1/32")
    key = load_secret_key(folder, None)
    deadlines = Deadlines()
    origins = Origins(settings, Dialer(Egress.from_settings(settings), settings.allow_networks))
    direct = DirectConnections(origins, deadlines, Budget(), "jira-gateway/test")
    async with open_store(path, key, datetime.now(UTC)) as store, open_event_store(path) as events:
        world = EventWorld(store, events, key, registry or Registry(), direct)
        async with asyncio.TaskGroup() as tasks:
            world.tasks = tasks
            background = [deadlines.run(), direct.run(), world.log.run(), world.watch()]
            running = [tasks.create_task(work) for work in background]
            await world.apply()
            await world.run_parts(*parts)
            try:
                yield world
            finally:
                for task in [*world._running, *running]:
                    task.cancel()


__all__ = ["PUBLIC_URL", "EventWorld", "event_world", "until"]
