"""The part of the gateway that is about events: builds its parts, runs them, and hands each change of the store on.

Owns what is between the parts: hooks are announced to agents, and what agents bring goes to the intake.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import random
from typing import Any, Final

import structlog

from gateway.agent_streams import LATER, REFUSED, STORED
from gateway.direct_links import DirectConnections
from gateway.directory import Directory
from gateway.egress import Dialer
from gateway.events.deliverer import Deliverer
from gateway.events.event_log import EventLog
from gateway.events.feed import Feed
from gateway.events.hook_door import HookDoor
from gateway.events.intake import Arrival, Intake, Verdict
from gateway.events.links import Links
from gateway.events.presence import Presence
from gateway.events.registrar import Registrar
from gateway.events.retention import Retention
from gateway.events.subscribers import Subscribers
from gateway.events.sweeper import Sweeper
from gateway.outcomes import OutcomeLog
from gateway.registry import AgentLink, Registry
from gateway.sealing import SecretKey
from gateway.settings import GatewaySettings
from gateway.store import Gap, NotFound, State, Store, StoreError
from gateway.store.event_store import EventStore
from gateway.triggers import HookEntry
from http1.sweep import Sweeper as Deadlines
from tunnel.heads import RequestHead

log = structlog.get_logger()

COUNT_SECONDS: Final = 15.0
MAX_HOOKS: Final = 1000
"""Of one agent: what one SETTINGS frame holds (docs/protocol.md §11)."""

_STATUSES: Final = {Verdict.STORED: STORED, Verdict.SIGNATURE_WRONG: REFUSED, Verdict.NO_ROOM: LATER}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What events need of the rest of the gateway."""

    settings: GatewaySettings
    store: Store
    events: EventStore
    key: SecretKey
    registry: Registry
    direct: DirectConnections
    dialer: Dialer
    deadlines: Deadlines
    outcomes: OutcomeLog
    public_url: str
    software: str


class EventService:
    """Everything about events; `directory` is the one in force, `use` gets each later one."""

    def __init__(self, around: Surroundings, directory: Directory) -> None:
        self._around = around
        self.directory = directory
        clock = self._clock = partial(datetime.now, UTC)
        settings = around.settings
        self.log = EventLog(around.events)
        links = Links(lambda: self.directory, around.registry, around.direct, around.public_url)
        self.intake = Intake(self.log, links, lambda: self.directory)
        self.presence = Presence(self.log, lambda: self.directory, clock)
        self.door = HookDoor(self.intake, around.outcomes, clock, self.presence.lost)
        self.retention = Retention(self.log, clock, days=settings.retention_days, max_bytes=settings.events_max_bytes)
        self.subscribers = Subscribers(settings, around.dialer, around.deadlines, around.software)
        self.deliverer = Deliverer(self.log, self.subscribers, clock, random, self._disable, clock())
        self.feed = Feed(self.log)
        self.registrar = Registrar(self.log, around, clock)
        self.sweeper = Sweeper(self.log, around, links, clock)
        self.counts: dict[int, dict[State, int]] = {}

    def __repr__(self) -> str:
        return f"<EventService {self.log!r}>"

    async def run(self) -> None:
        """Run all parts until cancelled. The log ends last: what the others have done must be in it."""
        async with asyncio.TaskGroup() as writing:
            writer = writing.create_task(self.log.run())
            try:
                await self._run_parts()
            finally:
                writer.cancel()

    async def _run_parts(self) -> None:
        parts = (
            self.presence,
            self.subscribers,
            self.deliverer,
            self.registrar,
            self.sweeper,
            self.retention,
            self.feed,
        )
        self.use(self.directory)
        async with asyncio.TaskGroup() as tasks:
            for part in parts:
                tasks.create_task(part.run())
            tasks.create_task(self._count())

    def use(self, directory: Directory) -> None:
        """Decide by this directory from now on."""
        self.directory = directory
        self.deliverer.use(directory.subscriptions)
        self.registrar.use(directory)
        self.sweeper.use(directory)
        for agent_link in self._around.registry.every_link():
            self.tell_hooks(agent_link)

    def tell_hooks(self, agent_link: AgentLink) -> None:
        """Tell an agent at which hooks it receives webhooks, when it does not know it yet."""
        agent = agent_link.identity.name
        known = self.directory.subscriptions.hashes_of(agent)
        hashes = b"".join(known[:MAX_HOOKS])
        if agent_link.hooks != hashes:
            agent_link.hooks = hashes
            if len(known) > MAX_HOOKS:
                log.error("too_many_hooks", agent=agent, hooks=len(known), consequence=f"it takes {MAX_HOOKS} of them")
            agent_link.link.announce({b"hooks": hashes})

    # What agents bring (gateway.agent_streams.EventDesk)

    def hook_of(self, agent: str, id_hash: str) -> HookEntry | None:
        """Return a hook at which this agent receives webhooks."""
        hook = self.intake.hook(id_hash)
        return hook if hook is not None and hook.agent == agent else None

    def take_event(
        self, hook: HookEntry, head: RequestHead, body: bytes, event_id: str, done: Callable[[int], None]
    ) -> None:
        """Store an event that an agent has acknowledged."""
        query = head.meta.get(b"query", b"").decode("latin-1")
        arrival = Arrival(hook, head.headers, query, body, self._clock(), event_id)
        self.intake.take(arrival, lambda verdict: done(_STATUSES[verdict]))

    def take_gap(self, agent: str, gap: Callable[[str], Gap], done: Callable[[int], None]) -> None:
        """Store a gap of each connection of an agent that has hooks there."""
        hooked = {hook.connection for hook in self.directory.subscriptions.hooks if hook.agent == agent}
        gaps = [gap(name) for name in sorted(hooked)]
        if gaps:
            self.log.offer_gaps(gaps, lambda is_kept: done(STORED if is_kept else LATER))
        else:
            done(STORED)

    # Inside

    async def _count(self) -> None:
        while True:
            if self.directory.subscriptions.triggers or self.counts:
                try:
                    self.counts = await self._around.events.counts()
                except StoreError:
                    self.counts = {}
            await asyncio.sleep(COUNT_SECONDS)

    async def _disable(self, trigger: str, reason: str) -> None:
        try:
            async with self._around.store.change("gateway", self._clock()) as change:
                await change.disable_trigger(trigger, reason)
        except NotFound:
            return  # it was removed meanwhile

    # What people are told

    def page(self) -> dict[str, Any]:
        """Return the status page's part about events."""
        return {
            "problem": self.log.problem,
            "received": self.intake.received,
            "duplicates": self.intake.duplicates,
            "refused": self.intake.refused,
            "turned_away": self.intake.turned_away,
            "bytes": self.retention.bytes,
            "deliveries": self.deliverer.rows(),
            "hooks": self.registrar.rows(),
            "sweeps": self.sweeper.rows(),
        }

    def commands(self) -> dict[str, Any]:
        """Return the commands of the control socket that are about events."""

        async def settle(arguments: dict[str, Any]) -> dict[str, Any]:
            return dict(await self.registrar.settle(str(arguments.get("name", ""))))

        async def steps(arguments: dict[str, Any]) -> dict[str, Any]:
            return {"manual": await self.registrar.steps(str(arguments.get("name", "")))}

        return {"settle-trigger": settle, "trigger-steps": steps}
