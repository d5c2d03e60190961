"""Measuring the line to a gateway on a websocket of its own, beside the links (docs/protocol.md §12).

Owns the visit: what is sent when, and until when. Changes nothing, and knows nothing of links, sessions and Jira.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic

from websockets.exceptions import ConnectionClosed

from agent.addresses import GatewayAddress
from agent.dialer import ProxyRoute, Websocket, open_websocket
from agent.identity import Identity
from tunnel.probing import (
    BALLAST_BYTES,
    MAX_BYTES,
    MAX_SECONDS,
    PATH,
    Kind,
    ProbeRejected,
    Tally,
    Welcome,
)
from tunnel.sockets import tune_socket

ECHOES = 5
ECHO_SECONDS = 5.0
ANSWER_SECONDS = 10.0


class LineLost(Exception):
    """The visit ended before its answer; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LineProbe:
    """One visit. `welcome` is what the gateway said first, `congestion` how our end of the socket sends."""

    def __init__(self, websocket: Websocket, welcome: Welcome, congestion: str | None) -> None:
        self._websocket = websocket
        self.welcome = welcome
        self.congestion = congestion

    def __repr__(self) -> str:
        return f"<LineProbe of {self.welcome.software}>"

    async def round_trips(self) -> list[float]:
        """Return the seconds of a few echoes, in order; raises `LineLost`."""
        found = []
        for number in range(ECHOES):
            began = monotonic()
            await self._send(bytes([Kind.ECHO, number]))
            await self._receive(ECHO_SECONDS)
            found.append(monotonic() - began)
        return found

    async def download(self) -> Tally:
        """Let the gateway send for five seconds, and return what arrived; raises `LineLost`."""
        await self._send(bytes([Kind.SEND]))
        first, count, last = None, 0, 0.0
        while True:
            message = await self._receive(MAX_SECONDS + ANSWER_SECONDS)
            if message[0] == Kind.DONE:
                return Tally(count, last - first) if first is not None else Tally(0, 0.0)
            last = monotonic()
            if first is None:
                first = last
            count += len(message)

    async def upload(self) -> Tally:
        """Send for five seconds, and return what arrived as the gateway counted it; raises `LineLost`."""
        ballast = bytes([Kind.BALLAST]) + os.urandom(BALLAST_BYTES - 1)
        until = monotonic() + MAX_SECONDS
        sent = 0
        while monotonic() < until and sent < MAX_BYTES:
            await self._send(ballast)
            sent += BALLAST_BYTES
        await self._send(bytes([Kind.DONE]))
        try:
            return Tally.from_bytes(await self._receive(MAX_SECONDS + ANSWER_SECONDS))
        except ProbeRejected as error:
            raise LineLost(str(error)) from None

    async def _send(self, message: bytes) -> None:
        with _explained():
            async with asyncio.timeout(MAX_SECONDS + ANSWER_SECONDS):
                await self._websocket.send(message)

    async def _receive(self, seconds: float) -> bytes:
        with _explained():
            async with asyncio.timeout(seconds):
                message = await self._websocket.recv()
        if isinstance(message, str) or not message:
            raise LineLost("the gateway sent something that is not of this version")
        return message


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise LineLost("no answer in time") from None
    except (ConnectionClosed, OSError):
        raise LineLost("the gateway, or something on the way, closed the websocket") from None


@asynccontextmanager
async def visit_line(
    gateway: GatewayAddress, identity: Identity, route: ProxyRoute, user_agent: str
) -> AsyncIterator[LineProbe]:
    """Open a visit for the block.

    Raises:
        DialError: the websocket did not open; with `status` 404 the gateway is older than this path.
        LineLost: it opened, and nothing sensible came.
        CertsError: a file of the identity cannot be used.
    """
    websocket = await open_websocket(gateway, PATH, identity.context(), route, user_agent)
    try:
        congestion = tune_socket(websocket.transport.get_extra_info("socket"))
        with _explained():
            async with asyncio.timeout(ECHO_SECONDS):
                message = await websocket.recv()
        try:
            welcome = Welcome.from_json(message)
        except ProbeRejected as error:
            raise LineLost(str(error)) from None
        yield LineProbe(websocket, welcome, congestion)
    finally:
        websocket.transport.abort()
