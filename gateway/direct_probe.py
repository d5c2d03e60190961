"""Asks the Jira of a direct connection how it is and who it is, as the gateway itself: anonymous, past the rules.

Links in its answers may begin with the address that it calls itself, so it is asked once when the connection comes into
force, and again while it does not tell. While its breaker is open (jira_api.protection) this is all that it gets.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

import structlog

from http1.client import ClientPool
from http1.errors import ClientFailure
from http1.fetch import fetch
from http1.messages import NO_BODY, RequestHead
from jira_api.protection.protection import Protection
from jira_api.readiness import Finding, NoAnswer, examine
from jira_api.server_info import MAX_SERVER_INFO_BYTES, ServerInfo

log = structlog.get_logger()

PROBE_SECONDS: Final = 10.0
OPEN_SECONDS: Final = 2.0
DOUBT_SECONDS: Final = 5.0  # between two probes for a doubt, while requests are answered
FIRST_RETRY_SECONDS: Final = 30.0
LAST_RETRY_SECONDS: Final = 3600.0


class DirectProbe:
    """Looks at one Jira; `found` is called when it has told who it is."""

    def __init__(
        self,
        connection: str,
        get: Callable[[bytes], RequestHead],
        pool: ClientPool,
        protection: Protection,
        found: Callable[[ServerInfo], None],
    ) -> None:
        self.finding = Finding(None, "not asked yet")
        self._connection = connection
        self._get = get
        self._pool = pool
        self._protection = protection
        self._found = found
        self._doubted = asyncio.Event()
        self._asked_at = 0.0
        self._retry_seconds = FIRST_RETRY_SECONDS

    def __repr__(self) -> str:
        return f"<DirectProbe {self._connection} {self.finding.problem or 'fine'}>"

    def doubt(self) -> None:
        """Ask soon (the breaker's `on_doubt`)."""
        if self._protection.breaker.reason is not None or monotonic() - self._asked_at > DOUBT_SECONDS:
            self._doubted.set()

    async def run(self) -> None:
        """Ask until cancelled: once when all is well."""
        while True:
            self._asked_at = monotonic()
            self._note(await examine(self._ask, self._protection))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._doubted.wait()
            self._doubted.clear()

    def _note(self, found: Finding) -> None:
        old, self.finding = self.finding, found
        if found == old:
            return
        if found.info is None:
            log.warning("jira_not_found", connection=self._connection, reason=found.problem)
            return
        info = found.info
        log.info("jira_found", connection=self._connection, version=info.version, base_url=info.base_url)
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._found(info)

    def _pause(self) -> float | None:
        """Return how long to wait before asking again; None: until there is a doubt."""
        if self._protection.breaker.reason is not None:
            return OPEN_SECONDS
        if self.finding.info is not None:
            return None
        pause = self._retry_seconds
        self._retry_seconds = min(pause * 2, LAST_RETRY_SECONDS)
        return pause

    async def _ask(self, path: bytes) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await fetch(self._pool, self._get(path), MAX_SERVER_INFO_BYTES)
        except ClientFailure as failure:
            raise NoAnswer(failure.reason) from None
        except TimeoutError:
            raise NoAnswer(f"Jira gave no answer within {PROBE_SECONDS:g} s") from None
        return answer.status, answer.body


def anonymous_get(context_path: bytes, user_agent: bytes) -> Callable[[bytes], RequestHead]:
    """Return what makes our own requests for paths below a Jira's context path."""
    headers = [(b"Accept", b"application/json"), (b"User-Agent", user_agent)]
    return lambda path: RequestHead(b"GET", context_path + path, list(headers), NO_BODY)
