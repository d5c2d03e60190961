"""One stream: the states of its two halves, and what the program may do with it.

The table below is the whole state machine (docs/protocol.md §6); both halves of every stream go through it. A step that
is not in it is an error of whoever took it: LocalProtocolError for the half we send, RemoteProtocolError for the other.
Streams are made by the Session; the program talks to them, and they talk back to their StreamReceiver.
"""

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from tunnel.errors import ErrorCode, LocalProtocolError, Progress
from tunnel.frames import encode_reset, encode_window_update
from tunnel.heads import STREAMED, Pairs, RequestHead, ResponseHead, encode_response, encode_trailers
from tunnel.windows import UNKNOWN_LENGTH, ReceiveWindow

if TYPE_CHECKING:
    from tunnel.session import Session

AT_HEAD, IN_BODY, DONE = range(3)  # states of a half
HEAD, DATA, END = range(3)  # steps of a half

_TABLE = {
    (AT_HEAD, HEAD): IN_BODY,
    (IN_BODY, DATA): IN_BODY,
    (IN_BODY, END): DONE,
}
ILLEGAL: Final = -1
# The same table, flat: NEXT[state * 3 + step], because it is read for every frame.
NEXT: Final = tuple(_TABLE.get((state, step), ILLEGAL) for state in range(3) for step in range(3))


class StreamReceiver(Protocol):
    """The program's end of a stream: called synchronously, must not raise.

    Why: docs/decisions/0002-synchronous-request-path.md. After the program's own `Stream.reset` nothing is called
    any more.
    """

    def on_response(self, head: ResponseHead) -> None:
        """The answer begins (opener's side only)."""

    def on_data(self, data: bytes) -> None:
        """Bytes of the peer's body; each must be given to `Stream.consume` sooner or later, or the stream reset."""

    def on_end(self, trailers: Pairs) -> None:
        """The peer's half is complete."""

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """The stream is gone; last call."""

    def on_writable(self) -> None:
        """The stream is choked no more: go on writing."""


def body_length(body: int) -> int:
    """Bytes that a body of this kind will have, UNKNOWN_LENGTH for a streamed one."""
    if body >= 0:
        return body
    return UNKNOWN_LENGTH if body == STREAMED else 0


class Stream:
    """One exchange. All methods do nothing on a stream that is already closed: the peer may have reset it meanwhile."""

    __slots__ = (
        "_session",
        "blocked_at",
        "chunks",
        "credit",
        "end_taken",
        "head_taken",
        "id",
        "is_bulk",
        "is_choked",
        "is_closed",
        "is_head",
        "is_large",
        "is_over",
        "is_reset",
        "is_waiting",
        "queued_bytes",
        "receiver",
        "receiving",
        "send_left",
        "sending",
        "sent",
        "trailers",
        "window",
    )

    receiver: StreamReceiver

    def __init__(self, session: "Session", stream_id: int, request: RequestHead) -> None:
        self._session = session
        self.id = stream_id
        self.is_head = request.method == b"HEAD"
        self.sending = AT_HEAD
        self.receiving = AT_HEAD
        self.send_left = 0  # bytes that our half still promises
        self.credit = 0  # bytes that the peer lets us send now
        self.chunks: deque[bytes | memoryview] = deque()
        self.queued_bytes = 0
        self.blocked_at: float | None = None  # since when there are bytes to send and no credit
        self.sent = 0
        self.trailers = b""  # the whole TRAILERS frame
        self.head_taken = False
        self.end_taken = False
        self.is_choked = False  # more of it waits than may; on_writable is due
        self.is_waiting = False  # stands in a lane of the outbox
        self.is_large = False  # we have sent enough of it to make it bulk
        self.is_bulk = False  # the peer sends more than fits a first window
        self.is_closed = False
        self.is_reset = False
        self.is_over = False  # an empty request: opening it was its end, and ending it again is harmless
        self.window: ReceiveWindow | None = None

    def __repr__(self) -> str:
        return f"<Stream {self.id} {self.sending}/{self.receiving} queued={self.queued_bytes} closed={self.is_closed}>"

    @property
    def progress(self) -> Progress:
        """What is known of a request that this side opened."""
        if not self.head_taken:
            return Progress.NOT_SENT
        return Progress.ANSWERED if self.receiving != AT_HEAD else Progress.SENT

    def begin(self, length: int, *, is_over: bool) -> None:
        """Note that the request's head was queued (opener's side, called by the Session)."""
        self.step(HEAD)
        self.send_left = length
        if is_over:
            self.step(END)
            self.is_over = True

    def respond(self, head: ResponseHead, *, end: bool = False) -> None:
        """Send the answer's head (acceptor's side, once, before data).

        Raises:
            LocalProtocolError: sent before, not encodable, or `end` although a body is promised.
        """
        if self.is_closed:
            return
        encoded = encode_response(head, self.id, end=end)
        self.step(HEAD)
        self.send_left = 0 if self.is_bodiless(head) else body_length(head.body)
        if end:
            self._check_end()
            self.step(END)
        self._session.outbox.head(self, encoded)

    def is_bodiless(self, head: ResponseHead) -> bool:
        """An answer that may name a length without sending it (RFC 9110 §6.4.1)."""
        return self.is_head or head.status == 304

    def send_data(self, data: bytes, *, end: bool = False) -> None:
        """Queue bytes of our body. Look at `is_choked` afterwards, and wait for on_writable while it is.

        Raises:
            LocalProtocolError: before the head, after the end, or not the length that the head promised.
        """
        if self.is_closed or (self.is_over and not data):
            return
        size = len(data)
        if size or not end:
            self.step(DATA)
        if size:
            if size > self.send_left:
                raise LocalProtocolError(f"{size} bytes of a body that has {self.send_left} left")
            self.send_left -= size
            self.chunks.append(data)
        if end:
            self._check_end()
            self.step(END)
        self._session.outbox.data(self, size)

    def send_end(self, trailers: Pairs | None = None) -> None:
        """End our half, with trailers or without; raises as send_data does."""
        if trailers and not self.is_closed:
            frame = encode_trailers(trailers, self.id)
            self.send_data(b"", end=True)
            self.trailers = frame
        else:
            self.send_data(b"", end=True)

    def _check_end(self) -> None:
        if 0 < self.send_left < UNKNOWN_LENGTH // 2:
            raise LocalProtocolError(f"the body ends {self.send_left} bytes early")

    def step(self, step: int) -> None:
        """Take a step of the half that we send."""
        state = NEXT[self.sending * 3 + step]
        if state == ILLEGAL:
            raise LocalProtocolError(f"step {step} in state {self.sending} of stream {self.id}")
        self.sending = state

    def reset(self, code: ErrorCode, progress: Progress = Progress.SENT, detail: str = "") -> None:
        """End both halves at once. On a closed stream: only give up bytes that were not consumed yet."""
        self.is_reset = True
        if self.is_closed:
            self.abandon()
            return
        session = self._session
        must_tell = self.head_taken or not session.registry.is_own(self.id)
        session.forget(self)
        self.abandon()
        if must_tell:
            session.outbox.reset(encode_reset(self.id, code, progress, detail))

    def consume(self, size: int) -> None:
        """Tell the peer that `size` delivered bytes have left our memory.

        Raises:
            LocalProtocolError: more than was delivered.
        """
        window = self.window
        if window is None:
            return  # reset: everything was given back
        session = self._session
        grant = window.consume(size, session.clock(), session.pings.least)
        if grant:
            if not self.is_bulk:
                self.is_bulk = True
                session.bulk += 1
            session.outbox.control(encode_window_update(self.id, grant))

    def abandon(self) -> None:
        """Give back the whole window."""
        if self.window is not None:
            self.window.abandon()
            self.window = None
