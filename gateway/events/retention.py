"""Keeps the events within bounds: of age (JIRA_GATEWAY_RETENTION_DAYS) and of size (JIRA_GATEWAY_EVENTS_MAX_BYTES).

An event that is to be sent yet is never deleted for room: while those alone are too many the intake takes no more, so
that Jira, or the agent's spool, keeps what comes.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from gateway.events.intake import Intake
from gateway.store import StoreError
from gateway.store.event_store import EventStore

log = structlog.get_logger()

LOOK_SECONDS: Final = 30.0
NEXT_SECONDS: Final = 0.2


class Retention:
    """Prunes until cancelled; the only one that sets `Intake.is_full`."""

    def __init__(
        self, store: EventStore, intake: Intake, clock: Callable[[], datetime], *, days: int, max_bytes: int
    ) -> None:
        self._store = store
        self._intake = intake
        self._clock = clock
        self._age = timedelta(days=days)
        self._max_bytes = max_bytes
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Retention {self.bytes}/{self._max_bytes} bytes>"

    async def run(self) -> None:
        """Look every half minute, and go on at once while there is more to delete."""
        while True:
            there_is_more = await self.prune()
            await asyncio.sleep(NEXT_SECONDS if there_is_more else LOOK_SECONDS)

    async def prune(self) -> bool:
        """Delete what may go, and say whether there is more."""
        try:
            pruned = await self._store.prune(self._clock() - self._age, self._max_bytes)
        except StoreError:
            return False  # the log of events tells of it
        self.bytes = pruned.bytes_left
        is_full = pruned.bytes_left > self._max_bytes and not pruned.more
        if is_full and not self._intake.is_full:
            log.error("events_full", bytes=self.bytes, limit=self._max_bytes, consequence="webhooks get 503")
        self._intake.is_full = is_full
        return pruned.more
