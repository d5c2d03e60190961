"""Sends one delivery to a subscriber, and says what came of it: a keep-alive pool for each server, TLS, SSRF check.

Knows nothing of triggers, retries or signatures. Names are resolved when a socket is opened, every address is judged
(gateway.egress), and exactly those that passed are dialled, from the fixed egress address. No redirect is followed.
"""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Final

from gateway.egress import AddressForbidden, Dialer
from gateway.events.schedule import Attempt
from gateway.events.targets import Place, Target, check_target, is_inside, read_target
from gateway.outbound_tls import client_context
from gateway.settings import GatewaySettings
from gateway.unacceptable import Unacceptable
from http1.client import ClientPool
from http1.errors import ClientFailure, UnsendableHead
from http1.fetch import Fetched, fetch
from http1.messages import Headers, RequestHead
from http1.origin import ClientLimits, DialAddress, Origin
from http1.sweep import Sweeper

__all__ = ["Subscribers", "check_target"]

ATTEMPT_SECONDS: Final = 15.0
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_ERROR: Final = 300
RETIRE_POLL_SECONDS: Final = 0.2

_LIMITS: Final = ClientLimits(idle_seconds=1.0, idle_seconds_for_writes=1.0, max_idle=64)
"""Servers close idle sockets after two seconds and later; what was sent on one that just closed is a failed attempt."""


@dataclass(eq=False, slots=True)
class _Line:
    """The pool towards one server; it ends when it is retired and nothing is under way any more."""

    pool: ClientPool
    under_way: int = 0
    retired: asyncio.Event = field(default_factory=asyncio.Event)


class Subscribers:
    """The servers that deliveries go to. `run` it once."""

    def __init__(self, settings: GatewaySettings, dialer: Dialer, sweeper: Sweeper, software: str) -> None:
        """Read the extra CAs; raises `ConfigurationError`."""
        self._ca_file = settings.ca_file
        self._allowed = settings.allow_networks
        self._dialer = dialer
        self._sweeper = sweeper
        self._headers: Headers = [(b"User-Agent", software.encode("ascii")), (b"Content-Type", b"application/json")]
        self._lines: dict[Place, _Line] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._is_ending = False
        self._tls: ssl.SSLContext | None = None
        if settings.ca_file is not None:
            self._tls = client_context(settings.ca_file)  # a CA file that cannot be used is told at the start

    def __repr__(self) -> str:
        return f"<Subscribers {sorted(self._lines)}>"

    @property
    def servers(self) -> int:
        """How many servers have a pool."""
        return len(self._lines)

    async def run(self) -> None:
        """Own the pools until cancelled; attempts under way then have no outcome any more."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for line in self._lines.values():
                    tasks.create_task(self._live(line))
                await asyncio.Event().wait()  # no deadline: the life of the process
            finally:
                self._tasks, self._is_ending = None, True

    def keep(self, urls: Iterable[str]) -> None:
        """Retire the pools that none of these addresses needs."""
        wanted = {target.place for url in urls if (target := _target(url)) is not None}
        for place in [place for place in self._lines if place not in wanted]:
            self._lines.pop(place).retired.set()

    async def send(self, url: str, headers: Headers, body: bytes) -> Attempt:
        """POST a JSON body once, within 15 seconds; whatever goes wrong is in what is returned."""
        try:
            place, path = read_target(url)
        except Unacceptable as problem:
            return _failed(problem.text({problem.field: "its address"}))
        line = self._line(place)
        line.under_way += 1
        head = RequestHead(b"POST", path, self._headers + headers, len(body))
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                return await self._post(line.pool, head, body)
        except TimeoutError:
            return _failed(f"{place.host}:{place.port} gave no whole answer within {ATTEMPT_SECONDS:g} s.")
        finally:
            line.under_way -= 1

    async def _post(self, pool: ClientPool, head: RequestHead, body: bytes) -> Attempt:
        try:
            if not self._is_ending:
                return _judged(await fetch(pool, head, MAX_ANSWER_BYTES, body))
        except (ClientFailure, UnsendableHead) as failure:
            if not self._is_ending:
                return _failed(failure.reason)
        await asyncio.Event().wait()  # the failure is our own stop: whoever waits for the outcome is cancelled as well
        return _failed("The gateway stops.")

    def _line(self, place: Place) -> _Line:
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = _Line(ClientPool(self._origin(place), self._sweeper, _LIMITS))
            if self._tasks is not None:
                self._tasks.create_task(self._live(line))
        return line

    def _origin(self, place: Place) -> Origin:
        is_tls = place.scheme == "https"
        return Origin(
            host=place.host,
            port=place.port,
            tls=self._context() if is_tls else None,
            server_hostname=place.host,
            host_header=place.host_header,
            resolve=self._dialer.resolve if is_tls else self._resolve_inside,
        )

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context(self._ca_file)
        return self._tls

    async def _resolve_inside(self, host: str, port: int) -> Sequence[DialAddress]:
        """Return the addresses of a server without TLS: all of them must lie in the operator's own networks."""
        del port
        addresses = await self._dialer.names.addresses(host)
        if not all(is_inside(address, self._allowed) for address in addresses):
            raise AddressForbidden("it has an address outside of JIRA_GATEWAY_ALLOW_NETWORKS, where only https:// goes")
        return self._dialer.choose(addresses)

    async def _live(self, line: _Line) -> None:
        """Run a pool until it is retired and its last attempt has ended."""
        async with asyncio.TaskGroup() as tasks:
            pool = tasks.create_task(line.pool.run())
            await line.retired.wait()
            deadline = monotonic() + ATTEMPT_SECONDS
            while line.under_way and monotonic() < deadline:  # noqa: ASYNC110 - attempts are counted, they signal nothing
                await asyncio.sleep(RETIRE_POLL_SECONDS)
            pool.cancel()


def printable(text: str) -> str:
    """Return what of a text may stand in one line of a log or a table."""
    return "".join(character if character.isprintable() else " " for character in text[:MAX_ERROR])


def _target(url: str) -> Target | None:
    try:
        return read_target(url)
    except Unacceptable:
        return None


def _failed(reason: str) -> Attempt:
    return Attempt(None, printable(reason))


def _judged(answer: Fetched) -> Attempt:
    """Return what a whole answer means: only a 2xx is a success."""
    status = answer.status
    if 200 <= status < 300:
        return Attempt(status, None)
    asked = next((value for name, value in answer.headers if name.lower() == b"retry-after"), None)
    retry_after = None if asked is None else asked.decode("latin-1")
    if 300 <= status < 400:
        return Attempt(status, f"It answered {status}, and redirects are not followed.", retry_after)
    return Attempt(status, f"It answered {_named(status)}.", retry_after)


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
