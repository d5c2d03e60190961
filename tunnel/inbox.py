"""What the peer sends: one message into frames, each frame checked and handed to whom it concerns.

Raises RemoteProtocolError for what breaks docs/protocol.md and nothing else, whatever the bytes and the receivers do.
Opening, ending and accounting of streams is the Session's; this file decides what a frame means in the state it finds.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from tunnel.budget import PLAIN_WINDOW, WIDE_WINDOW
from tunnel.errors import ErrorCode, Progress
from tunnel.frames import (
    ACK,
    DATA,
    END_STREAM,
    HEADER,
    HEADER_BYTES,
    MAX_CREDIT,
    MAX_MESSAGE,
    MAX_PAYLOAD,
    VERSIONS,
    FrameType,
    decode_go_away,
    decode_hello,
    decode_reset,
    decode_settings,
    decode_window_update,
    encode_reset,
    encode_window_update,
    frame,
    refuse,
)
from tunnel.heads import Known, RequestHead, ResponseHead, decode_head, decode_trailers
from tunnel.streams import DATA as DATA_STEP
from tunnel.streams import DONE, END, HEAD, ILLEGAL, IN_BODY, NEXT, Stream, body_length
from tunnel.windows import UNKNOWN_LENGTH, ReceiveWindow

if TYPE_CHECKING:
    from tunnel.session import Session

_HELLO: Final = int(FrameType.HELLO)
_BACKLOG_PER_STREAM: Final = 4
_BACKLOG_SPARE: Final = 64


class Inbox:
    """The receiving side of a Session."""

    __slots__ = ("_known", "_max_backlog", "_outbox", "_session", "_streams")

    def __init__(self, session: "Session", known: Known | None) -> None:
        """`known`: where the fields of requests are kept that come again; None: they do not."""
        self._session = session
        self._streams = session.registry
        self._outbox = session.outbox
        self._known = known
        self._max_backlog = _BACKLOG_PER_STREAM * session.max_streams + _BACKLOG_SPARE

    def receive(self, message: bytes) -> None:
        """Take one message and call whom it concerns.

        Raises:
            RemoteProtocolError: the peer broke docs/protocol.md; send GOAWAY(code) and close the link.
        """
        size = len(message)
        if not HEADER_BYTES <= size <= MAX_MESSAGE:
            raise refuse(f"a message of {size} bytes")
        session, offset = self._session, 0
        while offset < size:
            if session.is_closed:
                return
            if size - offset < HEADER_BYTES:
                raise refuse("a frame header is cut")
            kind, flags, stream_id, length = HEADER.unpack_from(message, offset)
            offset += HEADER_BYTES
            if length > MAX_PAYLOAD or length > size - offset:
                raise refuse(f"a frame of {length} bytes is cut or too large")
            payload = message[offset : offset + length]
            offset += length
            if kind == DATA and session.peer is not None:
                self._receive_data(flags, stream_id, payload)
            else:
                self._receive_frame(kind, flags, stream_id, payload)
        if self._outbox.backlog > self._max_backlog:
            raise refuse("the peer does not read our answers")

    def forget(self) -> None:
        """Forget the fields of requests that came: they hold secrets, and are kept for seconds only."""
        if self._known:
            self._known.clear()

    def _receive_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if (self._session.peer is None) != (kind == _HELLO):
            raise refuse("HELLO is not the first frame, or not the only one")
        entry = self._RECEIVERS.get(kind)
        if entry is None:
            return  # a later version's frame
        receive, known_flags, is_of_session = entry
        if flags & ~known_flags:
            raise refuse(f"unknown flags {flags} on {FrameType(kind).name}")
        if (stream_id == 0) != is_of_session:
            raise refuse(f"{FrameType(kind).name} on stream {stream_id}")
        receive(self, flags, stream_id, payload)

    def _receive_hello(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        hello = decode_hello(payload)
        self._session.version = max(set(VERSIONS) & set(hello.versions), default=0)
        if not self._session.version:
            raise refuse(f"no common version: {hello.versions} and {VERSIONS}")
        self._session.peer = hello
        self._session.ping()

    def _receive_settings(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        settings = decode_settings(payload)
        try:
            self._session.on_settings(settings)
        except Exception as error:  # noqa: BLE001 - see _begin
            self._session.on_fault(None, error)

    def _receive_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        head, credit = decode_head(payload, self._known)
        if isinstance(head, RequestHead):
            self._receive_request(head, credit, stream_id, is_over=bool(flags))
        elif not self._streams.is_own(stream_id):
            raise refuse("an answer on a stream of the peer")
        elif stream := self._streams.find(stream_id):
            self._receive_response(head, stream, is_over=bool(flags))

    def _receive_request(self, head: RequestHead, credit: int, stream_id: int, *, is_over: bool) -> None:
        if self._streams.is_own(stream_id) or stream_id <= self._streams.last_peer_id:
            raise refuse(f"a request on stream {stream_id} after {self._streams.last_peer_id}")
        if credit > MAX_CREDIT:
            raise refuse("credit out of range", ErrorCode.FLOW_CONTROL)
        self._streams.last_peer_id = stream_id
        left = body_length(head.body)
        if is_over and 0 < left < UNKNOWN_LENGTH:
            self._turn_away(stream_id, ErrorCode.PROTOCOL_ERROR)
        elif self._session.go_away_sent is not None:  # after theirs: opened before it, and overtaken by it
            self._turn_away(stream_id, ErrorCode.DRAINING)
        elif self._streams.peers >= self._session.max_streams:
            self._turn_away(stream_id, ErrorCode.OVERLOADED)
        else:
            stream = Stream(self._session, stream_id, head)
            stream.credit = credit
            self._begin(stream, head, 0 if is_over else left, is_over=is_over)

    def _turn_away(self, stream_id: int, code: ErrorCode) -> None:
        self._outbox.reset(encode_reset(stream_id, code, Progress.NOT_SENT, ""))

    def _begin(self, stream: Stream, head: RequestHead, left: int, *, is_over: bool) -> None:
        first = min(left, PLAIN_WINDOW)  # the peer may send this much at once: it is what our HELLO granted
        if not self._session.budget.reserve(first):
            self._turn_away(stream.id, ErrorCode.OVERLOADED)
            return
        if left:
            stream.window = ReceiveWindow(self._session.budget, first, left)
        stream.receiving = DONE if is_over else IN_BODY
        self._streams.add_peer(stream)
        try:
            stream.receiver = self._session.accept(stream, head)
            if is_over and not stream.is_reset:
                stream.receiver.on_end([])
        except Exception as error:  # noqa: BLE001 - a fault of the program ends one stream, never the link
            self._session.fault(stream, error)
            return
        if stream.window is not None and not stream.is_closed:
            extra = stream.window.widen(WIDE_WINDOW)
            if extra:
                self._outbox.control(encode_window_update(stream.id, extra))

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
            self._session.fault(stream, error)

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        stream = self._streams.get(stream_id)
        if flags & ~END_STREAM or not (payload or flags):
            raise refuse("DATA with unknown flags, or empty")
        if stream is None:
            self._streams.find(stream_id)
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
            self._session.fault(stream, error)

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
        stream = self._streams.find(stream_id)
        if stream is None or not self._end_half(stream):
            return
        try:
            stream.receiver.on_end(trailers)
        except Exception as error:  # noqa: BLE001 - see _begin
            self._session.fault(stream, error)

    def _receive_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        increment = decode_window_update(payload)
        stream = self._streams.find(stream_id)
        if stream is None:
            return
        stream.credit += increment
        if stream.credit > MAX_CREDIT:
            raise refuse("credit out of range", ErrorCode.FLOW_CONTROL)
        self._outbox.offer(stream)

    def _receive_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        reset = decode_reset(payload)
        stream = self._streams.find(stream_id)
        if stream is not None:
            self._session.end(stream, reset.code, reset.progress, reset.detail)

    def _receive_ping(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise refuse("PING is not 8 bytes")
        if flags:
            self._session.pings.finish(payload, self._session.clock())
        else:
            self._outbox.control(frame(FrameType.PING, payload, flags=ACK))

    def _receive_go_away(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        away = decode_go_away(payload)
        if self._session.go_away_received and away.last_id > self._session.go_away_received.last_id:
            raise refuse("GOAWAY raises its last id")
        self._session.go_away_received = away
        for stream in self._streams:
            if self._streams.is_own(stream.id) and stream.id > away.last_id and not stream.is_closed:
                self._session.end(stream, away.code, Progress.NOT_SENT, away.detail)

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
            self._session.complete(stream)
        return True

    def _break(self, stream: Stream, detail: str) -> None:
        """The peer broke the rules of one stream only."""
        progress = stream.progress
        stream.reset(ErrorCode.PROTOCOL_ERROR, progress, detail)
        self._session.report_end(stream, ErrorCode.PROTOCOL_ERROR, progress, detail)

    # kind: what takes it, the flags it may carry, whether it concerns the session and not a stream
    _RECEIVERS: ClassVar[dict[int, tuple[Callable[["Inbox", int, int, bytes], None], int, bool]]] = {
        FrameType.HELLO: (_receive_hello, 0, True),
        FrameType.SETTINGS: (_receive_settings, 0, True),
        FrameType.HEADERS: (_receive_headers, END_STREAM, False),
        FrameType.DATA: (_receive_data, END_STREAM, False),
        FrameType.TRAILERS: (_receive_trailers, 0, False),
        FrameType.WINDOW_UPDATE: (_receive_window_update, 0, False),
        FrameType.RST_STREAM: (_receive_reset, 0, False),
        FrameType.PING: (_receive_ping, ACK, True),
        FrameType.GOAWAY: (_receive_go_away, 0, True),
    }
