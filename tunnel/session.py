"""The pure state of one link: messages in, callbacks out; calls in, messages out.

Owns the streams of both sides, HELLO, GOAWAY and the round trip; reads no clock but the one it was given, does no I/O.
`receive` dispatches straight to each stream's receiver: there is no event object per frame, because the gateway
pays for every frame of every request. After any call, `take_message` may have something to say; `on_output` tells.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from tunnel.budget import PLAIN_WINDOW, Budget
from tunnel.errors import ErrorCode, LocalProtocolError, Progress, StreamRefused
from tunnel.frames import (
    MAX_CREDIT,
    MAX_MESSAGE,
    VERSIONS,
    FrameType,
    GoAway,
    Hello,
    encode_go_away,
    encode_hello,
    encode_settings,
    frame,
)
from tunnel.heads import (
    NO_BODY,
    HeadTooLarge,
    RequestHead,
    encode_request,
)
from tunnel.inbox import Inbox
from tunnel.outbox import MAX_QUEUED_HEADS, Outbox
from tunnel.registry import OpenStreams
from tunnel.roundtrip import RoundTrip
from tunnel.streams import DONE, Stream, StreamReceiver, body_length
from tunnel.windows import UNKNOWN_LENGTH, ReceiveWindow

__all__ = ["Role", "Session"]

MAX_STREAMS: Final = 4096
STREAM_LOAD: Final = 16 * 1024  # what an open stream weighs in `load`, beside its queued bytes
BULK_LOAD: Final = 256 * 1024  # and one whose peer sends more than fits a first window: its queue is at the peer

Accept = Callable[[Stream, RequestHead], StreamReceiver]


class Role(Enum):
    """Which side we are; the value is our first stream id."""

    AGENT = 1
    GATEWAY = 2


class Session:
    """One link's state. Callbacks (`accept`, `on_settings`, `on_fault`, `outbox.on_output`) are set by its Link."""

    def __init__(
        self,
        role: Role,
        *,
        budget: Budget,
        clock: Callable[[], float],
        software: str = "",
        max_streams: int = MAX_STREAMS,
    ) -> None:
        """`max_streams`: how many streams the peer may have open here; `clock`: monotonic seconds."""
        self.role = role
        self.budget = budget
        self.clock = clock
        self.max_streams = max_streams
        self.outbox = Outbox(budget, self._on_sent, self._on_eased)
        self.outbox.clock = clock
        self.accept: Accept = _accept_nothing
        self.on_settings: Callable[[dict[bytes, bytes]], None] = _ignore_settings
        self.on_fault: Callable[[Stream | None, Exception], None] = _raise_fault
        self.peer: Hello | None = None
        self.version = 0
        self.go_away_sent: GoAway | None = None
        self.go_away_received: GoAway | None = None
        self.is_closed = False
        self.pings = RoundTrip()
        self.bulk = 0  # open streams whose peer has got more credit than a first window
        self.registry = OpenStreams(role.value)
        # Requests come again at the agent. What agents send differs, and their memory at the gateway is not theirs.
        self._inbox = Inbox(self, {} if role is Role.AGENT else None)
        self.outbox.control(encode_hello(Hello(VERSIONS, PLAIN_WINDOW, max_streams, software)))

    def __repr__(self) -> str:
        return f"<Session {self.role.name} streams={len(self.registry)} usable={self.is_usable} {self.outbox!r}>"

    # What a Link and its owner may ask

    @property
    def is_usable(self) -> bool:
        """Streams may be opened: HELLO is done, nobody drains, nothing is closed."""
        return self.peer is not None and not self.is_draining and not self.is_closed

    @property
    def is_draining(self) -> bool:
        """Either side has sent GOAWAY."""
        return self.go_away_sent is not None or self.go_away_received is not None

    @property
    def streams(self) -> int:
        """Open streams, of both sides."""
        return len(self.registry)

    @property
    def load(self) -> int:
        """Figure for choosing the link with the least work, in bytes."""
        return len(self.registry) * STREAM_LOAD + self.bulk * BULK_LOAD + self.outbox.queued_bytes

    @property
    def round_trip(self) -> float | None:
        """Seconds, the least of the latest measurements; None before the first."""
        return self.pings.least

    # What the program does

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> Stream:
        """Open a stream. A request with no body, or an empty one, has ended our half with this call.

        Raises:
            StreamRefused: LINK_LOST, DRAINING, OVERLOADED, or BAD_REQUEST for a head that does not fit.
            LocalProtocolError: a field cannot be encoded.
        """
        initial_window = self._may_open()
        stream = Stream(self, self.registry.next_id, head)
        credit = self.budget.reserve_window(0 if stream.is_head else MAX_CREDIT)
        if credit is None:
            raise StreamRefused(ErrorCode.OVERLOADED)
        is_empty = head.body in {NO_BODY, 0}
        try:
            encoded = encode_request(head, stream.id, credit, end=is_empty)
        except LocalProtocolError as error:
            self.budget.release(credit)
            if isinstance(error, HeadTooLarge):
                raise StreamRefused(ErrorCode.BAD_REQUEST) from error
            raise
        stream.receiver = receiver
        stream.window = ReceiveWindow(self.budget, credit, UNKNOWN_LENGTH)
        stream.credit = initial_window
        stream.begin(body_length(head.body), is_over=is_empty)
        self.registry.add_own(stream)
        self.outbox.head(stream, encoded)
        return stream

    def _may_open(self) -> int:
        """The credit that the peer gives to a new request's body."""
        if self.is_closed:
            raise StreamRefused(ErrorCode.LINK_LOST)
        if self.registry.is_exhausted and self.go_away_sent is None:
            self.go_away()  # out of ids: the link must be replaced
        if self.peer is None or self.is_draining:
            raise StreamRefused(ErrorCode.DRAINING)
        if self.registry.own >= self.peer.max_streams or self.outbox.head_bytes > MAX_QUEUED_HEADS:
            raise StreamRefused(ErrorCode.OVERLOADED)
        return self.peer.initial_window

    def announce(self, settings: dict[bytes, bytes]) -> None:
        """Tell the peer news about us (docs/protocol.md §4.6)."""
        self.outbox.control(encode_settings(settings))

    def ping(self) -> None:
        """Ask for a sign of life, and measure the round trip."""
        payload = self.pings.start(self.clock())
        self.outbox.control(frame(FrameType.PING, payload))

    def forget_fields(self) -> None:
        """Forget what requests had in common: it holds secrets. Call it every second or so."""
        self._inbox.forget()

    def go_away(self, code: ErrorCode = ErrorCode.DRAINING, retry_after_ms: int = 0, detail: str = "") -> None:
        """Accept and open no more streams; those that are open go on."""
        last = self.go_away_sent.last_id if self.go_away_sent else self.registry.last_peer_id
        away = GoAway(last, code, retry_after_ms, detail)
        if away != self.go_away_sent:
            self.go_away_sent = away
            self.outbox.control(encode_go_away(away))

    def take_message(self, limit: int = MAX_MESSAGE) -> bytes:
        """Compose the next message; empty when there is nothing to say. Call it until then after each on_output."""
        return self.outbox.take(limit)

    def lose(self, detail: str) -> None:
        """The link is gone: end every stream with LINK_LOST."""
        self.is_closed = True
        for stream in self.registry:
            if not stream.is_closed:  # a callback before may have ended it
                self.end(stream, ErrorCode.LINK_LOST, stream.progress, detail)

    def receive(self, message: bytes) -> None:
        """Take one message from the peer and call whom it concerns.

        Raises:
            RemoteProtocolError: the peer broke docs/protocol.md; send GOAWAY(code) and close the link.
        """
        self._inbox.receive(message)

    # Streams

    def _on_sent(self, stream: Stream) -> None:
        if stream.receiving == DONE:
            self.complete(stream)
            del (
                stream.receiver
            )  # it has heard everything; receivers hold their streams, and a cycle waits for the collector

    def complete(self, stream: Stream) -> None:
        """Both halves are done; what was delivered may still be consumed."""
        self.forget(stream)
        if stream.window is not None:
            stream.window.close()

    def _on_eased(self, stream: Stream) -> None:
        if stream.is_closed:
            return
        try:
            stream.receiver.on_writable()
        except Exception as error:  # noqa: BLE001 - see _begin
            self.fault(stream, error)

    def forget(self, stream: Stream) -> None:
        """Drop a stream from the books; its window is the caller's business."""
        stream.is_closed = True
        if stream.is_bulk:
            self.bulk -= 1
        self.registry.remove(stream)
        self.outbox.drop(stream)

    def end(self, stream: Stream, code: ErrorCode, progress: Progress, detail: str) -> None:
        """The stream is gone before its end: give everything back and tell its receiver."""
        self.forget(stream)
        stream.abandon()
        self.report_end(stream, code, progress, detail)

    def report_end(self, stream: Stream, code: ErrorCode, progress: Progress, detail: str) -> None:
        """Make the last call to a receiver."""
        stream.is_reset = True
        try:
            stream.receiver.on_reset(code, progress, detail)
        except Exception as error:  # noqa: BLE001 - see _begin
            self.on_fault(stream, error)

    def fault(self, stream: Stream, error: Exception) -> None:
        """The program's receiver raised: end this stream, tell it once, report the bug."""
        self.on_fault(stream, error)
        was_reset, progress = stream.is_reset, stream.progress
        stream.reset(ErrorCode.INTERNAL, progress)
        if not was_reset and hasattr(stream, "receiver"):
            self.report_end(stream, ErrorCode.INTERNAL, progress, "")


def _accept_nothing(_stream: Stream, _head: RequestHead) -> StreamReceiver:
    raise LocalProtocolError("nobody accepts streams on this session")


def _ignore_settings(_settings: dict[bytes, bytes]) -> None:
    """Nobody wants to know."""


def _raise_fault(_stream: Stream | None, error: Exception) -> None:
    raise error
