"""Runs one Session on one websocket: the only file of the tunnel that sends and receives.

Two tasks and a look every second: the reader never waits for a stream, the writer is the only one that sends, the look
pings and declares the link dead. A dead link is aborted, never closed politely: `ping()` and `close()` of a full
websocket can wait for ever (tests/integration/test_link.py).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

import structlog
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from tunnel.errors import CloseReason, ErrorCode, LinkClosed, RemoteProtocolError
from tunnel.frames import KIB, MAX_MESSAGE, refuse
from tunnel.heads import RequestHead
from tunnel.liveness import USUAL, Timings
from tunnel.pace import Pace
from tunnel.rounds import rounds_of
from tunnel.session import Accept, Session
from tunnel.sockets import restart_bbr, socket_activity
from tunnel.streams import Stream, StreamReceiver
from tunnel.traffic import Traffic

__all__ = ["SUBPROTOCOL", "WEBSOCKET_OPTIONS", "Link", "Timings"]

SUBPROTOCOL: Final = "jira-tunnel.v1"
# For dialer and listener alike. Own PINGs (no ping_interval), no deflate (25 MB/s), a small write buffer so that the
# order of the outbox is the order on the wire, and room for one whole message.
WEBSOCKET_OPTIONS: Final[dict[str, object]] = {
    "compression": None,
    "ping_interval": None,
    "max_size": MAX_MESSAGE,
    "write_limit": 64 * KIB,
    "close_timeout": 1,
}
WRITE_TURN_BYTES: Final = 1024 * KIB  # then other tasks get the loop: send() does not yield while the buffer has room
BULK_PAUSE: Final = 10.0
_DRAIN_POLL: Final = 0.02

_log = structlog.get_logger()


class Link:
    """One live websocket. `run` it once; everything else may be called from the same loop at any time."""

    def __init__(
        self,
        websocket: Connection,
        session: Session,
        accept: Accept,
        *,
        on_settings: Callable[[dict[bytes, bytes]], None] | None = None,
        timings: Timings = USUAL,
    ) -> None:
        """`accept` is called for every stream that the peer opens, and returns its receiver."""
        self._websocket = websocket
        self._session = session
        self._timings = timings
        self._clock = session.clock
        self._output = asyncio.Event()
        self._ended: LinkClosed | None = None  # why, as soon as we know it ourselves
        self._last_in = self._last_out = self._last_ping = self._last_look = self.opened_at = self._clock()
        self._pinged_bytes = 0
        self._is_sending = False
        self._pace = Pace()
        self._bulk_at = -inf
        self._acked_bytes = 0
        self.bytes_in = 0
        self.bytes_out = 0
        session.accept = accept
        session.on_fault = self._report_fault
        session.outbox.on_output = self._output.set
        session.outbox.on_bulk = self._begin_bulk
        if on_settings is not None:
            session.on_settings = on_settings

    def __repr__(self) -> str:
        return f"<Link {self._session!r} in={self.bytes_in} out={self.bytes_out}>"

    @property
    def load(self) -> int:
        """Figure for choosing the link with the least work; see Session.load."""
        return self._session.load

    @property
    def is_usable(self) -> bool:
        """HELLO is done, neither side drains, nothing is closed."""
        return self._ended is None and self._session.is_usable

    @property
    def draining(self) -> bool:
        """Either side has sent GOAWAY."""
        return self._session.is_draining

    @property
    def streams(self) -> int:
        """Open streams, of both sides."""
        return self._session.streams

    @property
    def rtt(self) -> float | None:
        """Round trip in seconds; None before the first."""
        return self._session.round_trip

    @property
    def ping(self) -> float | None:
        """What the latest PING took, in seconds, waiting behind our own bytes included; None before the first."""
        return self._session.pings.latest

    @property
    def software(self) -> str:
        """What the peer calls itself; empty before its HELLO."""
        return self._session.peer.software if self._session.peer else ""

    @property
    def traffic(self) -> Traffic:
        """What it has carried until now."""
        return Traffic(self.bytes_in, self.bytes_out, self._session.outbox.blocked_seconds)

    def waiting_bytes(self) -> tuple[int, int, int, int, int]:
        """Return how many bytes wait to be sent, in each of tunnel.traffic.LANES."""
        return self._session.outbox.waiting_bytes()

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> Stream:
        """Open a stream; see Session.open_stream.

        Raises:
            StreamRefused: not now.
        """
        return self._session.open_stream(head, receiver)

    def announce(self, settings: dict[bytes, bytes]) -> None:
        """Tell the peer news about us; its `on_settings` gets them."""
        self._session.announce(settings)

    def go_away(self, code: ErrorCode = ErrorCode.DRAINING, retry_after_ms: int = 0) -> None:
        """Accept and open no more streams; those that are open finish."""
        self._session.go_away(code, retry_after_ms)

    async def drain(self, seconds: float) -> None:
        """Go away, and return when no stream is open and everything is written, or when the time is up."""
        self.go_away()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._ended is None and not self._is_quiet():  # noqa: ASYNC110 - the transport's buffer has no event
                    await asyncio.sleep(_DRAIN_POLL)

    def _is_quiet(self) -> bool:
        is_written = not self._output.is_set() and not self._is_sending
        return not self._session.streams and is_written and not self._websocket.transport.get_write_buffer_size()

    def abort(self, reason: CloseReason = CloseReason.ABORTED) -> None:
        """Drop the link at once: it takes no stream any more, and `run` ends in the next turns of the loop."""
        self._fail(LinkClosed(reason))

    async def run(self) -> None:
        """Carry the session until the link is gone.

        Raises:
            LinkClosed: always, unless cancelled: why it is gone. Every open stream has had its on_reset by then.
        """
        self._last_ping = self._last_look = self._clock()
        rounds = rounds_of(asyncio.get_running_loop(), self._timings.tick)
        rounds.add(self)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write())
                await self._read()  # in the body: only then is cancelling() exact below (Python 3.11)
        except BaseExceptionGroup as group:
            current = asyncio.current_task()
            if current is not None and current.cancelling():  # cpython #116720: a cancellation must not be lost
                raise asyncio.CancelledError from group
            if group.split(_LinkEnded)[1] is not None:
                raise
        finally:
            rounds.discard(self)
            self._ended = self._ended or LinkClosed(CloseReason.ABORTED)
            self._session.lose(str(self._ended))
            self._websocket.transport.abort()
        raise self._ended

    async def _read(self) -> None:
        websocket, session = self._websocket, self._session
        try:
            while True:
                message = await websocket.recv()
                self._last_in = self._clock()
                self.bytes_in += len(message)
                if isinstance(message, str):
                    raise refuse("a text message")
                session.receive(message)
        except ConnectionClosed as error:
            raise self._end(self._peer_closed(error)) from None
        except RemoteProtocolError as error:
            self._end(LinkClosed(CloseReason.PEER_ERROR, error.code, error.detail))
            await self._say_goodbye(error)
            raise _LinkEnded from None

    def _peer_closed(self, error: ConnectionClosed) -> LinkClosed:
        away = self._session.go_away_received
        if away is not None:
            return LinkClosed(CloseReason.PEER_WENT_AWAY, away.code, away.detail, away.retry_after_ms)
        return LinkClosed(CloseReason.PEER_CLOSED, detail=str(error))

    async def _say_goodbye(self, error: RemoteProtocolError) -> None:
        """Tell the peer why, as far as it can be written in a second."""
        self._session.go_away(error.code, detail=error.detail)
        with suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(self._timings.farewell):
                await self._websocket.send(self._session.take_message())
                await self._websocket.close()

    async def _write(self) -> None:
        websocket, session, pace = self._websocket, self._session, self._pace
        spent = 0
        while self._can_send:  # what is not taken is known to be unsent
            message = b"" if websocket.paused else session.take_message()
            began = self._clock()
            if message:
                self._hand_over(message)
            if websocket.paused:
                await self._wait_for_room()
            elif not message:
                self._output.clear()
                pace.rest()
                await self._output.wait()
                spent = 0
                continue
            self._last_out = self._clock()
            if pace.sent(len(message), began, self._last_out):
                session.outbox.limit_data(pace.limit)
            spent += len(message)
            if spent > WRITE_TURN_BYTES:
                await asyncio.sleep(0)
                spent = 0

    @property
    def _can_send(self) -> bool:
        websocket = self._websocket
        return self._ended is None and websocket.state is State.OPEN and not websocket.transport.is_closing()

    def _hand_over(self, message: bytes) -> None:
        """Do what `Connection.send` does when there is room; its general way takes three times as long."""
        self._websocket.protocol.send_binary(message)
        self._websocket.send_data()
        self.bytes_out += len(message)

    async def _wait_for_room(self) -> None:
        """Wait until the transport takes more; raises `_LinkEnded` when it will not."""
        self._is_sending = True
        try:
            async with self._websocket.send_context():
                pass  # leaving it is what waits
        except ConnectionClosed as error:
            raise self._end(self._peer_closed(error)) from None
        self._is_sending = False

    def _begin_bulk(self) -> None:
        """A transfer begins: where there was none for a while, the line's rate has to be found first."""
        now, before = self._clock(), self._bulk_at
        self._bulk_at = now
        if now - before > BULK_PAUSE:
            restart_bbr(self._websocket.transport.get_extra_info("socket"))

    def look(self) -> None:
        """Ask for a sign of life, or end the link, when it is time (tunnel.rounds.Watched)."""
        now, before = self._clock(), self._last_look
        self._last_look = now
        self._session.forget_fields()
        if now - before > 2 * self._timings.tick:
            return  # our own loop stood still: the peer's bytes may be waiting for us to read them
        reason = self._fault(now)
        if reason is not None:
            self._fail(LinkClosed(reason))
        elif self._is_ping_due(now):
            self._last_ping = now
            self._pinged_bytes = self.bytes_in + self.bytes_out
            self._session.ping()

    def _fault(self, now: float) -> CloseReason | None:
        """Why the link is dead."""
        timings = self._timings
        if self._session.peer is None and now - self.opened_at > timings.hello:
            return CloseReason.NO_HELLO
        self._ask_the_kernel(now)
        if now - self._last_in > timings.dead:
            return CloseReason.SILENT
        if self._is_sending and now - self._last_out > timings.dead:
            return CloseReason.STALLED
        return None

    def _is_ping_due(self, now: float) -> bool:
        session, moved = self._session, self.bytes_in + self.bytes_out - self._pinged_bytes
        if session.peer is None:
            return False
        is_known = session.round_trip is not None
        return self._timings.is_ping_due(now - self._last_ping, now - self._last_in, moved, is_known=is_known)

    def _ask_the_kernel(self, now: float) -> None:
        """On a slow line one message takes longer than a dead link lives: count bytes before they are a message."""
        if now - self._last_in < self._timings.dead / 2 and not self._is_sending:
            return
        activity = socket_activity(self._websocket.transport)
        if activity is None:
            return
        self._last_in = max(self._last_in, now - activity.silent_seconds)
        if activity.acked_bytes != self._acked_bytes:
            self._acked_bytes = activity.acked_bytes
            self._last_out = now

    def _end(self, reason: LinkClosed) -> "_LinkEnded":
        self._ended = self._ended or reason
        return _LinkEnded()

    def _fail(self, reason: LinkClosed) -> None:
        self._end(reason)
        self._websocket.transport.abort()

    def _report_fault(self, stream: Stream | None, error: Exception) -> None:
        _log.error("stream_receiver_failed", stream=stream.id if stream else 0, exc_info=error)


class _LinkEnded(Exception):
    """The link is over; `Link._ended` says why."""
