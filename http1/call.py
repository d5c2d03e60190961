"""One request to an upstream server, as its owner sees it: the sending half, and the way out.

Knows how a request body is framed, and keeps what was written until a socket is there. Knows nothing of pools or
parsing.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from http1.encoding import encode_chunk, encode_last_chunk
from http1.errors import ClientFailure, FailureKind, Progress
from http1.messages import NO_BODY, STREAMED
from http1.origin import ResponseReceiver

HELD_BYTES: Final = 16 * 1024  # what is kept for a socket that is not there yet before `writable` turns False


class CallSocket(Protocol):
    """What a call needs of its socket."""

    def send(self, pieces: list[bytes]) -> None:
        """Send bytes soon."""

    def request_done(self) -> None:
        """The request is complete."""

    def abandon(self) -> None:
        """Close at once: nobody wants the answer."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""


class Call:
    """One request under way. Every method is a no-op once the answer is over."""

    __slots__ = (
        "_chunked", "_held", "_held_bytes", "_left", "_paused", "_socket", "is_over", "method", "progress", "receiver",
        "request_complete", "writable",
    )  # fmt: skip

    def __init__(self, method: bytes, head: bytes, body: int, receiver: ResponseReceiver) -> None:
        self.method = method
        self.receiver = receiver
        self.writable = True  # False: stop writing, and wait for on_writable
        self.progress = Progress.NOT_SENT
        self.request_complete = body in {NO_BODY, 0}
        self.is_over = False
        self._chunked = body == STREAMED
        self._left = max(body, 0)
        self._held = [head]
        self._held_bytes = 0
        self._socket: CallSocket | None = None
        self._paused = False

    def write(self, data: bytes) -> None:
        """Send a part of the request's body.

        More than the declared length is our bug: the call fails, the socket closes.
        """
        if self.is_over or not data:
            return
        if not self._chunked:
            self._left -= len(data)
        if self.request_complete or self._left < 0:
            self._misused("more request body than declared")
            return
        self._send(encode_chunk(data) if self._chunked else [data])
        if not self._chunked and self._left == 0:
            self._complete()

    def finish(self, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """End the request's body; needless, but harmless, when its length was known and it was written."""
        if self.is_over or self.request_complete:
            return
        if self._left > 0:
            self._misused("less request body than declared")
            return
        self._send([encode_last_chunk(trailers)])
        self._complete()

    def abort(self) -> None:
        """Close the socket at once and hear nothing more."""
        if self.is_over:
            return  # the socket may be carrying someone else's call by now
        self.is_over = True
        self._held.clear()
        if self._socket is not None:
            self._socket.abandon()

    def pause(self) -> None:
        """Take no more of the answer's body for now."""
        self._paused = True
        if self._socket is not None and not self.is_over:
            self._socket.pause()

    def resume(self) -> None:
        """Take the answer's body again."""
        self._paused = False
        if self._socket is not None and not self.is_over:
            self._socket.resume()

    def attach(self, socket: CallSocket) -> None:
        """Go on the wire (for the pool): what was held leaves now."""
        self._socket = socket
        held, self._held = self._held, []
        was_full, self._held_bytes = not self.writable, 0
        socket.send(held)
        if self._paused:
            socket.pause()
        if self.request_complete:
            socket.request_done()
        if was_full:
            self.writable = True
            self.receiver.on_writable()

    def fail(self, kind: FailureKind, reason: str) -> None:
        """Report that there will be no complete answer (for the pool and the socket)."""
        if not self.is_over:
            self.is_over = True
            self.receiver.on_failure(ClientFailure(kind, self.progress, reason))

    def _send(self, pieces: list[bytes]) -> None:
        if self._socket is not None:
            self._socket.send(pieces)
            return
        self._held += pieces
        self._held_bytes += sum(map(len, pieces))
        if self._held_bytes > HELD_BYTES:
            self.writable = False

    def _complete(self) -> None:
        self.request_complete = True
        if self._socket is not None:
            self._socket.request_done()

    def _misused(self, reason: str) -> None:
        if self._socket is not None:
            self._socket.abandon()
        self.fail(FailureKind.PROTOCOL, reason)
