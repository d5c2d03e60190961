"""One TCP connection of the stand-in Jira: bytes in and out, nothing about HTTP.

Written for this stand-in alone, so that it cannot share a bug with the http1 package that it is used to
test. Reading is flow-controlled (at most `READ_AHEAD` bytes are held), writing waits for the socket.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable

READ_AHEAD = 1024 * 1024
WRITE_AHEAD = 1024 * 1024


class Disconnected(Exception):
    """The client is gone: it closed, reset, or cut its request short."""


class HeadTooLarge(Exception):
    """No blank line within the limit; `received` is what came."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"no end of head within {len(received)} bytes")
        self.received = received


class WireConnection(asyncio.Protocol):
    """A connection with pull-style reading. `on_gone` is called once when the client is gone."""

    def __init__(self, opened: Callable[["WireConnection"], None]) -> None:
        self.id = 0
        self.peer = ""
        self.gone = False
        self.closed_here = False  # we hung up, not the client
        self.on_gone: Callable[[], None] = lambda: None
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._reading_paused = False
        self._data_waiter: asyncio.Future[None] | None = None
        self._room_waiter: asyncio.Future[None] | None = None
        self._full = False

    @property
    def transport(self) -> asyncio.Transport:
        """The transport below; only valid once connected."""
        if self._transport is None:
            raise Disconnected
        return self._transport

    # -- callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_AHEAD)
        peername = transport.get_extra_info("peername")
        self.peer = f"{peername[0]}:{peername[1]}" if isinstance(peername, tuple) else ""
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > READ_AHEAD and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        self._client_gone()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._client_gone()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake_writer()

    def _client_gone(self) -> None:
        if self.gone:
            return
        self.gone = True
        self._wake_reader()
        self._wake_writer()
        self.on_gone()

    def _wake_reader(self) -> None:
        if self._data_waiter is not None and not self._data_waiter.done():
            self._data_waiter.set_result(None)

    def _wake_writer(self) -> None:
        if self._room_waiter is not None and not self._room_waiter.done():
            self._room_waiter.set_result(None)

    # -- reading

    async def read_head(self, limit: int) -> bytes | None:
        """Everything up to and including the first blank line, or None when the client closed between requests.

        Raises HeadTooLarge, or Disconnected when the client closed within a head.
        """
        while True:
            head = self._take_head(limit)
            if head is not None:
                return head
            if self.gone:
                if self._size:
                    raise Disconnected
                return None
            await self._wait_for_data()

    def _take_head(self, limit: int) -> bytes | None:
        if not self._chunks:
            return None
        data = b"".join(self._chunks).lstrip(b"\r\n")  # Tomcat skips blank lines before a request line
        end = data.find(b"\r\n\r\n")
        if end + 4 > limit or (end < 0 and len(data) > limit):
            raise HeadTooLarge(data[:limit])
        head, rest = (data[: end + 4], data[end + 4 :]) if end >= 0 else (None, data)
        self._chunks.clear()
        if rest:
            self._chunks.append(rest)
        self._size = len(rest)
        return head

    async def read_line(self, limit: int = 4096) -> bytes:
        """One line of the chunked coding without its CRLF."""
        while True:
            data = b"".join(self._chunks)
            end = data.find(b"\r\n")
            if end >= 0:
                self._replace(data[end + 2 :])
                return data[:end]
            if len(data) > limit or self.gone:
                raise Disconnected
            self._replace(data)
            await self._wait_for_data()

    async def read_some(self, limit: int) -> bytes:
        """Between 1 and `limit` bytes, as they came. Raises Disconnected when no more will come."""
        while not self._chunks:
            if self.gone:
                raise Disconnected
            await self._wait_for_data()
        chunk = self._chunks.popleft()
        if len(chunk) > limit:
            self._chunks.appendleft(chunk[limit:])
            chunk = chunk[:limit]
        self._size -= len(chunk)
        self._resume_if_low()
        return chunk

    @property
    def has_data(self) -> bool:
        """Whether bytes wait to be read."""
        return bool(self._chunks)

    def _replace(self, rest: bytes) -> None:
        self._chunks.clear()
        if rest:
            self._chunks.append(rest)
        self._size = len(rest)
        self._resume_if_low()

    def _resume_if_low(self) -> None:
        if self._reading_paused and self._size < READ_AHEAD // 4 and not self.gone:
            self._reading_paused = False
            self.transport.resume_reading()

    async def _wait_for_data(self) -> None:
        self._resume_if_low()
        self._data_waiter = asyncio.get_running_loop().create_future()
        await self._data_waiter

    # -- writing

    async def write(self, data: bytes | memoryview) -> None:
        """Hand bytes to the socket and wait while it is full. Raises Disconnected."""
        if self.gone:
            raise Disconnected
        self.transport.write(data)
        while self._full:
            if self.gone:
                raise Disconnected
            self._room_waiter = asyncio.get_running_loop().create_future()
            await self._room_waiter

    def close(self) -> None:
        """Send what is buffered, then close in the ordinary way (FIN)."""
        self.closed_here = True
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Close with a TCP reset, as a crashed or killed server does."""
        self.closed_here = True
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
