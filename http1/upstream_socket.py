"""One socket towards an upstream server: one call at a time.

It goes back to its pool only when everything about it is clean: the answer complete, the request sent, nothing left.
"""

import asyncio
import select
from typing import TYPE_CHECKING, Final, Protocol, cast

from http1.errors import FailureKind, MalformedMessage, Progress
from http1.memory import BoundedReads, Memory
from http1.outbox import Outbox
from http1.response_parser import ResponseParser

if TYPE_CHECKING:
    from http1.call import Call
    from http1.messages import Headers, ResponseHead

FULL_AT: Final = 1  # byte that the kernel does not take: credit is for what has left


class SocketOwner(Protocol):
    """The pool, as its sockets see it."""

    def socket_idle(self, socket: "UpstreamSocket") -> None:
        """The socket can take another request."""

    def socket_gone(self, socket: "UpstreamSocket") -> None:
        """The socket is closed or about to."""


class UpstreamSocket(BoundedReads):
    """The protocol of one socket."""

    _transport: asyncio.Transport
    _outbox: Outbox

    def __init__(self, owner: SocketOwner, memory: Memory) -> None:
        super().__init__(asyncio.get_running_loop(), memory)
        self.idle_since = 0.0  # loop time
        self._owner = owner
        self._call: Call | None = None
        self._parser = ResponseParser(self)
        self._keep_alive = False
        self._gone = False
        self._reading = True
        self._poll = select.poll()

    def is_reusable(self) -> bool:
        """Look at the socket itself: no end-of-file, no error and no unasked byte may wait there.

        The event loop would tell of them only in its next turn, too late for the request that is written in this one.
        """
        return not self._gone and not self._transport.is_closing() and not self._poll.poll(0)

    def begin(self, call: "Call") -> None:
        """Carry a call."""
        self._call = call
        self._parser.expect(call.method)
        if self._gone:  # it closed between the handshake and now
            self._broken(FailureKind.CLOSED, "The server closed the connection at once.")
        else:
            call.attach(self)

    def close(self) -> None:
        """Close an idle socket."""
        self._leave()
        self._transport.close()

    def shut(self) -> None:
        """Close whatever is under way; its call fails."""
        self._broken(FailureKind.CLOSED, "The connection pool is shutting down.")

    # The call calls these.

    def send(self, pieces: list[bytes]) -> None:
        """Send a part of the request."""
        if self._call is not None and self._call.progress is Progress.NOT_SENT and not self._transport.is_closing():
            self._call.progress = Progress.SENT
        self._outbox.send(pieces)

    def request_done(self) -> None:
        """The request is complete: nothing is worth waiting for."""
        self._outbox.flush()

    def abandon(self) -> None:
        """Close at once."""
        self._call = None
        self._outbox.clear()
        self._leave()
        self._transport.abort()

    def pause(self) -> None:
        """Stop reading."""
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._outbox = Outbox(asyncio.get_running_loop(), self._transport)
        self._transport.set_write_buffer_limits(high=FULL_AT)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)

    def data_received(self, data: bytes) -> None:
        """Parse; bytes that nobody asked for end the socket."""
        if self._call is not None:
            self._call.progress = Progress.ANSWERED
        try:
            self._parser.feed(data)
        except MalformedMessage as error:
            self._broken(FailureKind.PROTOCOL, f"Malformed answer: {error.reason}.")
            return
        if self._parser.surplus and not self._gone:
            self.abandon()

    def eof_received(self) -> bool:
        """The server ended the stream."""
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if exc is None:
            self._end()
        else:
            self._broken(FailureKind.CLOSED, f"The connection to the server was lost: {exc}.")

    def pause_writing(self) -> None:
        """The server takes less than is sent to it."""
        if self._call is not None:
            self._call.writable = False

    def resume_writing(self) -> None:
        """The server's socket has room again."""
        if self._call is not None:
            self._call.writable = True
            self._call.receiver.on_writable()

    # The parser calls these.

    def on_head(self, head: "ResponseHead") -> None:
        """The final head."""
        self._keep_alive = head.keep_alive
        if self._call is not None:
            self._call.receiver.on_response(head)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._call is not None:
            self._call.receiver.on_body(data)

    def on_body_end(self, trailers: "Headers") -> None:
        """The answer is complete: give the socket back or close it, then report."""
        call, self._call = self._call, None
        if call is None:
            return
        call.is_over = True
        if self._is_clean and call.request_complete:
            self.resume()
            self._owner.socket_idle(self)
        else:
            self.abandon()
        call.receiver.on_end(trailers)

    @property
    def _is_clean(self) -> bool:
        """Whether nothing of this call is left: what the server has not taken would go before the next request."""
        if not self._keep_alive or self._parser.surplus or self._gone:
            return False
        return not self._transport.get_write_buffer_size()

    def _end(self) -> None:
        """The stream is over: complete for a body that ends so, a failure for any other call."""
        begun = self._parser.has_begun
        try:
            self._parser.feed_eof()
        except MalformedMessage as error:
            self._broken(FailureKind.PROTOCOL if begun else FailureKind.CLOSED, f"The server closed: {error.reason}.")
        self._leave()

    def _broken(self, kind: FailureKind, reason: str) -> None:
        call = self._call
        self.abandon()
        if call is not None:
            call.fail(kind, reason)

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._owner.socket_gone(self)
