"""One caller's socket: requests in order, one exchange at a time, every wait with a deadline.

Owns the life of the socket: serving, lingering, closing. Framing of answers is exchange.py's, grammar is
request_parser.py's. A caller that sends end-of-file while an answer is due has hung up: clients that wait for an
answer do not half-close, a closed socket looks exactly the same, and Jira's time is to be freed at once.
"""

import asyncio
from enum import Enum, auto
from typing import Final, cast

from http1.encoding import CONTINUE, encode_response
from http1.errors import Rejection, RequestRejected
from http1.exchange import Application, Exchange, ExchangeReceiver
from http1.limits import Limits, OpenSockets
from http1.memory import BoundedReads
from http1.messages import NO_BODY, STREAMED, Headers, RequestHead
from http1.outbox import Outbox
from http1.request_parser import RequestParser
from http1.sweep import NEVER, Sweeper
from http1.untaken import Untaken

__all__ = ["Application", "Exchange", "ExchangeReceiver", "Limits", "OpenSockets", "ServerProtocol"]

FULL_AT: Final = 1  # byte that the kernel does not take: what waits here is to be somebody's in the account of memory
MAX_PIPELINED: Final = 64 * 1024
REQUESTS_PER_TURN: Final = 16  # then other sockets get the loop, however many requests one caller sent at once


class Phase(Enum):
    """What the socket is there for."""

    SERVING = auto()
    LINGERING = auto()  # the last answer is out; what still comes is read, so that a reset does not destroy the answer
    CLOSING = auto()  # the write buffer is flushed, then the socket closes


class ServerProtocol(BoundedReads):
    """One caller's socket. Pass the listener's `sockets` to share a cap, a count and a drain."""

    _transport: asyncio.Transport
    _outbox: Outbox
    _untaken: Untaken

    def __init__(
        self, application: Application, limits: Limits, sweeper: Sweeper, sockets: OpenSockets | None = None
    ) -> None:
        self.deadline = NEVER
        self._application = application
        self._limits = limits
        self._sweeper = sweeper
        self._sockets = sockets if sockets is not None else OpenSockets()
        self._loop = asyncio.get_running_loop()
        super().__init__(self._loop, self._sockets.memory)
        self._parser = RequestParser(self, limits.request, self._sockets.known)
        self.peer = ""  # set before connection_made where the socket's own peer only speaks for somebody
        self._phase = Phase.SERVING
        self._exchange: Exchange | None = None  # until its request is complete and its answer is over
        self._receiver: ExchangeReceiver | None = None  # until the answer is over
        self._request_complete = False
        self._leave_due = False  # the caller waits for 100 Continue before it sends its body
        self._parsing = False  # the parser is on the stack: the next request waits until it returns
        self._will_go_on = False  # pipelined requests wait for the next turn of the loop
        self._writable = True
        self._body_paused = False
        self._reading = True
        self._lingered_bytes = 0
        self._linger_until = 0.0

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._outbox = Outbox(self._loop, self._transport)
        self._untaken = Untaken(self._transport, self._outbox, self._sockets.memory)
        peer = transport.get_extra_info("peername")
        self.peer = self.peer or (str(peer[0]) if isinstance(peer, tuple) else "")
        if not self._sockets.admit(self, self._limits):
            self._phase = Phase.CLOSING
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=FULL_AT)
        self._sweeper.add(self)
        self._sweeper.add(self._sockets.known)
        self.deadline = self._sweeper.now + self._limits.header_seconds

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is gone, whoever closed it."""
        self._phase = Phase.CLOSING
        self._sockets.open.pop(self, None)
        self._sweeper.discard(self)
        self._outbox.clear()
        self._untaken.forget()
        self._hang_up()

    def eof_received(self) -> bool:
        """The caller sends no more: with an answer due, it has hung up."""
        if self._exchange is None or self._exchange.is_over:
            self._close()
        else:
            self._transport.abort()
            self._hang_up()
        return False

    def data_received(self, data: bytes) -> None:
        """Parse, and start what can be started."""
        if self._phase is Phase.SERVING:
            self._advance(data)
        else:
            self._linger_on(len(data))

    def pause_writing(self) -> None:
        """The caller takes less than is sent to it."""
        self._writable = False
        if self._exchange is not None:
            self._exchange.writable = False
        self._arm()

    def resume_writing(self) -> None:
        """The caller's socket has room again."""
        self._writable = True
        self._untaken.forget()
        self._arm()
        if self._exchange is not None:
            self._exchange.writable = True
        if self._receiver is not None:
            self._receiver.on_writable()
        self._go_on()

    # The parser calls these.

    def on_head(self, head: RequestHead) -> None:
        """Begin an exchange."""
        exchange = Exchange(self, head, self.peer, self._loop.time())
        exchange.writable = self._writable
        self._exchange = exchange
        self._leave_due = head.expect_continue
        self._arm()
        receiver = self._application.begin(exchange)
        if exchange.is_over:
            return
        if receiver is None:
            exchange.abort()
            return
        self._receiver = receiver
        if self._leave_due and not exchange.responded:
            self._leave_due = False
            self._outbox.send([CONTINUE])

    def on_body(self, data: bytes) -> None:
        """Pass on a part of the body, or drop it when the answer is over."""
        self._leave_due = False  # the caller did not wait
        if self._exchange is not None:
            self._exchange.received += len(data)
        if self._receiver is not None:
            self._receiver.on_body(data)
        if not self._body_paused:
            self._arm()

    def on_body_end(self, trailers: Headers) -> None:
        """The request is complete."""
        self._request_complete = True
        self._arm()
        if self._receiver is not None:
            self._receiver.on_body_end(trailers)

    # The exchange calls these.

    def is_last_answer(self, exchange: Exchange) -> bool:
        """Say whether the socket closes after this answer."""
        request = exchange.request
        if self._sockets.last_answers or not request.keep_alive:
            return True
        if self._request_complete or request.body in {NO_BODY, 0}:
            return False
        # A caller that was not told to continue may or may not send its body now: the next bytes would be ambiguous.
        return self._leave_due or request.body == STREAMED or request.body > self._limits.discard_bytes

    def send(self, pieces: list[bytes]) -> None:
        """Send a part of the answer."""
        self._outbox.send(pieces)

    def answer_done(self, exchange: Exchange) -> None:
        """Go on: next request, rest of this one, or the end."""
        self._receiver = None
        self._outbox.flush()
        if not self._writable:
            self._untaken.note()
        self._body_paused = False
        if self._request_complete:
            if not self._parsing:
                self._advance(b"")
        elif exchange.closes and exchange.request.body not in {NO_BODY, 0}:
            self._linger()
        else:
            self._update_reading()

    def answer_broken(self, *, reset: bool) -> None:
        """Close before the answer is complete; by a reset when its end would be the end of the stream."""
        self._receiver = None
        if reset:
            self._reset()
        else:
            self._close()

    def pause_body(self) -> None:
        """Stop reading until `resume_body`."""
        self._body_paused = True
        self._arm()
        self._update_reading()

    def resume_body(self) -> None:
        """Read again."""
        self._body_paused = False
        self._arm()
        self._update_reading()

    # The sweeper and the listener call these.

    def expire(self, now: float) -> None:
        """A wait took too long."""
        if self._phase is Phase.LINGERING:
            self._close()
        elif self._phase is Phase.CLOSING or not self._writable:
            self._judge_stall(now)
        elif self._exchange is None and not self._parser.has_begun:
            self._close()
        elif self._exchange is not None and self._exchange.is_over:
            self._reset()
        else:
            self._reject(
                RequestRejected(Rejection.REQUEST_TIMEOUT, "The request did not arrive in time.", self._parser.request)
            )

    def close_when_idle(self) -> None:
        """Close now when no request is under way."""
        if self._exchange is None and not self._parser.has_begun:
            self._close()

    def give_way(self) -> bool:
        """Close now unless a request is being answered, and say so."""
        if self._exchange is None:
            self._transport.abort()
        return self._exchange is None

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self._transport.abort()

    # The life of the socket.

    def _advance(self, data: bytes) -> None:
        """Feed the parser, and go on to the next requests as long as exchanges end on the spot (no recursion).

        Not while the caller takes no answers, and a few per turn only: neither memory nor the loop is one caller's.
        """
        had_begun = self._parser.has_begun
        self._parsing = True
        turns = 0
        try:
            if data:
                self._parser.feed(data)
            while self._may_go_on():
                if turns == REQUESTS_PER_TURN:
                    self._go_on_later()
                    break
                turns += 1
                self._next_request()
        except RequestRejected as rejected:
            self._reject(rejected)
        finally:
            self._parsing = False
        if self._parser.has_begun and not had_begun and self._phase is Phase.SERVING:
            self.deadline = self._sweeper.now + self._limits.header_seconds
        self._update_reading()

    def _may_go_on(self) -> bool:
        exchange = self._exchange
        if exchange is None or not exchange.is_over or not self._request_complete or self._phase is not Phase.SERVING:
            return False
        return self._writable or exchange.closes or not self._parser.waiting_bytes

    def _go_on_later(self) -> None:
        if not self._will_go_on:
            self._will_go_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Take up the requests that had to wait."""
        self._will_go_on = False
        if not self._parsing and self._phase is Phase.SERVING:
            self._advance(b"")

    def _next_request(self) -> None:
        if self._exchange is not None and self._exchange.closes:
            self._close()
            return
        self._exchange = None
        self._request_complete = False
        self._arm()
        self._parser.next_request()

    def _arm(self) -> None:
        """Set the deadline of what is awaited now."""
        if self._phase is not Phase.SERVING:
            return
        limits = self._limits
        if not self._writable:
            self._untaken.judge()
            self.deadline = self._sweeper.now + limits.write_stall_seconds
        elif self._exchange is None:
            seconds = limits.header_seconds if self._parser.has_begun else limits.keep_alive_seconds
            self.deadline = self._sweeper.now + seconds
        elif self._request_complete or self._body_paused:
            self.deadline = NEVER
        else:
            self.deadline = self._sweeper.now + limits.body_idle_seconds

    def _update_reading(self) -> None:
        is_served = self._writable or self._exchange is not None or self._phase is not Phase.SERVING
        wanted = is_served and not self._body_paused and self._parser.waiting_bytes <= MAX_PIPELINED
        if wanted == self._reading or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _reject(self, rejected: RequestRejected) -> None:
        """Answer a request that goes no further, unless its answer has begun; then the socket ends."""
        exchange = self._exchange
        if exchange is not None:
            exchange.is_rejected = not exchange.responded and not exchange.is_over
        self._hang_up()
        if exchange is not None and exchange.responded:
            self._reset()
            return
        status, headers, body = self._application.reject(self.peer, rejected, rejected.request)
        framing = [b"Content-Length: %d" % len(body), b"Connection: close"]
        is_head = rejected.request is not None and rejected.request.method == b"HEAD"
        self._outbox.send([encode_response(status, headers, framing), b"" if is_head else body])
        self._linger()

    def _hang_up(self) -> None:
        """Tell the application that nobody waits any more."""
        if self._exchange is not None:
            self._exchange.detach()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.on_disconnect()

    def _linger(self) -> None:
        self._phase = Phase.LINGERING
        self._outbox.flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._body_paused = False
        self._update_reading()
        self._linger_until = self._sweeper.now + self._limits.linger_seconds
        self._linger_on(0)

    def _linger_on(self, received: int) -> None:
        self._lingered_bytes += received
        if self._lingered_bytes > self._limits.linger_bytes:
            self._reset()
        elif self._phase is Phase.LINGERING:
            self.deadline = min(self._sweeper.now + self._limits.linger_idle_seconds, self._linger_until)

    def _close(self) -> None:
        if self._phase is Phase.CLOSING:
            return
        self._phase = Phase.CLOSING
        self._outbox.flush()
        self._untaken.note()
        self._untaken.judge()
        self.deadline = self._sweeper.now + self._limits.write_stall_seconds
        self._transport.close()

    def _reset(self) -> None:
        """Close by a reset: for the peer, nothing that came before can look like an orderly end."""
        self._phase = Phase.CLOSING
        self._outbox.clear()
        self._untaken.discard()
        self._transport.abort()

    def _judge_stall(self, now: float) -> None:
        if self._untaken.judge():
            self._reset()
        self.deadline = now + self._limits.write_stall_seconds
