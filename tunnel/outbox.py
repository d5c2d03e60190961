"""What a session has to say, and in which order it leaves (docs/protocol.md §7).

Lanes: control > heads and resets > small streams > bulk streams. `take` composes one message; bytes of bodies
are not copied before its one join. Knows streams, but neither frames that come in nor the session's state.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from tunnel.budget import NARROW_WINDOW, Budget
from tunnel.frames import (
    DATA,
    END_STREAM,
    HEADER,
    HEADER_BYTES,
    KIB,
    MAX_MESSAGE,
    MAX_PAYLOAD,
)
from tunnel.streams import DONE, Stream

NEVER_CHOKED: Final = NARROW_WINDOW  # bytes that may always wait of one stream
BULK_AFTER: Final = 64 * KIB  # a stream that has sent this much is bulk
SHARED_CHUNK: Final = 16 * KIB  # largest DATA while several streams wait
LONE_CHUNK: Final = MAX_PAYLOAD
MAX_QUEUED_HEADS: Final = 4 * KIB * KIB


class Outbox:
    """The four lanes. `on_output` is called when there is something to say after there was nothing."""

    def __init__(self, budget: Budget, on_sent: Callable[[Stream], None], on_eased: Callable[[Stream], None]) -> None:
        """`budget`: counts what waits, and says how much of a stream may.

        `on_sent`: the end of a stream's half has left. `on_eased`: a stream may be written again.
        """
        self.on_output: Callable[[], None] = _nobody
        self.on_bulk: Callable[[], None] = _nobody  # a stream has become bulk
        self.clock: Callable[[], float] = _no_clock
        self.queued_bytes = 0  # of all streams
        self.head_bytes = 0
        self._data_limit = MAX_MESSAGE  # of DATA in one message; one frame of bulk may exceed it
        self._lone_chunk = LONE_CHUNK
        self._budget = budget
        self._on_sent = on_sent
        self._on_eased = on_eased
        self._control: deque[bytes] = deque()
        self._heads: deque[tuple[Stream | None, bytes]] = deque()
        self._small: deque[Stream] = deque()
        self._bulk: deque[Stream] = deque()
        self._eased: list[Stream] = []  # may be written again after this message
        self._is_announced = False
        self._blocked = 0  # streams that have bytes and no credit, and the sum of the times since when
        self._blocked_since = 0.0
        self._blocked_before = 0.0  # seconds of those that are not blocked any more

    def __repr__(self) -> str:
        lanes = self._control, self._heads, self._small, self._bulk
        return f"<Outbox {'/'.join(str(len(lane)) for lane in lanes)} queued={self.queued_bytes}>"

    @property
    def backlog(self) -> int:
        """Frames in the longer of the two lanes that a peer can fill by not reading."""
        return max(len(self._control), len(self._heads))

    @property
    def blocked_seconds(self) -> float:
        """For how long streams had bytes to send and no credit, all of them together, until now."""
        return self._blocked_before + (self._blocked * self.clock() - self._blocked_since if self._blocked else 0.0)

    def waiting_bytes(self) -> tuple[int, int, int, int, int]:
        """Return how many bytes wait in each of tunnel.traffic.LANES; counted when asked."""
        small = sum(stream.queued_bytes for stream in self._small)
        bulk = sum(stream.queued_bytes for stream in self._bulk)
        return sum(map(len, self._control)), self.head_bytes, small, bulk, self.queued_bytes - small - bulk

    def limit_data(self, size: int) -> None:
        """Let a message hold at most `size` bytes of DATA, at least SHARED_CHUNK; one frame of bulk may exceed it."""
        self._data_limit = size
        self._lone_chunk = min(LONE_CHUNK, size)

    def control(self, frame: bytes) -> None:
        """Queue a frame of the first lane."""
        self._control.append(frame)
        self._announce()

    def head(self, stream: Stream, frame: bytes) -> None:
        """Queue a stream's HEADERS."""
        self._heads.append((stream, frame))
        self.head_bytes += len(frame)
        self._announce()

    def reset(self, frame: bytes) -> None:
        """Queue an RST_STREAM, behind every head asked for before."""
        self._heads.append((None, frame))
        self.head_bytes += len(frame)
        self._announce()

    def data(self, stream: Stream, size: int) -> None:
        """Note `size` bytes more on `stream`, or its end."""
        stream.queued_bytes += size
        self.queued_bytes += size
        self._budget.waiting += size
        if stream.queued_bytes > NEVER_CHOKED and stream.queued_bytes > self._budget.high_water:
            stream.is_choked = True
        self.offer(stream)

    def offer(self, stream: Stream) -> None:
        """Put `stream` in its lane if it has something that may be sent now."""
        if stream.is_waiting:
            return
        if not _is_sendable(stream):
            if stream.chunks and stream.blocked_at is None:
                self._block(stream)
            return
        if stream.blocked_at is not None:
            self._unblock(stream, stream.blocked_at)
        stream.is_waiting = True
        if stream.sent < BULK_AFTER:
            self._small.append(stream)
        else:
            if not stream.is_large:
                stream.is_large = True
                self.on_bulk()
            self._bulk.append(stream)
        self._announce()

    def drop(self, stream: Stream) -> None:
        """Forget what a closed stream had queued."""
        if stream.blocked_at is not None:
            self._unblock(stream, stream.blocked_at)
        self.queued_bytes -= stream.queued_bytes
        self._budget.waiting -= stream.queued_bytes
        stream.queued_bytes = 0
        stream.chunks.clear()

    def _block(self, stream: Stream) -> None:
        stream.blocked_at = now = self.clock()
        self._blocked += 1
        self._blocked_since += now

    def _unblock(self, stream: Stream, since: float) -> None:
        stream.blocked_at = None
        self._blocked -= 1
        self._blocked_since -= since
        self._blocked_before += self.clock() - since

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            self.on_output()

    def take(self, limit: int = MAX_MESSAGE) -> bytes:
        """Compose the next message of at most `limit` bytes (no less than a largest frame); empty: nothing to say."""
        parts: list[bytes | memoryview] = []
        room = limit
        if self._control:
            room = self._take_control(parts, room)
        if self._heads:
            room = self._take_heads(parts, room)
        if self._heads:
            pass  # what did not fit goes first next time
        elif self._bulk:
            self._take_both(parts, room)
        elif self._small:
            self._take_lane(parts, self._small, room, room - self._data_limit)
        message = b"".join(parts)
        if self._eased:
            self._ease()
        self._is_announced = bool(message)  # the caller asks again until there is nothing
        return message

    def _take_control(self, parts: list[bytes | memoryview], room: int) -> int:
        lane = self._control
        while lane and len(lane[0]) <= room:
            frame = lane.popleft()
            parts.append(frame)
            room -= len(frame)
        return room

    def _take_heads(self, parts: list[bytes | memoryview], room: int) -> int:
        lane = self._heads
        while lane and len(lane[0][1]) <= room:
            stream, frame = lane.popleft()
            self.head_bytes -= len(frame)
            if stream is not None:
                if stream.is_closed:  # reset before it left: the peer hears nothing of it
                    continue
                stream.head_taken = True
                if frame[1] & END_STREAM:
                    self._finish(stream)
            parts.append(frame)
            room -= len(frame)
        return room

    def _take_both(self, parts: list[bytes | memoryview], room: int) -> None:
        """Small streams first, but one frame is kept for bulk: many small streams never stop a large one."""
        kept = SHARED_CHUNK + HEADER_BYTES
        start = room - kept
        room = self._take_lane(parts, self._small, start, start - self._data_limit)
        left = self._data_limit - (start - room)
        self._take_lane(parts, self._bulk, room + kept, room + kept - max(left, 1))

    def _take_lane(self, parts: list[bytes | memoryview], lane: deque[Stream], room: int, floor: int) -> int:
        """Let the streams of a lane take turns until `room` has fallen to `floor`, or does not hold the next frame."""
        while lane and room > floor and room > HEADER_BYTES + len(lane[0].trailers):
            stream = lane.popleft()
            stream.is_waiting = False
            if stream.is_closed:
                continue
            is_alone = not self._small and not self._bulk
            chunk = self._lone_chunk if is_alone else SHARED_CHUNK
            room -= self._take_data(parts, stream, min(chunk, room - HEADER_BYTES))
            self.offer(stream)
        return room

    def _take_data(self, parts: list[bytes | memoryview], stream: Stream, limit: int) -> int:
        """Append one DATA (or TRAILERS) frame; returns the bytes used."""
        place = len(parts)
        parts.append(b"")
        size = _take_chunks(parts, stream, min(limit, stream.credit))
        stream.credit -= size
        stream.sent += size
        stream.queued_bytes -= size
        self.queued_bytes -= size
        self._budget.waiting -= size
        if stream.is_choked and stream.queued_bytes * 2 <= self._budget.high_water:
            stream.is_choked = False
            self._eased.append(stream)
        is_last = stream.sending == DONE and not stream.chunks
        if is_last and stream.trailers:
            return size + self._take_trailers(parts, stream, place, size)
        parts[place] = HEADER.pack(DATA, END_STREAM if is_last else 0, stream.id, size)
        if is_last:
            self._finish(stream)
        return size + HEADER_BYTES

    def _take_trailers(self, parts: list[bytes | memoryview], stream: Stream, place: int, size: int) -> int:
        """Send what is left of the body, and the trailers in a turn of their own: then they fit for sure."""
        if size:
            parts[place] = HEADER.pack(DATA, 0, stream.id, size)
            return HEADER_BYTES
        parts[place] = stream.trailers
        self._finish(stream)
        return len(stream.trailers)

    def _finish(self, stream: Stream) -> None:
        stream.end_taken = True
        self._on_sent(stream)

    def _ease(self) -> None:
        eased, self._eased = self._eased, []
        for stream in eased:
            self._on_eased(stream)


def _no_clock() -> float:
    return 0.0


def _nobody() -> None:
    """Nobody listens yet."""


def _is_sendable(stream: Stream) -> bool:
    if stream.chunks:
        return stream.credit > 0
    return stream.sending == DONE and not stream.end_taken


def _take_chunks(parts: list[bytes | memoryview], stream: Stream, limit: int) -> int:
    """Move chunks of at most `limit` bytes; a chunk is split as a view, not copied."""
    chunks = stream.chunks
    size = 0
    while chunks and size < limit:
        chunk = chunks.popleft()
        room = limit - size
        if len(chunk) > room:
            view = memoryview(chunk)
            chunks.appendleft(view[room:])
            chunk = view[:room]
        parts.append(chunk)
        size += len(chunk)
    return size
