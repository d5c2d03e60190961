"""A peer that speaks version 1 of the tunnel protocol as docs/protocol.md had it first, and never learns more.

Frozen on purpose: it builds and reads frames by itself and imports nothing of ours, so that a change of `tunnel/` that
breaks version 1 cannot break it in the same way. It knows no canary, no renewal, no setting; and it says many things that
we do not know: frames, HELLO keys, settings, metas, codes. Do not extend it; a second version gets a second file.

    peer = PinnedPeer(websocket, first_id=1)      # as an agent (as a gateway: 2)
    await peer.run()                              # until the link is gone
"""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

HELLO, SETTINGS, HEADERS, DATA, TRAILERS, WINDOW_UPDATE, RST_STREAM, PING, GOAWAY = range(1, 10)
END = 1
ACK = 1
BAD_REQUEST = 20
NOT_SENT = 0
NO_BODY, STREAMED = -2, -1

_HEADER = struct.Struct(">BBII")
_HEAD = struct.Struct(">BqIIHH")
_NOISE = _HEADER.pack(200, 0xFF, 4_000_000_001, 5) + b"later" + _HEADER.pack(42, 0, 0, 0)


class Websocket(Protocol):
    """What the peer needs of a websocket."""

    async def send(self, message: bytes) -> None:
        """Send a binary message."""

    async def recv(self) -> Any:
        """Return the next message; raises when the websocket is closed."""


@dataclass
class Exchange:
    """One stream as the peer sees it: what the other side sent on it."""

    fields: list[bytes] = field(default_factory=list)
    metas: dict[bytes, bytes] = field(default_factory=dict)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    status: int = 0
    body: bytes = b""
    reset: tuple[int, int] | None = None
    is_over: bool = False


def frame(kind: int, payload: bytes, stream: int = 0, flags: int = 0) -> bytes:
    """A frame."""
    return _HEADER.pack(kind, flags, stream, len(payload)) + payload


def _hello() -> bytes:
    keys = [
        (1, struct.pack(">HH", 9, 1)),  # a version that nobody else speaks, and ours
        (2, struct.pack(">I", 65536)),
        (3, struct.pack(">I", 4096)),
        (4, "pinned-peer/1 ✓".encode()),
        (77, b"a key of a later version"),
        (65535, b""),
    ]
    return frame(HELLO, b"".join(struct.pack(">HH", key, len(value)) + value for key, value in keys))


def _settings(pairs: dict[bytes, bytes]) -> bytes:
    fields = [each for pair in pairs.items() for each in pair]
    return frame(SETTINGS, b"".join(struct.pack(">H", len(each)) + each for each in fields))


def _head(kind: int, body: int, number: int, credit: int, metas: dict[bytes, bytes], fields: list[bytes]) -> bytes:
    count = (len(fields) - (2 if kind == 1 else 0)) // 2
    first = fields[:2] if kind == 1 else []
    rest = fields[2:] if kind == 1 else fields
    joined = b"\n".join([*first, *(each for pair in metas.items() for each in pair), *rest])
    return _HEAD.pack(kind, body, number, credit, len(metas), count) + joined


class PinnedPeer:
    """One side of one link. `answer` decides what a request gets: a status, or None for no answer at all."""

    def __init__(self, websocket: Websocket, *, first_id: int, settings: dict[bytes, bytes] | None = None) -> None:
        self.streams: dict[int, Exchange] = {}
        self.settings: list[bytes] = []
        self.kinds: list[int] = []
        self.goaway = False
        self.answer: Callable[[Exchange], int | None] = lambda _: 200
        self.changed = asyncio.Event()
        self._websocket = websocket
        self._next_id = first_id
        self._owns = first_id % 2
        self._settings = {b"colour-of-a-later-version": b"blue", b"": b"", **(settings or {})}

    async def run(self) -> None:
        """Greet, and serve until the websocket is closed (whose exception is raised)."""
        await self._websocket.send(_hello() + _NOISE + _settings(self._settings))
        while True:
            message = await self._websocket.recv()
            out, at = b"", 0
            while at < len(message):
                kind, flags, stream, length = _HEADER.unpack_from(message, at)
                at += _HEADER.size
                out += self._take(kind, flags, stream, message[at : at + length])
                at += length
            if out:
                await self._websocket.send(_NOISE + out + _NOISE)
            self.changed.set()

    async def open(self, method: bytes, target: bytes, body: bytes = b"", **metas: bytes) -> Exchange:
        """Send a request, and return what came of it when that is over."""
        stream, self._next_id = self._next_id, self._next_id + 2
        told = {b"request-id": b"r-1", b"mood-of-a-later-version": b"fine"}
        told |= {name.replace("_", "-").encode(): value for name, value in metas.items()}
        fields = [method, target, b"Accept", b"*/*", b"Content-Type", b"text/plain"]
        head = _head(1, len(body) if body else NO_BODY, 5000, 262144, told, fields)
        exchange = self.streams[stream] = Exchange()
        out = frame(HEADERS, head, stream, 0 if body else END)
        await self._websocket.send(_NOISE + out + (frame(DATA, body, stream, END) if body else b""))
        async with asyncio.timeout(10):
            while not exchange.is_over:
                self.changed.clear()
                await self.changed.wait()
        return exchange

    async def go_away(self) -> None:
        """Drain."""
        await self._websocket.send(frame(GOAWAY, struct.pack(">IHI", 2**31, 17, 0) + b"later"))

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self._websocket.send(frame(PING, b"12345678"))

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        self.kinds.append(kind)
        if kind == PING and not flags:
            return frame(PING, payload, flags=ACK)
        if kind == SETTINGS:
            self.settings.append(payload)
        elif kind == GOAWAY:
            self.goaway = True
        elif kind in {HEADERS, DATA, TRAILERS, RST_STREAM}:
            return self._take_stream(kind, flags, stream, payload)
        return b""

    def _take_stream(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        exchange = self.streams.setdefault(stream, Exchange())
        out = b""
        if kind == HEADERS:
            self._read_head(exchange, payload)
        elif kind == DATA:
            exchange.body += payload
            if payload and not flags:
                out = frame(WINDOW_UPDATE, struct.pack(">I", len(payload)), stream)
        elif kind == RST_STREAM:
            exchange.reset = struct.unpack_from(">HB", payload)
            exchange.is_over = True
            return b""
        if kind == TRAILERS or flags & END:
            exchange.is_over = True
            if stream % 2 != self._owns:
                out += self._answered(exchange, stream)
        return out

    def _read_head(self, exchange: Exchange, payload: bytes) -> None:
        kind, _, number, _, metas, _ = _HEAD.unpack_from(payload)
        fields = payload[_HEAD.size :].split(b"\n") if len(payload) > _HEAD.size else []
        start = 2 if kind == 1 else 0
        exchange.fields = fields[:start]
        exchange.status = number if kind == 2 else 0
        pairs = list(zip(fields[start::2], fields[start + 1 :: 2], strict=True))
        exchange.metas, exchange.headers = dict(pairs[:metas]), pairs[metas:]

    def _answered(self, exchange: Exchange, stream: int) -> bytes:
        if b"credentials" not in exchange.metas:  # what is no request to Jira: version 1 knows nothing of the kind
            return frame(RST_STREAM, struct.pack(">HB", BAD_REQUEST, NOT_SENT) + b"what is that?", stream)
        status = self.answer(exchange)
        if status is None:
            return b""
        if status < 100:  # the code of a reset, with a progress that nobody knows
            return frame(RST_STREAM, struct.pack(">HB", 1000 + status, 9) + "später".encode(), stream)
        body = b"%d bytes" % len(exchange.body)
        fields = [b"Content-Type", b"text/plain", b"X-Later", b"1"]
        head = _head(2, len(body), status, 0, {b"jira-us": b"1200", b"weather-of-a-later-version": b"rain"}, fields)
        return frame(HEADERS, head, stream) + frame(DATA, body, stream, END)
