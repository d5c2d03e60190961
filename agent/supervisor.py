"""Keeps the links alive: how many, to which gateway, when to dial again. One task per link, each the owner of its slot.

Connect once is agent.dialer's, when again is agent.backoff's, how many is agent.links'; here they are put to work.
The first link goes before the others (docs/contract.md §7). When a gateway drains, its link keeps its streams while the
replacement is dialled. A link that is spent, or shows an older certificate, works until its successor does; they go one
after the other. A rejected certificate is retried every minute or two, loudly, until a person has acted.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf

import structlog

from agent.addresses import GatewayAddress
from agent.backoff import Backoff
from agent.dialer import Dialer, Websocket
from agent.errors import Cause, DialError
from agent.identity import Identity
from agent.line import LineCounters, read_line
from agent.links import LinkCount
from agent.recycling import AGE_SECONDS, lifetime
from tunnel.errors import LinkClosed
from tunnel.link import Link
from tunnel.traffic import Traffic

log = structlog.get_logger()

OBSERVE_SECONDS = 5.0
POLL_SECONDS = 0.25
RETIRE_SECONDS = 30.0
GREETING_SECONDS = 5.0
"""How long a successor has for its first round trip, after which the gateway surely sends requests on it."""


@dataclass(slots=True, eq=False)
class LiveLink:
    """One open websocket with its link, the identity that it shows, and the event of its end.

    Set `is_spent` to have it replaced: its successor is up before it drains. From `spent_at`, loop time, it is too old.
    """

    slot: int
    gateway: GatewayAddress
    link: Link
    line: Callable[[], LineCounters | None]
    identity: Identity
    spent_at: float = inf
    is_spent: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    closed: LinkClosed | None = None


@dataclass(slots=True)
class Trouble:
    """Why a slot has no link: shown by status until it has one."""

    error: DialError
    since: float


class Supervisor:
    """The links of this process. `run` it once; `drain` before cancelling it."""

    def __init__(
        self,
        count: LinkCount,
        dialer: Dialer,
        make_link: Callable[[Websocket], Link],
        identity: Callable[[], Identity],
        gateways: Sequence[GatewayAddress],
        dice: Callable[[], float] = random.random,
        age_seconds: float = AGE_SECONDS,
    ) -> None:
        """Nothing is dialled before `run`.

        Args:
            count: the policy for the number of links.
            dialer: opens one websocket.
            make_link: puts a session on it.
            identity: asked anew before each dial, so that a new certificate counts at once; may raise DialError.
            gateways: where to dial; empty for the gateway of the identity.
            dice: a float in [0, 1), for jitter.
            age_seconds: about how old a link gets.
        """
        self._count = count
        self._dialer = dialer
        self._make_link = make_link
        self._identity = identity
        self._gateways = tuple(gateways)
        self._dice = dice
        self.age_seconds = age_seconds
        self._live: dict[LiveLink, None] = {}
        self._slots = 0
        self._news: dict[bytes, bytes] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._serial: int | None = None  # of the certificate that links should show; None: whichever
        self._replacing = asyncio.Lock()
        self.trouble: dict[int, Trouble] = {}
        self.is_draining = False
        self._gone = Traffic()  # of links that are no more
        self.opened = 0
        self.failures: Counter[str] = Counter()  # dials that failed, by cause

    def __repr__(self) -> str:
        return f"<Supervisor {self.up}/{self._count.wanted} links, draining={self.is_draining}>"

    @property
    def links(self) -> list[LiveLink]:
        """The live links, also those that drain."""
        return list(self._live)

    @property
    def up(self) -> int:
        """Links that take requests."""
        return sum(live.link.is_usable for live in self._live)

    @property
    def traffic(self) -> Traffic:
        """What all links have carried since the start."""
        found = replace(self._gone)
        for live in self._live:
            found.add(live.link.traffic)
        return found

    @property
    def wanted(self) -> int:
        """Links that there should be."""
        return self._count.wanted

    def announce(self, news: dict[bytes, bytes]) -> None:
        """Tell every gateway, now and on each new link; what was told before stays, unless it is told anew."""
        self._news |= news
        for live in self._live:
            live.link.announce(self._news)

    def show(self, serial: int) -> None:
        """Have every link show the certificate with this serial: others are replaced, one after the other."""
        self._serial = serial

    async def run(self) -> None:
        """Hold links until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                lines = {id(live): line for live in self._live if (line := live.line()) is not None}
                wanted = self._count.observe(loop.time(), lines)
                for slot in range(self._slots, wanted):
                    self._tasks.create_task(self._keep(slot))
                self._slots = max(self._slots, wanted)
                await asyncio.sleep(OBSERVE_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Accept no more requests, and return when those under way are done or the time is up."""
        self.is_draining = True
        async with asyncio.TaskGroup() as draining:
            for live in self._live:
                draining.create_task(live.link.drain(seconds))

    async def _keep(self, slot: int) -> None:
        """Own one slot: dial, hold, wait, again; ends when the line needs fewer links."""
        backoff = Backoff(self._dice)
        clock = asyncio.get_running_loop().time
        turn = slot  # begins on another gateway in each slot, and goes on to the next after a failure
        while not self._is_superfluous(slot):
            if not await self._may_dial(slot):
                continue
            try:
                live = await self._open(slot, turn)
            except DialError as error:
                turn += 1
                again = backoff.failed if error.cause.is_transient else backoff.refused
                delay = again(clock(), retry_after=error.retry_after)
                self._note_trouble(slot, error, clock(), delay)
            else:
                backoff.opened(clock())
                self.trouble.pop(slot, None)
                retry_after = await self._hold(live)
                delay = backoff.failed(clock(), retry_after=retry_after)
            await self._nap(delay)
        self._slots -= 1
        self.trouble.pop(slot, None)

    def _is_superfluous(self, slot: int) -> bool:
        return slot == self._slots - 1 and slot >= self._count.wanted

    async def _may_dial(self, slot: int) -> bool:
        """Let the first link go before the second; False after a moment in which it is not up."""
        if not self.is_draining and (slot == 0 or self.up):
            return True
        await asyncio.sleep(POLL_SECONDS)
        return False

    async def _open(self, slot: int, turn: int) -> LiveLink:
        identity = self._identity()
        gateways = self._gateways or (identity.gateway,)
        gateway = gateways[turn % len(gateways)]
        websocket = await self._dialer.dial(gateway, identity)
        sock = websocket.transport.get_extra_info("socket")
        spent_at = asyncio.get_running_loop().time() + lifetime(self._dice(), self.age_seconds)
        live = LiveLink(slot, gateway, self._make_link(websocket), lambda: read_line(sock), identity, spent_at)
        self._live[live] = None
        self.opened += 1
        if self._news:
            live.link.announce(self._news)
        if self._tasks is not None:
            self._tasks.create_task(self._run_link(live))
        return live

    async def _run_link(self, live: LiveLink) -> None:
        log.info("link_up", link=live.slot, gateway=str(live.gateway), congestion=self._dialer.congestion_control)
        try:
            await live.link.run()
        except LinkClosed as closed:
            live.closed = closed
            level = log.info if self.is_draining or live.is_spent else log.warning
            level("link_down", link=live.slot, gateway=str(live.gateway), reason=str(closed))
        finally:
            del self._live[live]
            self._gone.add(live.link.traffic)
            live.ended.set()

    async def _hold(self, live: LiveLink) -> float:
        """Return when this slot needs another link: with the seconds that the gateway asked to wait."""
        clock = asyncio.get_running_loop().time
        succession, try_at = Backoff(self._dice, early_dials=0), 0.0
        while not live.ended.is_set():
            if live.link.draining and not self.is_draining:
                return 0.0  # make before break: the old link finishes its streams beside the new one
            if self._is_outdated(live, clock()) and clock() >= try_at:
                live, try_at = await self._replace(live, succession)
            if self._is_superfluous(live.slot):
                await live.link.drain(RETIRE_SECONDS)
                live.link.abort()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await live.ended.wait()
        return live.closed.retry_after_ms / 1000 if live.closed is not None else 0.0

    def _is_outdated(self, live: LiveLink, now: float) -> bool:
        is_other = self._serial is not None and live.identity.certificate.serial != self._serial
        return (live.is_spent or is_other or now >= live.spent_at) and not self.is_draining

    async def _replace(self, old: LiveLink, backoff: Backoff) -> tuple[LiveLink, float]:
        """Open a successor, and let the old link finish its streams; return what is live, and when to try again."""
        clock = asyncio.get_running_loop().time
        async with self._replacing:  # no deadline: each successor has two
            if old.ended.is_set() or old.link.draining:
                return old, 0.0
            try:
                live = await self._open(old.slot, self._turn_of(old) + backoff.failures)
                await self._greet(live)
            except DialError as error:
                again = backoff.failed if error.cause.is_transient else backoff.refused
                delay = again(clock(), retry_after=error.retry_after)
                self._note_trouble(old.slot, error, clock(), delay)
                return old, clock() + delay
        self.trouble.pop(old.slot, None)
        if self._tasks is not None:
            self._tasks.create_task(self._retire(old))
        return live, 0.0

    def _turn_of(self, live: LiveLink) -> int:
        return self._gateways.index(live.gateway) if live.gateway in self._gateways else 0

    async def _greet(self, live: LiveLink) -> None:
        """Wait for the first round trip: with it the gateway has our HELLO, and sends requests on this link."""
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                while live.link.rtt is None and not live.ended.is_set():  # noqa: ASYNC110 - a round trip has no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            live.link.abort()
        if live.link.rtt is None:
            raise DialError(Cause.HANDSHAKE_CUT, f"{live.gateway} opened a link and said nothing on it")
        if self.is_draining:
            live.link.go_away()

    async def _retire(self, old: LiveLink) -> None:
        """Let its streams finish, as long as its certificate is good."""
        old.is_spent = True
        left = (old.identity.certificate.not_after - datetime.now(UTC)).total_seconds()
        log.info("link_retired", link=old.slot, gateway=str(old.gateway), streams=old.link.streams)
        await old.link.drain(max(RETIRE_SECONDS, left))
        old.link.abort()

    async def _nap(self, seconds: float) -> None:
        """Wait, but not longer than until an enrolment has brought another certificate."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        before = self._certificate()
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, 1.0))
            if self._certificate() != before:
                return

    def _certificate(self) -> int | None:
        try:
            return self._identity().certificate.serial
        except DialError:
            return None

    def _note_trouble(self, slot: int, error: DialError, now: float, delay: float) -> None:
        self.failures[error.cause.name.lower()] += 1
        known = self.trouble.get(slot)
        is_new = known is None or known.error.cause is not error.cause
        self.trouble[slot] = Trouble(error, now if known is None else known.since)
        # Error only when service is lost; a repeated reason is told once, status tells it all the time.
        write = log.error if not self.up else log.warning
        if is_new or not error.cause.is_transient:
            write(
                "link_dial_failed",
                link=slot,
                cause=error.cause.name.lower(),
                reason=error.reason,
                action=error.cause.action,
                retry_in_seconds=round(delay, 1),
            )
