"""Writes down when webhooks from the internet may have been lost here, so that they are looked for in Jira.

Two causes: this gateway was not there, or it turned webhooks away (no room, no disk, a body that broke off). A sign of
life says until when nothing was lost. It stands still while a gap is owed, so that a gap outlives a crash: the next
start begins it at the last sign of life. agent.gap_watch does the same for webhooks in Jira's own network.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from gateway.directory import Directory
from gateway.events.event_log import EventLog
from gateway.events.keeping import stamp
from gateway.store import Cause, Gap, StoreError, Way

log = structlog.get_logger()

BEAT_SECONDS: Final = 2.0
OVER_AFTER: Final = timedelta(seconds=10)
"""How long no webhook was turned away before a gap counts as over."""


class Presence:
    """The gaps of one gateway. `run` it once; `lost` is called for each webhook of a known hook that is not kept."""

    def __init__(self, events: EventLog, directory: Callable[[], Directory], clock: Callable[[], datetime]) -> None:
        self._log = events
        self._directory = directory
        self._clock = clock
        self._owed: dict[str, datetime] = {}  # since when, by connection; until the log has it
        self._writing: dict[str, datetime] = {}
        self._lost_at: dict[str, datetime] = {}

    def __repr__(self) -> str:
        return f"<Presence owes {sorted(self._owed)}>"

    async def run(self) -> None:
        """Owe the time since the last sign of life, then beat until cancelled."""
        await self._begin()
        while True:
            self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    def lost(self, connection: str) -> None:
        """A webhook of this connection's Jira was turned away."""
        now = self._lost_at[connection] = self._clock()
        self._owe(connection, now)

    def beat(self) -> None:
        """Write the gaps that are owed and over, or that nothing was lost until now."""
        now = self._clock()
        if not self._owed and not self._writing:
            if self._connections():
                self._log.live(now)
            return
        for connection in self._owed.keys() - self._writing.keys():
            lost_at = self._lost_at.get(connection)
            if lost_at is None or not lost_at <= now < lost_at + OVER_AFTER:  # a clock that was set back ends it, too
                self._write(connection, now)

    async def _begin(self) -> None:
        while True:
            try:
                alive_at = await self._log.store.alive_at()
                break
            except StoreError as error:
                log.warning("store_unreadable", reason=str(error), consequence="a gap is not known yet")
            await asyncio.sleep(BEAT_SECONDS)
        if alive_at is not None and alive_at < self._clock():
            for connection in self._connections():
                self._owe(connection, alive_at)

    def _connections(self) -> set[str]:
        return {hook.connection for hook in self._directory().subscriptions.hooks if hook.row.way is Way.INTERNET}

    def _owe(self, connection: str, since: datetime) -> None:
        self._owed[connection] = min(since, self._owed.get(connection, since))

    def _write(self, connection: str, now: datetime) -> None:
        since = self._owed.pop(connection)
        self._lost_at.pop(connection, None)
        self._writing[connection] = since
        uid = f"gateway-{stamp(since)}-{stamp(now)}/{connection}"
        gap = Gap(0, uid, connection, Cause.GATEWAY, min(since, now), now, now, Way.INTERNET)
        self._log.offer_gaps([gap], partial(self._written, connection))

    def _written(self, connection: str, is_kept: bool) -> None:  # noqa: FBT001 - the log calls it so
        since = self._writing.pop(connection)
        if is_kept:
            log.warning("webhooks_may_be_lost", connection=connection, since=since.isoformat(timespec="seconds"))
        else:
            self._owe(connection, since)  # until a beat can write it
