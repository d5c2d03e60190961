"""Measuring an agent's line, on a path of its own beside the tunnel (docs/protocol.md §12).

Who comes here has shown an agent's certificate that is not revoked; the tunnel's listener sees to that, at the upgrade
and whenever the store changes. Even so a visit gains nothing: one at a time for each instance, few in all, each bounded
in time and bytes, with pauses between them. Knows nothing of links, sessions and requests.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from certs.certificates import AgentCertificate
from gateway.rates import Rates
from tunnel.probing import (
    BALLAST_BYTES,
    MAX_BYTES,
    MAX_ECHOES,
    MAX_SECONDS,
    VISIT_SECONDS,
    Kind,
    ProbeRejected,
    Tally,
    Welcome,
    read_kind,
)
from tunnel.sockets import tune_socket

log = structlog.get_logger()

MAX_VISITS = 2
BURST, EACH_SECONDS = 4, 60.0
"""Of one instance: somebody who looks for a fault comes a few times in a row, then once a minute."""
BURST_OF_ALL, EACH_SECONDS_OF_ALL = 10, 5.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one visit may cost: seconds and bytes (`size`) each way, seconds in all."""

    seconds: float = MAX_SECONDS
    size: int = MAX_BYTES
    visit_seconds: float = VISIT_SECONDS


class LineDesk:
    """Serves the visits; `visits`, `refused` and `bytes` are counted since the start."""

    def __init__(self, software: str, bounds: Bounds = Bounds(), clock: Callable[[], float] = monotonic) -> None:
        self._software = software
        self._bounds = bounds
        self._clock = clock
        self._ballast = bytes([Kind.BALLAST]) + os.urandom(BALLAST_BYTES - 1)  # nothing on the way can compress it
        self._each = Rates(burst=BURST)
        self._all = Rates(burst=BURST_OF_ALL)
        self._inside: dict[str, tuple[ServerConnection, AgentCertificate]] = {}
        self.visits = 0
        self.refused = 0
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<LineDesk {len(self._inside)} inside, {self.visits} visits>"

    def knock(self, certificate: AgentCertificate) -> int:
        """Return 0 when this visitor may come in now, else the seconds after which to try again."""
        name, now = str(certificate.identity), self._clock()
        wait = 5.0 if name in self._inside or len(self._inside) >= MAX_VISITS else 0.0
        wait = wait or self._each.take(name, 1 / EACH_SECONDS, now)
        wait = wait or self._all.take("", 1 / EACH_SECONDS_OF_ALL, now)
        self.refused += wait > 0
        return 1 + int(wait) if wait else 0

    def drop(self, is_over: Callable[[AgentCertificate], bool]) -> None:
        """End the visits of certificates that are not to be trusted any more."""
        for websocket, certificate in self._inside.values():
            if is_over(certificate):
                websocket.transport.abort()

    async def serve(self, websocket: ServerConnection, certificate: AgentCertificate) -> None:
        """Serve one visitor until it leaves, or its time is up."""
        name = str(certificate.identity)
        if name in self._inside or len(self._inside) >= MAX_VISITS:  # two knocked before the first came in
            self.refused += 1
            websocket.transport.abort()
            return
        self._inside[name] = (websocket, certificate)
        self.visits += 1
        visit = _Visit(websocket, self._ballast, self._bounds, self._clock)
        try:
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(self._bounds.visit_seconds):
                    await visit.run(self._software)
        except ProbeRejected as rejected:
            log.warning("line_probe_refused", agent=name, reason=str(rejected))
        finally:
            del self._inside[name]
            self.bytes += visit.sent.size + visit.received.size
            log.info("line_probed", agent=name, bytes_in=visit.received.size, bytes_out=visit.sent.size)
            websocket.transport.abort()


class _Visit:
    """One visitor's messages, in the order in which they come."""

    def __init__(self, websocket: ServerConnection, ballast: bytes, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._websocket = websocket
        self._ballast = ballast
        self._bounds = bounds
        self._clock = clock
        self._echoes = 0
        self._first_at: float | None = None
        self.sent = Tally(0, 0.0)
        self.received = Tally(0, 0.0)

    async def run(self, software: str) -> None:
        """Answer until the visitor leaves; raises ProbeRejected for what is not allowed."""
        congestion = tune_socket(self._websocket.transport.get_extra_info("socket"))
        now = round(datetime.now(UTC).timestamp() * 1000)
        await self._websocket.send(Welcome(now, software, congestion or "").to_json())
        while True:
            message = await self._websocket.recv()
            await self._take(read_kind(message), message)

    async def _take(self, kind: Kind, message: bytes | str) -> None:
        match kind:
            case Kind.ECHO:
                self._echoes += 1
                if self._echoes > MAX_ECHOES:
                    raise ProbeRejected("too many echoes")
                await self._websocket.send(message)
            case Kind.SEND:
                if self.sent.size:
                    raise ProbeRejected("a second transfer")
                await self._send()
            case Kind.BALLAST:
                await self._count()
            case Kind.DONE:
                await self._websocket.send(self.received.to_bytes())

    async def _send(self) -> None:
        began = self._clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._bounds.seconds):
                while self.sent.size < self._bounds.size:
                    await self._websocket.send(self._ballast)
                    self.sent = Tally(self.sent.size + BALLAST_BYTES, self._clock() - began)
                    await asyncio.sleep(0)  # requests of others come between
        await self._websocket.send(self.sent.to_bytes())

    async def _count(self) -> None:
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
        # Twice the time: what was sent in time may be on its way for a while.
        self.received = Tally(self.received.size + BALLAST_BYTES, now - self._first_at)
        if self.received.size > self._bounds.size or self.received.seconds > 2 * self._bounds.seconds:
            raise ProbeRejected("more ballast than is taken")
        await asyncio.sleep(0)
