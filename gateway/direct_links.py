"""The direct connections of the directory in force, each with its pool, and their life.

A connection whose row changes gets a new pool at once; the old one takes no more requests and closes when those
under way have ended. What a Jira calls itself (serverInfo) is asked in the background once per version of a row,
because links in its answers may begin with that address.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import structlog

from gateway.direct import DirectCarrier
from gateway.direct_origin import Origins
from gateway.directory import ConnectionEntry, Directory
from gateway.probe import ask
from http1.client import ClientPool
from http1.sweep import Sweeper
from jira_api.server_info import InvalidServerInfo, parse_server_info
from runtime.configuration import ConfigurationError

log = structlog.get_logger()

RETIRE_POLL_SECONDS: Final = 0.2
RETIRE_SECONDS: Final = 3600.0
FIRST_RETRY_SECONDS: Final = 30.0
LAST_RETRY_SECONDS: Final = 3600.0

SERVER_INFO: Final = b"/rest/api/2/serverInfo"


@dataclass(eq=False, slots=True)
class DirectLink:
    """One version of one direct connection. `settings` and `faces` are as on an agent's link (registry.AgentLink)."""

    entry: ConnectionEntry
    link: DirectCarrier
    settings: dict[bytes, bytes]
    faces: dict[tuple[str, bool], Any] = field(default_factory=dict)  # Any: answer.Face, which knows of links
    retired: asyncio.Event = field(default_factory=asyncio.Event)

    def announce(self, settings: dict[bytes, bytes]) -> None:
        """Take news of this Jira; what was derived from the old ones is forgotten."""
        self.settings = {**self.settings, **settings}
        self.faces = {}


class DirectConnections:
    """Connection name -> its link in force. The only owner of that map, and of the pools' tasks."""

    def __init__(self, origins: Origins, sweeper: Sweeper, user_agent: str) -> None:
        self._origins = origins
        self._sweeper = sweeper
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

    def context_path(self, entry: ConnectionEntry) -> bytes:
        """Return the context path of this Jira."""
        link = self._links.get(entry.name)
        return b"" if link is None else link.settings.get(b"context-path", b"")

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
        pool = ClientPool(jira.origin, self._sweeper)
        carrier = DirectCarrier(pool, jira.context_path, entry.credentials, self._user_agent, monotonic)
        settings = {b"jira-url": (entry.base_url or "").encode("ascii"), b"context-path": jira.context_path}
        link = DirectLink(entry, carrier, settings)
        if self._tasks is not None:
            self._tasks.create_task(self._live(link))
        return link

    async def _live(self, link: DirectLink) -> None:
        """Run a link's pool until the link is retired and its last request has ended."""
        async with asyncio.TaskGroup() as tasks:
            pool = tasks.create_task(link.link.pool.run())
            learning = tasks.create_task(self._learn(link))
            await link.retired.wait()
            learning.cancel()
            deadline = monotonic() + RETIRE_SECONDS
            while link.link.streams and monotonic() < deadline:  # noqa: ASYNC110 - streams are counted, they signal nothing
                await asyncio.sleep(RETIRE_POLL_SECONDS)
            pool.cancel()
        self._retiring.discard(link)

    async def _learn(self, link: DirectLink) -> None:
        """Ask this Jira once what it calls itself, without a login; while it does not answer, ever more rarely."""
        wait = FIRST_RETRY_SECONDS
        while True:
            found = await ask(link.link.apart(), SERVER_INFO, [])
            if found.problem is None:
                break
            if wait == FIRST_RETRY_SECONDS:
                log.warning("jira_not_found", connection=link.entry.name, reason=found.problem.message)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LAST_RETRY_SECONDS)
        try:
            info = parse_server_info(found.body)
        except InvalidServerInfo as invalid:
            log.info("server_info_unusable", connection=link.entry.name, status=found.status, reason=invalid.reason)
            return
        link.announce({b"jira-base-url": info.base_url.encode("utf-8"), b"jira-version": info.version.encode("utf-8")})
        log.info("jira_found", connection=link.entry.name, version=info.version, base_url=info.base_url)
