"""Whose Jiras are searched for events: one worker per connection with triggers, and the open gaps handed to each."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from gateway.direct_links import DirectConnections
from gateway.directory import Directory
from gateway.events.event_log import EventLog
from gateway.events.jira_client import JiraClient
from gateway.events.sweep_worker import SweepWorker
from gateway.events.sweeping import Ground, Rewriter
from gateway.registry import Registry
from gateway.store import Gap, Store, StoreError, Watermark

log = structlog.get_logger()

LOOK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 2.0


class Around(Protocol):
    """What the sweeper needs of the gateway (gateway.events.service.Surroundings)."""

    @property
    def store(self) -> Store:
        """Where watermarks and gaps are."""

    @property
    def registry(self) -> Registry:
        """The links of agents."""

    @property
    def direct(self) -> DirectConnections:
        """The ways without an agent."""


class Sweeper:
    """Sweeps all connections. `run` it once; `use` gets each directory that comes into force."""

    def __init__(self, events: EventLog, around: Around, links: Rewriter, clock: Callable[[], datetime]) -> None:
        self._log = events
        self._around = around
        self._links = links
        self._clock = clock
        self._directory: Directory | None = None
        self._marks: dict[str, Watermark] = {}
        self._workers: dict[str, SweepWorker] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<Sweeper {sorted(self._workers)}>"

    def use(self, directory: Directory) -> None:
        """Sweep for the triggers of this directory."""
        self._directory = directory
        if self._tasks is None:
            return
        subscriptions = directory.subscriptions
        wanted = {trigger.row.connection for trigger in subscriptions.triggers}
        for name in wanted:
            entry = directory.connection(name)
            if entry is None:
                continue
            worker = self._workers.get(name)
            if worker is None:
                client = JiraClient(entry, self._around.registry, self._around.direct)
                ground = Ground(client, self._log, self._links, self._clock)
                worker = self._workers[name] = SweepWorker(ground, self._marks)
                worker.start(self._tasks)
            hooks = [hook for hook in subscriptions.hooks if hook.connection == name]
            worker.use(entry, subscriptions.of_connection(name), hooks)
        for name in self._workers.keys() - wanted:
            self._workers.pop(name).stop()

    async def run(self) -> None:
        """Sweep until cancelled."""
        self._marks = await self._read_marks()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                if self._directory is not None:
                    self.use(self._directory)
                while True:
                    if self._workers:
                        await self._hand_out_gaps()
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._tasks = None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per sweep, for the status page."""
        return [row for _, worker in sorted(self._workers.items()) for row in worker.rows()]

    async def _read_marks(self) -> dict[str, Watermark]:
        while True:
            try:
                return await self._around.store.watermarks()
            except StoreError as error:
                log.warning("store_unreadable", reason=str(error), consequence="nothing is swept yet")
                await asyncio.sleep(RETRY_SECONDS)

    async def _hand_out_gaps(self) -> None:
        """Give open gaps to the workers; one of a connection without triggers is nobody's, and closed."""
        try:
            gaps = await self._around.store.gaps(open_only=True)
            by_connection: dict[str, list[Gap]] = {name: [] for name in self._workers}
            for gap in gaps:
                if gap.connection in by_connection:
                    by_connection[gap.connection].append(gap)
                elif self._is_nobodys(gap):
                    await self._log.store.close_gap(gap.number, self._clock(), 0)
        except StoreError:
            return  # the log of events tells of it
        for name, mine in by_connection.items():
            if name in self._workers:
                self._workers[name].use_gaps(mine)

    def _is_nobodys(self, gap: Gap) -> bool:
        directory = self._directory
        return directory is not None and not directory.subscriptions.of_connection(gap.connection)
