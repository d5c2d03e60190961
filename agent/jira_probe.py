"""Asks Jira who it is: at the start, every ten minutes, and every half minute while it does not answer.

The answer's base URL is what Jira writes into links, so gateways are told before the first request. The probe is the
agent's own request: anonymous, past the policy, through the same pool. It never delays the start when Jira is down.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from http1.client import ClientPool
from http1.errors import ClientFailure
from http1.messages import NO_BODY, Headers, RequestHead, ResponseHead
from http1.origin import ResponseReceiver
from jira_api.server_info import MAX_SERVER_INFO_BYTES, InvalidServerInfo, ServerInfo, parse_server_info

log = structlog.get_logger()

PATH = b"/rest/api/2/serverInfo"
PROBE_SECONDS = 3.0
FINE_SECONDS = 600.0
FAILED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the last probe found: `info`, or in one clause the `problem`."""

    info: ServerInfo | None
    problem: str | None


class JiraProbe:
    """Keeps `finding` fresh; `changed` is called with every new one."""

    def __init__(
        self, pool: ClientPool, context_path: bytes, user_agent: bytes, changed: Callable[[Finding], None]
    ) -> None:
        headers = [(b"Accept", b"application/json"), (b"User-Agent", user_agent)]
        self._pool = pool
        self._head = RequestHead(b"GET", context_path + PATH, headers, NO_BODY)
        self._changed = changed
        self.finding = Finding(None, "not asked yet")

    async def run(self) -> None:
        """Ask again and again until cancelled; the first time was `ask`."""
        while True:
            await asyncio.sleep(FINE_SECONDS if self.finding.info is not None else FAILED_SECONDS)
            await self.ask()

    async def ask(self) -> None:
        """Ask once, for at most three seconds; the outcome is in `finding`."""
        found = await self._find()
        if found == self.finding:
            return
        self.finding = found
        if found.info is not None:
            log.info("jira_found", version=found.info.version, base_url=found.info.base_url)
        else:
            log.warning("jira_not_found", reason=found.problem, action="check JIRA_AGENT_JIRA_URL and that Jira runs")
        self._changed(found)

    async def _find(self) -> Finding:
        answer = _WholeAnswer()
        call = self._pool.start(self._head, answer)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await answer.ended.wait()
        except TimeoutError:
            return Finding(None, f"Jira gave no answer within {PROBE_SECONDS:g} s")
        finally:
            if not answer.ended.is_set() or answer.is_too_large:
                call.abort()
        return answer.read()


class _WholeAnswer(ResponseReceiver):
    """Collects one small answer."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.is_too_large = False
        self._status = 0
        self._body = bytearray()
        self._problem: str | None = None

    def read(self) -> Finding:
        """Return what the answer says."""
        if self._problem is not None:
            return Finding(None, self._problem)
        if self._status != 200:
            return Finding(None, f"serverInfo was answered with status {self._status}")
        try:
            return Finding(parse_server_info(bytes(self._body)), None)
        except InvalidServerInfo as error:
            return Finding(None, f"serverInfo cannot be used: {error.reason}")

    def on_response(self, head: ResponseHead) -> None:
        self._status = head.status

    def on_body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > MAX_SERVER_INFO_BYTES:
            self.is_too_large = True
            self.ended.set()

    def on_end(self, trailers: Headers) -> None:
        del trailers
        self.ended.set()

    def on_writable(self) -> None:
        pass

    def on_failure(self, failure: ClientFailure) -> None:
        self._problem = failure.reason
        self.ended.set()
