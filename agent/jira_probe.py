"""Asks Jira how it is and who it is: at the start, every ten minutes, and soon again when there is reason to doubt.

The answer's base URL is what Jira writes into links, so gateways are told before the first request. The probe is the
agent's own request: anonymous, past the policy, through the same pool. It never delays the start when Jira is down. It
is also what closes the breaker again (jira_api.protection): while that is open, the probe is all that Jira gets.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from http1.client import ClientPool
from http1.errors import ClientFailure
from http1.fetch import fetch
from http1.messages import NO_BODY, RequestHead
from jira_api.protection.protection import Protection
from jira_api.readiness import Finding, NoAnswer, examine
from jira_api.server_info import MAX_SERVER_INFO_BYTES

log = structlog.get_logger()

PROBE_SECONDS = 3.0
FINE_SECONDS = 600.0
FAILED_SECONDS = 30.0
OPEN_SECONDS = 2.0
DOUBT_SECONDS = 5.0  # between two probes for a doubt, while requests are answered


class JiraProbe:
    """Keeps `finding` fresh; `changed` is called with every new one."""

    def __init__(
        self,
        pool: ClientPool,
        context_path: bytes,
        user_agent: bytes,
        changed: Callable[[Finding], None],
        protection: Protection,
    ) -> None:
        self._pool = pool
        self._context_path = context_path
        self._headers = [(b"Accept", b"application/json"), (b"User-Agent", user_agent)]
        self._changed = changed
        self._protection = protection
        self._doubted = asyncio.Event()
        self._asked_at = 0.0
        self._answered_at: float | None = None
        self._away_since: float | None = None
        self.on_return: Callable[[float], None] = _nobody
        self.finding = Finding(None, "not asked yet")

    async def run(self) -> None:
        """Ask again and again until cancelled; the first time was `ask`."""
        while True:
            await self._wait()
            await self.ask()

    def doubt(self) -> None:
        """Ask soon (the breaker's `on_doubt`)."""
        is_open = self._protection.breaker.reason is not None
        if is_open or asyncio.get_running_loop().time() - self._asked_at > DOUBT_SECONDS:
            self._doubted.set()

    async def ask(self) -> None:
        """Ask once, for at most six seconds; the outcome is in `finding`."""
        self._asked_at = asyncio.get_running_loop().time()
        found = await examine(self._get, self._protection)
        self._note_presence(is_there=found.info is not None)
        if found == self.finding:
            return
        self.finding = found
        if found.info is not None:
            log.info("jira_found", version=found.info.version, base_url=found.info.base_url, state=found.state)
        else:
            log.warning("jira_not_found", reason=found.problem, action="check JIRA_AGENT_JIRA_URL and that Jira runs")
        self._changed(found)

    def _note_presence(self, *, is_there: bool) -> None:
        """Call `on_return` when Jira answers after it had not: with the seconds since it was last known to."""
        if not is_there:
            if self._away_since is None:
                self._away_since = self._asked_at if self._answered_at is None else self._answered_at
            return
        since, self._away_since = self._away_since, None
        self._answered_at = asyncio.get_running_loop().time()
        if since is not None:
            self.on_return(self._answered_at - since)

    async def _wait(self) -> None:
        seconds = FINE_SECONDS if self.finding.info is not None else FAILED_SECONDS
        with suppress(TimeoutError):
            if self._protection.breaker.reason is not None and not self._doubted.is_set():
                seconds = OPEN_SECONDS
            async with asyncio.timeout(seconds):
                await self._doubted.wait()
        self._doubted.clear()

    async def _get(self, path: bytes) -> tuple[int, bytes]:
        head = RequestHead(b"GET", self._context_path + path, self._headers, NO_BODY)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await fetch(self._pool, head, MAX_SERVER_INFO_BYTES)
        except ClientFailure as failure:
            raise NoAnswer(failure.reason) from None
        except TimeoutError:
            raise NoAnswer(f"Jira gave no answer within {PROBE_SECONDS:g} s") from None
        return answer.status, answer.body


def _nobody(_seconds: float) -> None:
    """Nobody wants to know."""
