"""Writes down when webhooks may have been lost, so that the gateway can look for them in Jira (docs/protocol.md §11).

Three causes: this agent was not there, the spool took none, Jira itself was away. A heartbeat says until when nothing
was lost here. It stands still while a gap is owed, so that a gap outlives a crash: the next start begins it at the last
heartbeat. All times are this agent's clock.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from agent.spool import Spool
from agent.spool_records import Cause, SpoolError, gap_record

log = structlog.get_logger()

BEAT_SECONDS: Final = 2.0


class GapWatch:
    """The gaps of one intake: `begin`, then `run`, then `end`."""

    def __init__(self, spool: Spool, now_ms: Callable[[], int], make_id: Callable[[], str]) -> None:
        self._spool = spool
        self._now_ms = now_ms
        self._make_id = make_id
        self._owed: dict[Cause, int] = {}  # since when; until the spool has the record
        self._writing: dict[Cause, int] = {}
        self._lost_lately = False  # since the last beat

    def __repr__(self) -> str:
        return f"<GapWatch owes {sorted(cause.value for cause in self._owed)}>"

    def begin(self, alive_at: int | None) -> None:
        """The intake accepts webhooks from now on; `alive_at` is the last heartbeat of an earlier run."""
        if alive_at is not None:
            self._owe(Cause.AGENT, alive_at)
        self.beat()

    def lost(self) -> None:
        """A webhook was not kept."""
        self._lost_lately = True
        self._owe(Cause.SPOOL_FULL, self._now_ms())

    def jira_returned(self, away_seconds: float) -> None:
        """Jira answers again; the last time it did was `away_seconds` ago. It forgets what it had queued."""
        self._owe(Cause.JIRA, self._now_ms() - round(away_seconds * 1000))
        self.beat()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self.beat()

    def beat(self) -> None:
        """Write the gaps that are owed and over, or that nothing was lost until now."""
        is_losing = self._lost_lately or self._spool.is_full
        self._lost_lately = False
        if not self._owed and not self._writing:
            self._spool.mark_alive(self._now_ms())
            return
        for cause in self._owed.keys() - self._writing.keys():
            if cause is not Cause.SPOOL_FULL or not is_losing:
                self._write(cause)

    def _owe(self, cause: Cause, since: int) -> None:
        self._owed[cause] = min(since, self._owed.get(cause, since))

    def _write(self, cause: Cause) -> None:
        since, now = self._owed.pop(cause), self._now_ms()
        self._writing[cause] = since
        self._spool.append(gap_record(self._make_id(), since, now, cause), partial(self._written, cause, now))

    def _written(self, cause: Cause, until: int, error: SpoolError | None) -> None:
        since = self._writing.pop(cause)
        if error is not None:
            self._owe(cause, since)  # until a beat can write it
            return
        log.warning("webhooks_may_be_lost", cause=cause.value, since_ms=since, until_ms=until)
        if not self._owed and not self._writing:
            self._spool.mark_alive(until)
