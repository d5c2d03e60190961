"""One request on one caller's socket, as the application sees it, and the framing of its answer.

Knows how an answer is framed; knows nothing of deadlines, parsing or the next request: that is the socket's business
(server.py).
"""

from collections.abc import Iterable
from typing import Protocol

from http1.encoding import encode_chunk, encode_last_chunk, encode_response, response_framing
from http1.errors import RequestRejected
from http1.messages import STREAMED, Headers, RequestHead


class ExchangeReceiver(Protocol):
    """Who handles one request. Synchronous; must not raise. Nothing is called after `Exchange.finish` or `abort`."""

    def on_body(self, data: bytes) -> None:
        """Bytes of the request's body. After `pause_body` up to one more read (http1.memory.WIDE_READ) may come."""

    def on_body_end(self, trailers: Headers) -> None:
        """The request is complete: called once, also when it has no body, unless `on_disconnect` came before."""

    def on_writable(self) -> None:
        """The caller's socket takes bytes again."""

    def on_disconnect(self) -> None:
        """The caller hung up or broke its body before the answer was finished; last callback."""


class Application(Protocol):
    """What answers requests. Synchronous; must not raise."""

    def begin(self, exchange: "Exchange") -> ExchangeReceiver | None:
        """Take a request. None: it is answered already, and what comes of its body is discarded."""

    def reject(self, peer: str, rejection: RequestRejected, request: RequestHead | None) -> tuple[int, Headers, bytes]:
        """Return status, headers and body for a request that never became an exchange; the socket closes afterwards."""


class AnswerSocket(Protocol):
    """What an exchange needs of its socket."""

    def is_last_answer(self, exchange: "Exchange") -> bool:
        """Say whether the socket will close after this answer, so that its head can tell."""

    def send(self, pieces: list[bytes]) -> None:
        """Send bytes soon: what is sent in one turn of the loop leaves together."""

    def answer_done(self, exchange: "Exchange") -> None:
        """The answer is complete."""

    def answer_broken(self, *, reset: bool) -> None:
        """Close so that the caller cannot take the answer for complete."""

    def pause_body(self) -> None:
        """Stop reading."""

    def resume_body(self) -> None:
        """Read again."""


class Exchange:
    """One request and its answer. Every method is a no-op once the caller is gone or the answer is over."""

    __slots__ = (
        "_bodyless", "_chunked", "_left", "_open_ended", "_socket", "closes", "is_rejected", "peer", "received",
        "receiver", "request", "responded", "sent", "started", "writable",
    )  # fmt: skip

    def __init__(self, socket: AnswerSocket, request: RequestHead, peer: str, started: float) -> None:
        self.request = request
        self.peer = peer
        self.started = started  # loop time at which the head was complete
        self.writable = True  # False: the caller's socket is full; stop, and wait for on_writable
        self.receiver: ExchangeReceiver | None = None
        self.responded = False
        self.received = 0  # bytes of the request's body so far
        self.sent = 0  # bytes of the answer's body so far, without framing
        self.is_rejected = False  # the request broke HTTP's rules after its head: `Application.reject` answers it
        self.closes = False  # the head of the answer said that the socket will close
        self._socket: AnswerSocket | None = socket
        self._bodyless = False
        self._chunked = False
        self._open_ended = False  # the length of the answer is not known
        self._left = 0  # bytes of the answer still to write, unless open-ended

    @property
    def is_over(self) -> bool:
        """The answer is complete, or nobody waits for it any more."""
        return self._socket is None

    def respond(self, status: int, headers: Headers, body: int) -> None:
        """Send the head of the answer; `body` as in http1.messages, NO_BODY becomes a length of 0 where one is needed.

        Answers to HEAD and with status 204 or 304 never have a body: what is written to them is dropped. Raises
        UnsendableHead (nothing was sent then, another answer is possible).
        """
        if self._socket is None or self.responded:
            return
        http_1_0 = self.request.http_1_0
        is_head = self.request.method == b"HEAD"
        bodyless = is_head or status in {204, 304}
        framing = [] if bodyless and not is_head else response_framing(body, bodyless=bodyless, http_1_0=http_1_0)
        until_close = body == STREAMED and http_1_0 and not bodyless
        closes = until_close or self._socket.is_last_answer(self)
        if closes:
            framing.append(b"Connection: close")
        elif http_1_0:
            framing.append(b"Connection: keep-alive")
        head = encode_response(status, headers, framing)
        self.responded = True
        self.closes = closes
        self._bodyless = bodyless
        self._chunked = body == STREAMED and not http_1_0 and not bodyless
        self._open_ended = body == STREAMED
        self._left = max(body, 0)
        self._socket.send([head])

    def write(self, data: bytes) -> None:
        """Send bytes of the answer's body.

        More than the declared length closes the socket: a wrong frame never leaves.
        """
        if self._socket is None or self._bodyless or not data:
            return
        if not self._open_ended:
            self._left -= len(data)
        if not self.responded or self._left < 0:
            self.abort()
        else:
            self.sent += len(data)
            self._socket.send(encode_chunk(data) if self._chunked else [data])

    def finish(self, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """End the answer. Less than the declared length closes the socket instead."""
        if self._socket is None:
            return
        if not self.responded or (self._left > 0 and not self._bodyless):
            self.abort()
            return
        if self._chunked:
            self._socket.send([encode_last_chunk(trailers)])
        socket = self.detach()
        if socket is not None:
            socket.answer_done(self)

    def abort(self) -> None:
        """Close the caller's connection so that what was sent cannot be taken for a complete answer."""
        until_close = self.responded and self._open_ended and not self._chunked and not self._bodyless
        socket = self.detach()
        if socket is not None:
            socket.answer_broken(reset=until_close)

    def pause_body(self) -> None:
        """Ask for no more of the request's body for now."""
        if self._socket is not None:
            self._socket.pause_body()

    def resume_body(self) -> None:
        """Take more of the request's body again."""
        if self._socket is not None:
            self._socket.resume_body()

    def detach(self) -> AnswerSocket | None:
        """Cut the exchange from its socket (for the socket); returns the socket when it was still attached."""
        socket, self._socket = self._socket, None
        return socket
