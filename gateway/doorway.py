"""Lets sockets in that come through a load balancer: its PROXY header, then TLS, then the listener's own protocol.

Only for peers that are trusted; the bytes of all others go straight on. Where a listener has a doorway, the doorway
does its TLS, because the header comes before it. Knows nothing of what is served behind it.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import structlog

from gateway.proxy_protocol import HEADER_BYTES, ProxyHeaderRejected, header_length, may_begin, read_header
from gateway.trusted_proxies import TrustedProxies

log = structlog.get_logger()

HEADER_SECONDS: Final = 10.0
HANDSHAKE_SECONDS: Final = 10.0


class Admitted(Protocol):
    """What stands behind the door, the transport's protocol to be (an `asyncio.Protocol`)."""

    def admit(self, transport: asyncio.Transport, caller: str) -> None:
        """Begin to serve; `caller` is the address that the load balancer has named, or the peer's own."""

    def data_received(self, data: bytes) -> None:
        """Take bytes."""


@dataclass(frozen=True, slots=True)
class Doorway:
    """How sockets come in. `spawn` runs a coroutine in the listener's TaskGroup; `tls` gives None for plain bytes."""

    proxies: TrustedProxies
    tls: Callable[[], ssl.SSLContext | None]
    spawn: Callable[[Coroutine[Any, Any, None]], object]

    def enter(self, transport: asyncio.BaseTransport, admitted: Admitted) -> None:
        """Take a new plain socket; `admitted` hears of it when it is through, or never."""
        lobby = _Lobby(self, cast("asyncio.Transport", transport), admitted)
        lobby.open()


class _Gathering(asyncio.Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data


class _Lobby(asyncio.Protocol):
    """Where one socket waits. Keeps every byte that it is given: uvloop reads on, whoever pauses it, at the start."""

    def __init__(self, doorway: Doorway, transport: asyncio.Transport, admitted: Admitted) -> None:
        self._doorway = doorway
        self._transport = transport
        self._admitted = admitted
        self._seen = b""
        self._caller: str | None = None  # once it is known, nobody waits any more
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._deadline = asyncio.get_running_loop().call_later(HEADER_SECONDS, transport.abort)

    def open(self) -> None:
        self._transport.set_protocol(self)
        if not self._doorway.proxies.trusts(self._peer):
            self._pass(self._peer)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._caller is None:
            try:
                self._read()
            except ProxyHeaderRejected as rejected:
                log.warning("proxy_header_refused", peer=self._peer, reason=rejected.reason)
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._deadline.cancel()

    def _read(self) -> None:
        if not may_begin(self._seen):
            self._pass(self._peer)
        elif len(self._seen) >= HEADER_BYTES and len(self._seen) >= header_length(self._seen):
            header = read_header(self._seen)
            self._seen = self._seen[header.length :]
            self._pass(header.caller or self._peer)

    def _pass(self, caller: str) -> None:
        self._caller = caller
        self._deadline.cancel()
        context = self._doorway.tls()
        if context is None:
            self._admit(self._transport, caller, self._seen)
        else:
            self._doorway.spawn(self._secure(context, caller))
            asyncio.get_running_loop().call_soon(self._hand_over)

    async def _secure(self, context: ssl.SSLContext, caller: str) -> None:
        loop = asyncio.get_running_loop()
        first = _Gathering()  # the peer's bytes may be there a turn before the transport is
        try:
            secured = await loop.start_tls(
                self._transport, first, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, ssl.SSLError):  # a TimeoutError is an OSError
            self._transport.abort()
            return
        if secured is not None and not secured.is_closing():
            self._admit(secured, caller, first.seen)

    def _admit(self, transport: asyncio.Transport, caller: str, seen: bytes) -> None:
        transport.set_protocol(cast("asyncio.Protocol", self._admitted))
        self._admitted.admit(transport, caller)
        if seen and not transport.is_closing():
            self._admitted.data_received(seen)

    def _hand_over(self) -> None:
        """Give the TLS protocol what the peer has sent of its handshake so far, before anything more is read.

        In this turn of the loop start_tls has put its protocol in our place; in the next it is told to begin, and
        right behind that it gets these bytes. The loop reads sockets between turns only.
        """
        asyncio.get_running_loop().call_soon(self._feed)

    def _feed(self) -> None:
        tls = self._transport.get_protocol()
        if tls is self:
            return  # start_tls has given up already
        tls = cast("asyncio.BufferedProtocol", tls)  # uvloop's is one by its methods, not by its class
        left = memoryview(self._seen)
        while left:
            room = memoryview(cast("bytearray", tls.get_buffer(len(left))))
            size = min(len(room), len(left))
            room[:size] = left[:size]
            tls.buffer_updated(size)
            left = left[size:]
