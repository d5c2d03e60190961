"""Asks Jira how it is and who it is: at the start, every ten minutes, and soon again when there is reason to doubt.

The answer's base URL is what Jira writes into links, so gateways are told before the first request. The probe is the
agent's own request: anonymous, past the policy, through the same pool. It never delays the start when Jira is down. It
is also what closes the breaker again (jira_api.protection): while that is open, the probe is all that Jira gets.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from http1.client import ClientPool
from http1.errors import ClientFailure
from http1.fetch import Fetched, fetch
from http1.messages import NO_BODY, RequestHead
from jira_api.protection.protection import Protection
from jira_api.readiness import INFO_PATH, STATUS_PATH, JiraState, read_state
from jira_api.server_info import MAX_SERVER_INFO_BYTES, InvalidServerInfo, ServerInfo, parse_server_info

log = structlog.get_logger()

PROBE_SECONDS = 3.0
FINE_SECONDS = 600.0
FAILED_SECONDS = 30.0
OPEN_SECONDS = 2.0
DOUBT_SECONDS = 5.0  # between two probes for a doubt, while requests are answered
OK = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """What the last probe found: `info`, or in one clause the `problem`; `state` is the word of Jira's /status."""

    info: ServerInfo | None
    problem: str | None
    state: str | None = None


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
        found = await self._find()
        if found == self.finding:
            return
        self.finding = found
        if found.info is not None:
            log.info("jira_found", version=found.info.version, base_url=found.info.base_url, state=found.state)
        else:
            log.warning("jira_not_found", reason=found.problem, action="check JIRA_AGENT_JIRA_URL and that Jira runs")
        self._changed(found)

    async def _wait(self) -> None:
        seconds = FINE_SECONDS if self.finding.info is not None else FAILED_SECONDS
        with suppress(TimeoutError):
            if self._protection.breaker.reason is not None and not self._doubted.is_set():
                seconds = OPEN_SECONDS
            async with asyncio.timeout(seconds):
                await self._doubted.wait()
        self._doubted.clear()

    async def _find(self) -> Finding:
        """Ask /status, then serverInfo, and let the breaker know what that means."""
        protection = self._protection
        try:
            state = read_state((await self._get(STATUS_PATH)).body)
            if state.problem is not None:
                protection.found_unavailable(state.problem)
                return Finding(None, state.problem, state.name)
            answer = await self._get(INFO_PATH)
        except (ClientFailure, TimeoutError) as failure:
            is_late = isinstance(failure, TimeoutError)
            reason = f"Jira gave no answer within {PROBE_SECONDS:g} s" if is_late else str(failure)
            protection.probe_failed(reason)
            return Finding(None, reason)
        protection.breaker.answered()
        return _read(answer, state)

    async def _get(self, path: bytes) -> Fetched:
        head = RequestHead(b"GET", self._context_path + path, self._headers, NO_BODY)
        async with asyncio.timeout(PROBE_SECONDS):
            return await fetch(self._pool, head, MAX_SERVER_INFO_BYTES)


def _read(answer: Fetched, state: JiraState) -> Finding:
    if answer.status != OK:
        return Finding(None, f"serverInfo was answered with status {answer.status}", state.name)
    try:
        return Finding(parse_server_info(answer.body), None, state.name)
    except InvalidServerInfo as error:
        return Finding(None, f"serverInfo cannot be used: {error.reason}", state.name)
