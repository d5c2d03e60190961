"""What agents ask: streams that they open (docs/protocol.md §11). Which agent asks is the link's certificate's word.

Bodies are collected within a bound that all agents share, and of which none gets more than half; what does not fit now,
or does not come in time, is sent again by its agent, which keeps everything until it is told that it is durable here.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from certs.csr import MAX_CSR_BYTES
from certs.identity import AgentIdentity
from gateway.rates import Rates
from gateway.store import Cause, Gap, Way
from gateway.triggers import HookEntry
from http1.collecting import Room, SharedRoom
from http1.sweep import NEVER, Sweeper
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, STREAMED, Pairs, RequestHead, ResponseHead
from tunnel.session import Accept
from tunnel.streams import Stream, StreamReceiver

ROOM_BYTES: Final = 32 << 20
AGENT_BYTES: Final = ROOM_BYTES // 2
BODY_SECONDS: Final = 20.0
SLOWEST_LINE: Final = 50_000  # bytes a second, as agents count their own deadlines
MAX_EVENT_BYTES: Final = 10 << 20
MAX_GAP_BYTES: Final = 4096
GAPS_AT_ONCE: Final = 100.0
GAPS_PER_SECOND: Final = 1.0
"""Of one agent, which has three in two seconds at most: for each of them a Jira is searched, and an event made."""

STORED, BAD, REFUSED, UNKNOWN, TOO_LARGE, LATER = 204, 400, 403, 404, 413, 503
RENEW: Final = b"/v1/renew"

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


class RenewalDesk(Protocol):
    """Who signs new certificates (`gateway.renewals`); `done` gets the status of the answer and its body."""

    def take(self, identity: AgentIdentity, csr: bytes, done: "Answer") -> None:
        """Sign a new key of this instance."""

    async def run(self) -> None:
        """Answer until cancelled."""


class AgentStreams:
    """Accepts the streams of all agents. `desk` None: there is nobody yet who could take anything."""

    def __init__(self, clock: Callable[[], datetime], sweeper: Sweeper, renewals: RenewalDesk) -> None:
        self.desk: EventDesk | None = None
        self.renewals = renewals
        self._clock = clock
        self._sweeper = sweeper
        self._room = SharedRoom(ROOM_BYTES, AGENT_BYTES)
        self._gaps = Rates(GAPS_AT_ONCE)

    def __repr__(self) -> str:
        return f"<AgentStreams {self._room!r}>"

    def of(self, identity: AgentIdentity) -> Accept:
        """Return what accepts the streams of one agent's link (tunnel.session.Accept)."""

        def accept(stream: Stream, head: RequestHead) -> StreamReceiver:
            if head.target == RENEW:
                return self._renew(identity, stream, head)
            return self._accept(identity.name, stream, head)

        return accept

    def _renew(self, identity: AgentIdentity, stream: Stream, head: RequestHead) -> StreamReceiver:
        if head.method != b"POST":
            return _answered(stream, BAD)
        room = self._room.of(identity.name)
        return self._collect(
            stream, head, MAX_CSR_BYTES, room, lambda body, done: self.renewals.take(identity, body, done)
        )

    def _accept(self, agent: str, stream: Stream, head: RequestHead) -> StreamReceiver:
        desk = self.desk
        if desk is None:
            stream.reset(ErrorCode.OVERLOADED, Progress.NOT_SENT, "the gateway is starting")
            return Discarded(stream)
        event_id = head.meta.get(b"event-id", b"")
        match = _EVENT.fullmatch(head.target)
        if head.method != b"POST" or not _EVENT_ID.fullmatch(event_id):
            return _answered(stream, BAD)
        room = self._room.of(agent)
        if head.target == b"/v1/gaps":
            if self._gaps.take(agent, GAPS_PER_SECOND, self._sweeper.now):
                return _answered(stream, LATER)
            return self._collect(
                stream, head, MAX_GAP_BYTES, room, lambda body, done: self._gap(agent, head, body, done)
            )
        if match is None:
            return _answered(stream, BAD)
        hook = desk.hook_of(agent, match[1].decode())
        if hook is None:
            return _answered(stream, UNKNOWN)
        return self._collect(
            stream,
            head,
            MAX_EVENT_BYTES,
            room,
            lambda body, done: desk.take_event(hook, head, body, event_id.decode(), done),
        )

    def _collect(self, stream: Stream, head: RequestHead, limit: int, room: Room, use: "Use") -> StreamReceiver:
        size = max(head.body, 0)
        if head.body == STREAMED:
            return _answered(stream, BAD)  # agents know how long their events are
        if size > limit:
            return _answered(stream, TOO_LARGE)
        if not room.take(size):
            return _answered(stream, LATER)
        return Collected(stream, size, room, self._sweeper, use)

    def _gap(self, agent: str, head: RequestHead, body: bytes, done: Callable[[int], None]) -> None:
        make = read_gap(head, body, self._clock())
        if make is None or self.desk is None:
            done(BAD)
        else:
            self.desk.take_gap(agent, make, done)


class Answer(Protocol):
    """Ends a stream that was collected."""

    def __call__(self, status: int, body: bytes = b"", /) -> None:
        """Answer with a status, and perhaps a body."""


Use = Callable[[bytes, Answer], None]


class Collected:
    """The receiver of one stream whose body is collected, used and answered. Until it is whole it has a deadline."""

    __slots__ = ("_body", "_is_over", "_room", "_size", "_stream", "_sweeper", "_use", "deadline")

    def __init__(self, stream: Stream, size: int, room: Room, sweeper: Sweeper, use: Use) -> None:
        self._stream = stream
        self._size = size
        self._room = room
        self._use = use
        self._sweeper = sweeper
        self._body = bytearray()  # not a list of pieces: an agent may send two bytes at a time
        self._is_over = False
        self.deadline = sweeper.now + BODY_SECONDS + size / SLOWEST_LINE
        sweeper.add(self)

    def on_response(self, head: ResponseHead) -> None:
        """Not called: only the opener of a stream gets an answer."""

    def on_data(self, data: bytes) -> None:
        """Keep a piece; its room was taken with the head."""
        self._body += data
        self._stream.consume(len(data))

    def on_end(self, trailers: Pairs) -> None:
        """Use the body, and answer when that is done."""
        del trailers
        self._sweeper.discard(self)
        self.deadline = NEVER
        body = bytes(self._body)
        self._body.clear()
        self._use(body, self._answer)

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """The agent is gone, or gave up: it will send again."""
        del code, progress, detail
        self._release()

    def on_writable(self) -> None:
        """Nothing is written but a head."""

    def expire(self, now: float) -> None:
        """The body did not come in time; its agent still has it."""
        del now
        self._release()
        self._stream.reset(ErrorCode.DEADLINE, Progress.SENT, "the body did not come in time")

    def _answer(self, status: int, body: bytes = b"", /) -> None:
        self._release()
        self._stream.respond(ResponseHead(status, [], len(body) or NO_BODY), end=not body)
        if body:
            self._stream.send_data(body, end=True)

    def _release(self) -> None:
        self._sweeper.discard(self)
        if not self._is_over:
            self._is_over = True
            self._body.clear()
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
    begin, end, sent = told.get("from"), told.get("to"), head.meta.get(b"sent-at", b"")
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end < 10**14:
        return None
    if not _MILLISECONDS.fullmatch(sent):
        return None
    cause, way = _CAUSES[str(told["cause"])]
    uid = head.meta[b"event-id"].decode()
    ended = max(0, int(sent) - end)  # less than nothing: the agent's clock was set back meanwhile
    from_at, to_at = _ago(ended + end - begin, now), _ago(ended, now)

    def make(connection: str) -> Gap:
        return Gap(0, f"{uid}/{connection}", connection, cause, from_at, to_at, now, way)

    return make


def _ago(milliseconds: int, now: datetime) -> datetime:
    """Return the moment so long before `now`, the way from the agent not counted; never one before 1970."""
    longest = (now - _EPOCH) // timedelta(milliseconds=1)
    return now - timedelta(milliseconds=min(milliseconds, longest))


def _answered(stream: Stream, status: int) -> StreamReceiver:
    stream.respond(ResponseHead(status, [], NO_BODY), end=True)
    return Discarded(stream)
