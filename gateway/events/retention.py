"""Keeps the events within bounds: of age (JIRA_GATEWAY_RETENTION_DAYS) and of size (JIRA_GATEWAY_EVENTS_MAX_BYTES).

An event that is to be sent yet is never deleted for room: while those alone are too many the log takes no more, so that
Jira, or the agent's spool, keeps what comes.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from gateway.events.event_log import EventLog
from gateway.store import StoreError

log = structlog.get_logger()

LOOK_SECONDS: Final = 30.0
SOONER_SECONDS: Final = 0.5
SOONER_SHARE: Final = 50
"""What part of the bytes that may be kept is a reason to look at once: a flood must not get far beyond them."""

NEXT_SECONDS: Final = 0.2


class Retention:
    """Prunes until cancelled; the only one that sets `EventLog.is_full`."""

    def __init__(self, log: EventLog, clock: Callable[[], datetime], *, days: int, max_bytes: int) -> None:
        self._log = log
        self._clock = clock
        self._age = timedelta(days=days)
        self.max_bytes = max_bytes
        self._stored_bytes = 0  # by the log's count, at the last look
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Retention {self.bytes}/{self.max_bytes} bytes>"

    async def run(self) -> None:
        """Look every half minute, and sooner when much came; go on at once while there is more to delete."""
        while True:
            if await self.prune():
                await asyncio.sleep(NEXT_SECONDS)
                continue
            waited = 0.0
            while waited < LOOK_SECONDS and not self.is_due:
                await asyncio.sleep(SOONER_SECONDS)
                waited += SOONER_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether so much came since the last look that the next one should not wait."""
        return (self._log.stored_bytes - self._stored_bytes) * SOONER_SHARE > self.max_bytes

    async def prune(self) -> bool:
        """Delete what may go, and say whether there is more."""
        self._stored_bytes = self._log.stored_bytes
        try:
            pruned = await self._log.store.prune(self._clock() - self._age, self.max_bytes)
        except StoreError:
            return False  # the log of events tells of it
        self.bytes = pruned.bytes_left
        is_full = pruned.bytes_left > self.max_bytes and not pruned.more
        if is_full and not self._log.is_full:
            log.error("events_full", bytes=self.bytes, limit=self.max_bytes, consequence="webhooks get 503")
        self._log.is_full = is_full
        return pruned.more
