"""The direct connections of the directory in force, each with its pool, and their life.

A connection whose row changes gets a new pool at once; the old one takes no more requests and closes when those
under way have ended. What a Jira calls itself (serverInfo) is asked in the background once per version of a row,
because links in its answers may begin with that address.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

import structlog

from gateway.direct import DirectCarrier
from gateway.direct_origin import Origins
from gateway.direct_probe import DirectProbe, anonymous_get
from gateway.direct_stream import Outlet
from gateway.directory import ConnectionEntry, Directory
from http1.client import ClientPool
from http1.sweep import Sweeper
from jira_api.protection.protection import DEFAULT_MAXIMUM, Protection
from jira_api.server_info import ServerInfo
from runtime.configuration import ConfigurationError
from tunnel.budget import Budget

log = structlog.get_logger()

RETIRE_POLL_SECONDS: Final = 0.2
RETIRE_SECONDS: Final = 3600.0


@dataclass(eq=False, slots=True)
class DirectLink:
    """One version of one direct connection. `settings` and `faces` are as on an agent's link (registry.AgentLink)."""

    entry: ConnectionEntry
    link: DirectCarrier
    settings: dict[bytes, bytes]
    faces: dict[tuple[str, bool], Any] = field(default_factory=dict)  # Any: answer.Face, which knows of links
    retired: asyncio.Event = field(default_factory=asyncio.Event)
    probe: DirectProbe | None = None  # while it runs
    label: str = ""  # how the access log calls it

    def announce(self, settings: dict[bytes, bytes]) -> None:
        """Take news of this Jira; what was derived from the old ones is forgotten."""
        self.settings = {**self.settings, **settings}
        self.faces = {}


class DirectConnections:
    """Connection name -> its link in force. The only owner of that map, and of the pools' tasks."""

    def __init__(self, origins: Origins, sweeper: Sweeper, budget: Budget, user_agent: str) -> None:
        self._origins = origins
        self._sweeper = sweeper
        self._budget = budget
        self._user_agent = user_agent.encode("ascii")
        self._links: dict[str, DirectLink] = {}
        self._retiring: set[DirectLink] = set()
        self._tasks: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<DirectConnections {sorted(self._links)} retiring={len(self._retiring)}>"

    def __iter__(self) -> Iterator[DirectLink]:
        """Iterate over a copy of the links in force."""
        return iter(list(self._links.values()))

    @property
    def streams(self) -> int:
        """Requests in flight, those of replaced versions included."""
        return sum(link.link.streams for link in (*self._links.values(), *self._retiring))

    def pick(self, entry: ConnectionEntry) -> DirectLink | None:
        """Return the link of exactly this version of a connection: no login may go to an older version's address."""
        link = self._links.get(entry.name)
        return link if link is not None and (link.entry is entry or link.entry == entry) else None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per connection, for the status page."""
        return [_row(link) for link in self]

    def context_path(self, entry: ConnectionEntry) -> bytes:
        """Return the context path of this Jira."""
        link = self._links.get(entry.name)
        return b"" if link is None else link.settings.get(b"context-path", b"")

    def settings(self, entry: ConnectionEntry) -> dict[bytes, bytes]:
        """Return what is known of this Jira, as `registry.Registry.settings` does for an agent's."""
        link = self._links.get(entry.name)
        return {} if link is None else link.settings

    def use(self, directory: Directory) -> None:
        """Make the connections of this directory count: new and changed ones get a pool, the others keep theirs."""
        before, self._links = self._links, {}
        for entry in directory.direct():
            link = before.get(entry.name)
            if link is not None and link.entry == entry:
                link.entry = entry  # equal, but the object that requests carry from now on
                del before[entry.name]
            else:
                link = self._make(entry)
            if link is not None:
                self._links[entry.name] = link
        for old in before.values():
            self._retiring.add(old)
            old.retired.set()

    async def run(self) -> None:
        """Own the pools until cancelled; then every request on them fails."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for link in self:
                    self._tasks.create_task(self._live(link))
                await asyncio.Event().wait()  # no deadline: the life of the process
        finally:
            self._tasks = None

    def _make(self, entry: ConnectionEntry) -> DirectLink | None:
        try:
            jira = self._origins.make(entry)
        except (ConfigurationError, KeyError, OSError, ValueError) as error:
            log.error("connection_unusable", connection=entry.name, reason=str(error))  # noqa: TRY400 - the reason says it all
            return None
        protection = Protection(DEFAULT_MAXIMUM, monotonic)
        pool = ClientPool(jira.origin, self._sweeper, memory=self._budget)
        outlet = Outlet(pool, protection, self._sweeper, monotonic, self._budget)
        carrier = DirectCarrier(outlet, jira.context_path, entry.credentials, self._user_agent)
        settings = {b"jira-url": (entry.base_url or "").encode("ascii"), b"context-path": jira.context_path}
        link = DirectLink(entry, carrier, settings)
        if self._tasks is not None:
            self._tasks.create_task(self._live(link))
        return link

    async def _live(self, link: DirectLink) -> None:
        """Run a link's pool until the link is retired and its last request has ended."""
        async with asyncio.TaskGroup() as tasks:
            pool = tasks.create_task(link.link.pool.run())
            self._sweeper.add(link.link.protection)
            learning = tasks.create_task(self._probe(link).run())
            await link.retired.wait()
            learning.cancel()
            deadline = monotonic() + RETIRE_SECONDS
            while link.link.streams and monotonic() < deadline:  # noqa: ASYNC110 - streams are counted, they signal nothing
                await asyncio.sleep(RETIRE_POLL_SECONDS)
            pool.cancel()
        self._sweeper.discard(link.link.protection)
        self._retiring.discard(link)

    def _probe(self, link: DirectLink) -> DirectProbe:
        def found(info: ServerInfo) -> None:
            told = {b"jira-base-url": info.base_url, b"jira-version": info.version}
            link.announce({key: value.encode("utf-8") for key, value in told.items()})

        protection = link.link.protection
        get = anonymous_get(link.settings[b"context-path"], self._user_agent)
        probe = link.probe = DirectProbe(link.entry.name, get, link.link.pool, protection, found)
        protection.breaker.on_doubt = probe.doubt
        return probe


def _row(link: DirectLink) -> dict[str, Any]:
    protection, finding = link.link.protection, link.probe.finding if link.probe is not None else None
    opened_at, refusal = protection.breaker.opened_at, protection.accounts.own.refusal
    since = None if opened_at is None else datetime.now(UTC) - timedelta(seconds=monotonic() - opened_at)
    return {
        "connection": link.entry.name,
        "requests": protection.in_flight,
        "waiting": protection.waiting,
        "limit": protection.limit,
        "state": finding.state if finding is not None else None,
        "version": finding.info.version if finding is not None and finding.info is not None else None,
        "unavailable_since": None if since is None else since.isoformat(timespec="seconds"),
        "unavailable_reason": protection.breaker.reason,
        "refused_login": None if refusal is None else refusal.slug,
    }
