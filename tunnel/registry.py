"""The open streams of a link and the ids of both sides (docs/protocol.md §2, §6).

Knows which ids were ever open, so that a frame that crossed a reset can be told from one that nobody may send.
"""

from collections.abc import Iterator

from tunnel.frames import MAX_STREAM_ID, refuse
from tunnel.streams import Stream


class OpenStreams:
    """Streams by id. Ids of one side all have the parity of its first."""

    __slots__ = ("_by_id", "_parity", "get", "ignored_frames", "last_peer_id", "next_id", "own")

    def __init__(self, first_id: int) -> None:
        """`first_id`: the first id that this side opens."""
        self._by_id: dict[int, Stream] = {}
        self._parity = first_id & 1
        self.get = self._by_id.get
        self.next_id = first_id
        self.last_peer_id = 0
        self.own = 0  # open streams that this side opened
        self.ignored_frames = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Stream]:
        """All that are open now; streams may close while this goes on."""
        return iter(list(self._by_id.values()))

    @property
    def peers(self) -> int:
        """Open streams that the peer opened."""
        return len(self._by_id) - self.own

    @property
    def is_exhausted(self) -> bool:
        """No id is left for us: the link must be replaced."""
        return self.next_id > MAX_STREAM_ID

    def is_own(self, stream_id: int) -> bool:
        """An id that this side opens."""
        return stream_id & 1 == self._parity

    def add_own(self, stream: Stream) -> None:
        """Enter a stream with the id `next_id`."""
        self._by_id[stream.id] = stream
        self.next_id += 2
        self.own += 1

    def add_peer(self, stream: Stream) -> None:
        """Enter a stream of the peer; the caller has noted its id as `last_peer_id`."""
        self._by_id[stream.id] = stream

    def remove(self, stream: Stream) -> None:
        """Drop a stream."""
        del self._by_id[stream.id]
        self.own -= self.is_own(stream.id)

    def find(self, stream_id: int) -> Stream | None:
        """The open stream; None when it is closed, and the frame is to be ignored.

        Raises:
            RemoteProtocolError: it was never open.
        """
        stream = self._by_id.get(stream_id)
        if stream is None:
            was_open = stream_id < self.next_id if self.is_own(stream_id) else stream_id <= self.last_peer_id
            if not stream_id or not was_open:
                raise refuse(f"a frame on stream {stream_id}, which was never open")
            self.ignored_frames += 1
        return stream
