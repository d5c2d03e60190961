"""What agents ask: streams that they open (docs/protocol.md §11). Which agent asks is the link's certificate's word.

Bodies are collected within a bound that all agents share; what does not fit now is sent again by its agent, which keeps
everything until it is told that it is durable here.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from gateway.store import Cause, Gap, Way
from gateway.triggers import HookEntry
from http1.collecting import BodyRoom
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, STREAMED, Pairs, RequestHead, ResponseHead
from tunnel.session import Accept
from tunnel.streams import Stream, StreamReceiver

ROOM_BYTES: Final = 32 << 20
MAX_EVENT_BYTES: Final = 10 << 20
MAX_GAP_BYTES: Final = 4096
STORED, BAD, REFUSED, UNKNOWN, TOO_LARGE, LATER = 204, 400, 403, 404, 413, 503

_EVENT: Final = re.compile(rb"/v1/events/([0-9a-f]{64})")
_EVENT_ID: Final = re.compile(rb"[0-9a-f]{32}")
_MILLISECONDS: Final = re.compile(rb"[0-9]{1,14}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CAUSES: Final = {
    "agent": (Cause.AGENT, Way.LAN),
    "spool_full": (Cause.SPOOL_FULL, Way.LAN),
    "jira": (Cause.JIRA, None),
}


class EventDesk(Protocol):
    """Who takes what agents bring (`gateway.events.service`); `done` gets the status of the answer."""

    def hook_of(self, agent: str, id_hash: str) -> HookEntry | None:
        """Return a hook at which this agent receives webhooks."""

    def take_event(
        self, hook: HookEntry, head: RequestHead, body: bytes, event_id: str, done: Callable[[int], None]
    ) -> None:
        """Store an event."""

    def take_gap(self, agent: str, gap: Callable[[str], Gap], done: Callable[[int], None]) -> None:
        """Store a gap of each connection of this agent; `gap` makes it from the connection's name."""


class AgentStreams:
    """Accepts the streams of all agents. `desk` None: there is nobody yet who could take anything."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.desk: EventDesk | None = None
        self._clock = clock
        self._room = BodyRoom(ROOM_BYTES)

    def __repr__(self) -> str:
        return f"<AgentStreams {self._room!r}>"

    def of(self, agent: str) -> Accept:
        """Return what accepts the streams of one agent's link (tunnel.session.Accept)."""

        def accept(stream: Stream, head: RequestHead) -> StreamReceiver:
            return self._accept(agent, stream, head)

        return accept

    def _accept(self, agent: str, stream: Stream, head: RequestHead) -> StreamReceiver:
        desk = self.desk
        if desk is None:
            stream.reset(ErrorCode.OVERLOADED, Progress.NOT_SENT, "the gateway is starting")
            return Discarded(stream)
        event_id = head.meta.get(b"event-id", b"")
        match = _EVENT.fullmatch(head.target)
        if head.method != b"POST" or not _EVENT_ID.fullmatch(event_id):
            return _answered(stream, BAD)
        if head.target == b"/v1/gaps":
            return self._collect(stream, head, MAX_GAP_BYTES, lambda body, done: self._gap(agent, head, body, done))
        if match is None:
            return _answered(stream, BAD)
        hook = desk.hook_of(agent, match[1].decode())
        if hook is None:
            return _answered(stream, UNKNOWN)
        return self._collect(
            stream,
            head,
            MAX_EVENT_BYTES,
            lambda body, done: desk.take_event(hook, head, body, event_id.decode(), done),
        )

    def _collect(self, stream: Stream, head: RequestHead, limit: int, use: "Use") -> StreamReceiver:
        size = max(head.body, 0)
        if head.body == STREAMED:
            return _answered(stream, BAD)  # agents know how long their events are
        if size > limit:
            return _answered(stream, TOO_LARGE)
        if not self._room.take(size):
            return _answered(stream, LATER)
        return Collected(stream, size, self._room, use)

    def _gap(self, agent: str, head: RequestHead, body: bytes, done: Callable[[int], None]) -> None:
        make = read_gap(head, body, self._clock())
        if make is None or self.desk is None:
            done(BAD)
        else:
            self.desk.take_gap(agent, make, done)


Use = Callable[[bytes, Callable[[int], None]], None]


class Collected:
    """The receiver of one stream whose body is collected, used and answered."""

    __slots__ = ("_is_over", "_pieces", "_room", "_size", "_stream", "_use")

    def __init__(self, stream: Stream, size: int, room: BodyRoom, use: Use) -> None:
        self._stream = stream
        self._size = size
        self._room = room
        self._use = use
        self._pieces: list[bytes] = []
        self._is_over = False

    def on_response(self, head: ResponseHead) -> None:
        """Not called: only the opener of a stream gets an answer."""

    def on_data(self, data: bytes) -> None:
        """Keep a piece; its room was taken with the head."""
        self._pieces.append(data)
        self._stream.consume(len(data))

    def on_end(self, trailers: Pairs) -> None:
        """Use the body, and answer when that is done."""
        del trailers
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._use(body, self._answer)

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """The agent is gone, or gave up: it will send again."""
        del code, progress, detail
        self._release()

    def on_writable(self) -> None:
        """Nothing is written but a head."""

    def _answer(self, status: int) -> None:
        self._release()
        self._stream.respond(ResponseHead(status, [], NO_BODY), end=True)

    def _release(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._pieces.clear()
            self._room.give_back(self._size)


class Discarded:
    """The receiver of a stream that is answered or reset: what still comes is not needed."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def on_response(self, head: ResponseHead) -> None:
        """Not called."""

    def on_data(self, data: bytes) -> None:
        """Give the credit back."""
        self._stream.consume(len(data))

    def on_end(self, trailers: Pairs) -> None:
        """Nothing is left to do."""

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """Nothing is left to do."""

    def on_writable(self) -> None:
        """Nothing is written."""


def read_gap(head: RequestHead, body: bytes, now: datetime) -> Callable[[str], Gap] | None:
    """Return what makes a connection's gap from an agent's report, by our clock; None when it is no report."""
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or str(told.get("cause")) not in _CAUSES:
        return None
    begin, end, sent = told.get("from"), told.get("to"), _moment(head.meta.get(b"sent-at", b""))
    if type(begin) is not int or type(end) is not int or sent is None or not 0 <= begin <= end < 10**14:
        return None
    ahead = sent - now  # how much the agent's clock is before ours, the way included
    cause, way = _CAUSES[str(told["cause"])]
    uid = head.meta[b"event-id"].decode()

    def make(connection: str) -> Gap:
        from_at, to_at = (min(_EPOCH + timedelta(milliseconds=ms) - ahead, now) for ms in (begin, end))
        return Gap(0, f"{uid}/{connection}", connection, cause, from_at, to_at, now, way)

    return make


def _moment(text: bytes) -> datetime | None:
    return _EPOCH + timedelta(milliseconds=int(text)) if _MILLISECONDS.fullmatch(text) else None


def _answered(stream: Stream, status: int) -> StreamReceiver:
    stream.respond(ResponseHead(status, [], NO_BODY), end=True)
    return Discarded(stream)
