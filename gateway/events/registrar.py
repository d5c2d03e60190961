"""Whose hooks are looked after, and what people are told of a trigger: one worker per connection that has any."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol

from gateway.direct_links import DirectConnections
from gateway.directory import ConnectionEntry, Directory, read_directory
from gateway.events.event_log import EventLog
from gateway.events.hook_worker import HookWorker
from gateway.events.hooks import url_of
from gateway.events.jira_client import JiraClient
from gateway.events.lan_address import LanAddress
from gateway.events.plan import marker
from gateway.events.registration import Shared
from gateway.registry import Registry
from gateway.sealing import SecretKey
from gateway.store import Kind, Store, StoreError, Trigger
from gateway.triggers import HookEntry
from jira_api.webhook_api import WantedWebhook, api_of, manual_steps
from runtime.exits import CommandFailed

SETTLE_SECONDS: Final = 20.0
IN_FORCE_SECONDS: Final = 3.0
IN_FORCE_POLL_SECONDS: Final = 0.02


class Around(Protocol):
    """What the registrar needs of the gateway (gateway.events.service.Surroundings)."""

    @property
    def store(self) -> Store:
        """Where triggers and hooks are."""

    @property
    def key(self) -> SecretKey:
        """What seals their secrets."""

    @property
    def registry(self) -> Registry:
        """The links of agents."""

    @property
    def direct(self) -> DirectConnections:
        """The ways without an agent."""

    @property
    def public_url(self) -> str:
        """Where the internet reaches this gateway."""


class Registrar:
    """Looks after all hooks. `run` it once; `use` gets each directory that comes into force."""

    def __init__(self, events: EventLog, around: Around, clock: Callable[[], datetime]) -> None:
        self._around = around
        self._directory: Directory | None = None
        self._workers: dict[str, HookWorker] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._addresses: defaultdict[str, LanAddress] = defaultdict(LanAddress)  # by agent
        self._shared = Shared(
            around.store, events, around.key, around.public_url, clock, self._told, self._posts_to, self._in_force
        )

    def __repr__(self) -> str:
        return f"<Registrar {sorted(self._workers)}>"

    def use(self, directory: Directory) -> None:
        """Look after the triggers of this directory, which is in force: those that changed are looked at soon."""
        self._directory = directory
        self._look_after(directory)

    def _look_after(self, directory: Directory) -> None:
        subscriptions = directory.subscriptions
        wanted = {row.row.connection for row in subscriptions.triggers} | {
            hook.connection for hook in subscriptions.hooks
        }
        for name in wanted:
            entry = directory.connection(name)
            if entry is not None:
                self._worker(entry).use(entry, subscriptions.of_connection(name))
        for name in self._workers.keys() - wanted:
            self._workers.pop(name).stop()

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for worker in self._workers.values():
                    worker.start(self._tasks)
                await asyncio.Event().wait()  # no deadline: the life of the process
        finally:
            self._tasks = None

    async def settle(self, name: str) -> dict[str, Any]:
        """Look now and say how a trigger learns of events: kind, way, note, problem, and what to do by hand.

        Raises:
            CommandFailed: there is no such trigger, or the store cannot be read.
        """
        trigger = await self._trigger(name)
        if trigger.connection not in self._workers:
            self._look_after(await read_directory(self._around.store, self._around.key))
        worker = self._workers.get(trigger.connection)
        problem: str | None = "the connection cannot be used; see the gateway's log"
        if worker is not None:
            problem = "Jira has not answered yet; this goes on by itself"
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_SECONDS):
                    await worker.look()
                    problem = worker.problem_of(trigger.id)
        trigger = await self._trigger(name)
        hook = await self._hook(trigger.hook)
        return {
            "kind": None if trigger.kind is None else trigger.kind.value,
            "way": None if hook is None else hook.row.way.value,
            "note": trigger.note,
            "problem": problem or (None if trigger.kind is not None else trigger.note),
            "manual": await self.steps(name),
        }

    async def steps(self, name: str) -> dict[str, Any] | None:
        """Return what somebody has to enter in Jira for a trigger, None when there is nothing to do by hand.

        Raises:
            CommandFailed: there is no such trigger, or the store cannot be read.
        """
        trigger = await self._trigger(name)
        hook = await self._hook(trigger.hook)
        worker = self._workers.get(trigger.connection)
        base = None if hook is None or worker is None else worker.memory.urls.get(hook.row.way)
        if hook is None or worker is None or base is None or hook.row.kind is not Kind.MANUAL:
            return None
        rows = await self._around.store.triggers()
        events = frozenset[str]().union(*(row.events for row in rows if row.hook == hook.id))
        server = None if worker.memory.server is None else worker.memory.server.info
        signs = hook.row.signs if server is None else api_of(server).signs
        secret = hook.secret.get_secret_value() if signs else None
        wanted = WantedWebhook(marker(hook.row), url_of(base, hook), events, hook.row.jql, secret)
        return {
            "url": wanted.url,
            "secret": secret,
            "events": sorted(events),
            "jql": wanted.jql,
            "steps": manual_steps(server, wanted),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per connection, for the status page."""
        return [worker.row() for _, worker in sorted(self._workers.items())]

    def _worker(self, entry: ConnectionEntry) -> HookWorker:
        worker = self._workers.get(entry.name)
        if worker is None:
            client = JiraClient(entry, self._around.registry, self._around.direct)
            worker = self._workers[entry.name] = HookWorker(client, self._shared)
            if self._tasks is not None:
                worker.start(self._tasks)
        return worker

    async def _trigger(self, name: str) -> Trigger:
        try:
            rows = await self._around.store.triggers()
        except StoreError as error:
            raise CommandFailed(str(error)) from None
        found = next((row for row in rows if row.name == name), None)
        if found is None:
            raise CommandFailed(f"there is no trigger {name}; see jira-gateway triggers list")
        return found

    async def _hook(self, number: int | None) -> HookEntry | None:
        """Return a hook as the store has it now: the directory in force may be a moment behind."""
        if number is None:
            return None
        try:
            directory = await read_directory(self._around.store, self._around.key)
        except StoreError as error:
            raise CommandFailed(str(error)) from None
        return next((hook for hook in directory.subscriptions.hooks if hook.id == number), None)

    def _told(self, client: JiraClient) -> dict[bytes, bytes]:
        entry = client.entry
        if entry.agent is None:
            return self._around.direct.settings(entry)
        registry = self._around.registry
        told = dict(registry.settings(entry.agent))
        url = self._addresses[entry.agent].choose(registry.webhook_urls(entry.agent), self._shared.clock())
        if url is None:
            told.pop(b"webhook-url", None)
        elif told:
            told[b"webhook-url"] = url
        return told

    def _posts_to(self, client: JiraClient, url: str) -> None:
        agent = client.entry.agent
        if agent is not None:
            self._addresses[agent].adopt(url.encode(), self._shared.clock())

    async def _in_force(self, hooks: Sequence[int]) -> None:
        """Wait, for a moment at most, until webhooks for these hooks are let in: then Jira may send them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IN_FORCE_SECONDS):
                while not self._are_in_force(hooks):  # noqa: ASYNC110 - `use` comes twice a second at most
                    await asyncio.sleep(IN_FORCE_POLL_SECONDS)

    def _are_in_force(self, hooks: Sequence[int]) -> bool:
        known = () if self._directory is None else self._directory.subscriptions.hooks
        return {*hooks} <= {hook.id for hook in known}
