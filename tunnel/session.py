"""The pure state of one link: messages in, callbacks out; calls in, messages out.

Owns the streams of both sides, HELLO, GOAWAY and the round trip; reads no clock but the one it was given, does no I/O.
`receive` dispatches straight to each stream's receiver: there is no event object per frame, because the gateway
pays for every frame of every request. After any call, `take_message` may have something to say; `on_output` tells.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

from tunnel.budget import PLAIN_WINDOW, WIDE_WINDOW, Budget
from tunnel.errors import ErrorCode, LocalProtocolError, Progress, StreamRefused
from tunnel.frames import (
    ACK,
    DATA,
    END_STREAM,
    HEADER,
    HEADER_BYTES,
    KNOWN_FLAGS,
    MAX_CREDIT,
    MAX_MESSAGE,
    MAX_PAYLOAD,
    MAX_STREAM_ID,
    VERSIONS,
    FrameType,
    GoAway,
    Hello,
    decode_go_away,
    decode_hello,
    decode_reset,
    decode_settings,
    decode_window_update,
    encode_go_away,
    encode_hello,
    encode_reset,
    encode_settings,
    encode_window_update,
    frame,
    refuse,
)
from tunnel.heads import (
    NO_BODY,
    HeadTooLarge,
    RequestHead,
    ResponseHead,
    decode_head,
    decode_trailers,
    encode_request,
)
from tunnel.outbox import HIGH_WATER, LOW_WATER, MAX_QUEUED_HEADS, Outbox
from tunnel.roundtrip import RoundTrip
from tunnel.streams import DATA as DATA_STEP
from tunnel.streams import DONE, END, HEAD, ILLEGAL, IN_BODY, NEXT, Stream, StreamReceiver, body_length
from tunnel.windows import UNKNOWN_LENGTH, ReceiveWindow

__all__ = ["HIGH_WATER", "LOW_WATER", "Role", "Session"]

MAX_STREAMS: Final = 4096
STREAM_LOAD: Final = 16 * 1024  # what an open stream weighs in `load`, beside its queued bytes

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
        self.outbox = Outbox(self._on_sent, self._on_eased)
        self.accept: Accept = _accept_nothing
        self.on_settings: Callable[[dict[bytes, bytes]], None] = _ignore_settings
        self.on_fault: Callable[[Stream, Exception], None] = _raise_fault
        self.peer: Hello | None = None
        self.version = 0
        self.go_away_sent: GoAway | None = None
        self.go_away_received: GoAway | None = None
        self.ignored_frames = 0
        self.is_closed = False
        self._round_trip = RoundTrip()
        self._receivers = {
            int(FrameType.HELLO): self._receive_hello,
            int(FrameType.SETTINGS): self._receive_settings,
            int(FrameType.HEADERS): self._receive_headers,
            int(FrameType.DATA): self._receive_data,
            int(FrameType.TRAILERS): self._receive_trailers,
            int(FrameType.WINDOW_UPDATE): self._receive_window_update,
            int(FrameType.RST_STREAM): self._receive_reset,
            int(FrameType.PING): self._receive_ping,
            int(FrameType.GOAWAY): self._receive_go_away,
        }
        self._streams: dict[int, Stream] = {}
        self._own_open = 0
        self._own_next = role.value
        self._peer_last = 0
        self.outbox.control(encode_hello(Hello(VERSIONS, PLAIN_WINDOW, max_streams, software)))

    def __repr__(self) -> str:
        return f"<Session {self.role.name} streams={len(self._streams)} usable={self.is_usable} {self.outbox!r}>"

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
        return len(self._streams)

    @property
    def load(self) -> int:
        """Figure for choosing the link with the least work, in bytes."""
        return len(self._streams) * STREAM_LOAD + self.outbox.queued_bytes

    @property
    def round_trip(self) -> float | None:
        """Seconds, the least of the latest measurements; None before the first."""
        return self._round_trip.least

    def is_mine(self, stream_id: int) -> bool:
        """An id that this side opens."""
        return (stream_id ^ self.role.value) & 1 == 0

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    # What the program does

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> Stream:
        """Open a stream. A request with no body, or an empty one, has ended our half with this call.

        Raises:
            StreamRefused: LINK_LOST, DRAINING, OVERLOADED, or BAD_REQUEST for a head that does not fit.
            LocalProtocolError: a field cannot be encoded.
        """
        initial_window = self._may_open()
        stream = Stream(self, self._own_next, head)
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
        self._own_next += 2
        self._own_open += 1
        self._streams[stream.id] = stream
        self.outbox.head(stream, encoded)
        return stream

    def _may_open(self) -> int:
        """The credit that the peer gives to a new request's body."""
        if self.is_closed:
            raise StreamRefused(ErrorCode.LINK_LOST)
        if self._own_next > MAX_STREAM_ID and self.go_away_sent is None:
            self.go_away()  # out of ids: the link must be replaced
        if self.peer is None or self.is_draining:
            raise StreamRefused(ErrorCode.DRAINING)
        if self._own_open >= self.peer.max_streams or self.outbox.head_bytes > MAX_QUEUED_HEADS:
            raise StreamRefused(ErrorCode.OVERLOADED)
        return self.peer.initial_window

    def announce(self, settings: dict[bytes, bytes]) -> None:
        """Tell the peer news about us (docs/protocol.md §4.6)."""
        self.outbox.control(encode_settings(settings))

    def ping(self) -> None:
        """Ask for a sign of life, and measure the round trip."""
        payload = self._round_trip.start(self.clock())
        self.outbox.control(frame(FrameType.PING, payload))

    def go_away(self, code: ErrorCode = ErrorCode.DRAINING, retry_after_ms: int = 0, detail: str = "") -> None:
        """Accept and open no more streams; those that are open go on."""
        last = self.go_away_sent.last_id if self.go_away_sent else self._peer_last
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
        for stream in self:
            self._end(stream, ErrorCode.LINK_LOST, stream.progress, detail)

    # What the peer does

    def receive(self, message: bytes) -> None:
        """Take one message and call whom it concerns.

        Raises:
            RemoteProtocolError: the peer broke docs/protocol.md; send GOAWAY(code) and close the link.
        """
        size = len(message)
        if not HEADER_BYTES <= size <= MAX_MESSAGE:
            raise refuse(f"a message of {size} bytes")
        offset = 0
        while offset < size:
            if self.is_closed:
                return
            if size - offset < HEADER_BYTES:
                raise refuse("a frame header is cut")
            kind, flags, stream_id, length = HEADER.unpack_from(message, offset)
            offset += HEADER_BYTES
            if length > MAX_PAYLOAD or length > size - offset:
                raise refuse(f"a frame of {length} bytes is cut or too large")
            payload = message[offset : offset + length]
            offset += length
            if kind == DATA and self.peer is not None:
                self._receive_data(flags, stream_id, payload)
            else:
                self._receive_frame(kind, flags, stream_id, payload)
        if self.outbox.backlog > 4 * self.max_streams + 64:
            raise refuse("the peer does not read our answers")

    def _receive_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if (self.peer is None) != (kind == FrameType.HELLO):
            raise refuse("HELLO is not the first frame, or not the only one")
        receive = self._receivers.get(kind)
        if receive is None:
            return  # a later version's frame
        if flags & ~KNOWN_FLAGS.get(FrameType(kind), 0):
            raise refuse(f"unknown flags {flags} on {FrameType(kind).name}")
        if (stream_id == 0) != (kind in _OF_SESSION):
            raise refuse(f"{FrameType(kind).name} on stream {stream_id}")
        receive(flags, stream_id, payload)

    def _receive_hello(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        hello = decode_hello(payload)
        self.version = max(set(VERSIONS) & set(hello.versions), default=0)
        if not self.version:
            raise refuse(f"no common version: {hello.versions} and {VERSIONS}")
        self.peer = hello
        self.ping()

    def _receive_settings(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        self.on_settings(decode_settings(payload))

    def _receive_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        head, credit = decode_head(payload)
        if isinstance(head, RequestHead):
            self._receive_request(head, credit, stream_id, is_over=bool(flags))
        elif not self.is_mine(stream_id):
            raise refuse("an answer on a stream of the peer")
        elif stream := self._find(stream_id):
            self._receive_response(head, stream, is_over=bool(flags))

    def _receive_request(self, head: RequestHead, credit: int, stream_id: int, *, is_over: bool) -> None:
        if self.is_mine(stream_id) or stream_id <= self._peer_last:
            raise refuse(f"a request on stream {stream_id} after {self._peer_last}")
        if credit > MAX_CREDIT:
            raise refuse("credit out of range", ErrorCode.FLOW_CONTROL)
        self._peer_last = stream_id
        left = body_length(head.body)
        if is_over and 0 < left < UNKNOWN_LENGTH:
            self._turn_away(stream_id, ErrorCode.PROTOCOL_ERROR)
        elif self.is_draining:
            self._turn_away(stream_id, ErrorCode.DRAINING)
        elif len(self._streams) - self._own_open >= self.max_streams:
            self._turn_away(stream_id, ErrorCode.OVERLOADED)
        else:
            first = 0 if is_over else min(left, PLAIN_WINDOW)
            if self.budget.reserve(first):
                self._begin(
                    Stream(self, stream_id, head),
                    head,
                    credit,
                    ReceiveWindow(self.budget, first, left),
                    is_over=is_over,
                )
            else:
                self._turn_away(stream_id, ErrorCode.OVERLOADED)

    def _turn_away(self, stream_id: int, code: ErrorCode) -> None:
        self.outbox.reset(encode_reset(stream_id, code, Progress.NOT_SENT, ""))

    def _begin(self, stream: Stream, head: RequestHead, credit: int, window: ReceiveWindow, *, is_over: bool) -> None:
        stream.credit = credit
        stream.window = window
        stream.receiving = DONE if is_over else IN_BODY
        self._streams[stream.id] = stream
        try:
            stream.receiver = self.accept(stream, head)
            if is_over and not stream.is_reset:
                stream.receiver.on_end([])
        except Exception as error:  # noqa: BLE001 - a fault of the program ends one stream, never the link
            self._fault(stream, error)
            return
        extra = 0 if stream.is_closed else window.widen(WIDE_WINDOW)
        if extra:
            self.outbox.control(encode_window_update(stream.id, extra))

    def _receive_response(self, head: ResponseHead, stream: Stream, *, is_over: bool) -> None:
        self._step(stream, HEAD)
        window = stream.window
        if window is not None:
            window.expect(0 if stream.is_bodiless(head) else body_length(head.body))
        if is_over and not self._end_half(stream):
            return
        try:
            stream.receiver.on_response(head)
            if is_over and not stream.is_reset:
                stream.receiver.on_end([])
        except Exception as error:  # noqa: BLE001 - see _begin
            self._fault(stream, error)

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        stream = self._streams.get(stream_id)
        if flags & ~END_STREAM or not (payload or flags):
            raise refuse("DATA with unknown flags, or empty")
        if stream is None:
            self._find(stream_id)
            return
        self._step(stream, DATA_STEP)
        if payload and not self._admit(stream, len(payload)):
            return
        if flags and not self._end_half(stream):
            return
        try:
            if payload:
                stream.receiver.on_data(payload)
            if flags and not stream.is_reset:
                stream.receiver.on_end([])
        except Exception as error:  # noqa: BLE001 - see _begin
            self._fault(stream, error)

    def _admit(self, stream: Stream, size: int) -> bool:
        """Charge the window; False when the stream had to be reset."""
        window = stream.window
        if window is None or size > window.left:
            self._break(stream, "more bytes than the head promised")
            return False
        if size > window.credit:
            raise refuse(f"{size} bytes with a credit of {window.credit}", ErrorCode.FLOW_CONTROL)
        window.receive(size)
        return True

    def _receive_trailers(self, _flags: int, stream_id: int, payload: bytes) -> None:
        trailers = decode_trailers(payload)
        stream = self._find(stream_id)
        if stream is None or not self._end_half(stream):
            return
        try:
            stream.receiver.on_end(trailers)
        except Exception as error:  # noqa: BLE001 - see _begin
            self._fault(stream, error)

    def _receive_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        increment = decode_window_update(payload)
        stream = self._find(stream_id)
        if stream is None:
            return
        stream.credit += increment
        if stream.credit > MAX_CREDIT:
            raise refuse("credit out of range", ErrorCode.FLOW_CONTROL)
        self.outbox.offer(stream)

    def _receive_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        reset = decode_reset(payload)
        stream = self._find(stream_id)
        if stream is not None:
            self._end(stream, reset.code, reset.progress, reset.detail)

    def _receive_ping(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise refuse("PING is not 8 bytes")
        if flags:
            self._round_trip.finish(payload, self.clock())
        else:
            self.outbox.control(frame(FrameType.PING, payload, flags=ACK))

    def _receive_go_away(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        away = decode_go_away(payload)
        if self.go_away_received and away.last_id > self.go_away_received.last_id:
            raise refuse("GOAWAY raises its last id")
        self.go_away_received = away
        for stream in self:
            if self.is_mine(stream.id) and stream.id > away.last_id:
                self._end(stream, away.code, Progress.NOT_SENT, away.detail)

    # Streams

    def _find(self, stream_id: int) -> Stream | None:
        """The open stream; None when it is closed. One that was never open is the peer's error."""
        stream = self._streams.get(stream_id)
        if stream is None:
            if not stream_id or (
                stream_id >= self._own_next if self.is_mine(stream_id) else stream_id > self._peer_last
            ):
                raise refuse(f"a frame on stream {stream_id}, which was never open")
            self.ignored_frames += 1
        return stream

    def _step(self, stream: Stream, step: int) -> None:
        """Take a step of the half that we receive."""
        state = NEXT[stream.receiving * 3 + step]
        if state == ILLEGAL:
            raise refuse(f"step {step} in state {stream.receiving} of stream {stream.id}")
        stream.receiving = state

    def _end_half(self, stream: Stream) -> bool:
        """The peer's half ends here; False when it is too short and the stream had to be reset."""
        self._step(stream, END)
        if stream.window is not None and 0 < stream.window.left < UNKNOWN_LENGTH // 2:
            self._break(stream, "fewer bytes than the head promised")
            return False
        if stream.end_taken:
            self._complete(stream)
        return True

    def _on_sent(self, stream: Stream) -> None:
        if stream.receiving == DONE:
            self._complete(stream)

    def _complete(self, stream: Stream) -> None:
        self.forget(stream)
        if stream.window is not None:
            stream.window.close()

    def _on_eased(self, stream: Stream) -> None:
        if stream.is_closed:
            return
        try:
            stream.receiver.on_writable()
        except Exception as error:  # noqa: BLE001 - see _begin
            self._fault(stream, error)

    def forget(self, stream: Stream) -> None:
        """Drop a stream from the books; its window is the caller's business."""
        stream.is_closed = True
        del self._streams[stream.id]
        self._own_open -= self.is_mine(stream.id)
        self.outbox.drop(stream)

    def _break(self, stream: Stream, detail: str) -> None:
        """The peer broke the rules of one stream only."""
        progress = stream.progress
        stream.reset(ErrorCode.PROTOCOL_ERROR, progress, detail)
        self._report_end(stream, ErrorCode.PROTOCOL_ERROR, progress, detail)

    def _end(self, stream: Stream, code: ErrorCode, progress: Progress, detail: str) -> None:
        self.forget(stream)
        stream.abandon()
        self._report_end(stream, code, progress, detail)

    def _report_end(self, stream: Stream, code: ErrorCode, progress: Progress, detail: str) -> None:
        stream.is_reset = True
        try:
            stream.receiver.on_reset(code, progress, detail)
        except Exception as error:  # noqa: BLE001 - see _begin
            self.on_fault(stream, error)

    def _fault(self, stream: Stream, error: Exception) -> None:
        """The program's receiver raised: end this stream, tell it once, report the bug."""
        self.on_fault(stream, error)
        was_reset, progress = stream.is_reset, stream.progress
        stream.reset(ErrorCode.INTERNAL, progress)
        if not was_reset and hasattr(stream, "receiver"):
            self._report_end(stream, ErrorCode.INTERNAL, progress, "")


def _accept_nothing(_stream: Stream, _head: RequestHead) -> StreamReceiver:
    raise LocalProtocolError("nobody accepts streams on this session")


def _ignore_settings(_settings: dict[bytes, bytes]) -> None:
    """Nobody wants to know."""


def _raise_fault(_stream: Stream, error: Exception) -> None:
    raise error


_OF_SESSION: Final = frozenset({FrameType.HELLO, FrameType.SETTINGS, FrameType.PING, FrameType.GOAWAY})
