"""Request bodies as long as they may have to be sent again: up to 1 MiB each, until Jira answers. Pure.

All requests of a process share one `KeptRoom`: when it is full, new bodies are not kept, and those requests are
simply not sent again.
"""

from typing import Final

from gateway.replay import MAX_KEPT_BODY_BYTES

MAX_CHUNKS: Final = 4096  # a body in crumbs costs fifty times its size to keep
ROOM_BYTES: Final = 32 * 1024 * 1024


class KeptRoom:
    """The bytes that all kept bodies may hold together."""

    __slots__ = ("total", "used")

    def __init__(self, total: int = ROOM_BYTES) -> None:
        self.total = total
        self.used = 0

    def __repr__(self) -> str:
        return f"<KeptRoom {self.used}/{self.total}>"

    def take(self, size: int) -> bool:
        """Take `size` bytes, or nothing."""
        if self.used + size > self.total:
            return False
        self.used += size
        return True


class KeptBody:
    """Chunks of a request's body in order; `is_whole` is False once some of it was let go."""

    __slots__ = ("_room", "_size", "chunks", "is_whole")

    def __init__(self, room: KeptRoom) -> None:
        self.chunks: list[bytes] = []
        self.is_whole = True
        self._room = room
        self._size = 0

    def __repr__(self) -> str:
        return f"<KeptBody {self._size} bytes whole={self.is_whole}>"

    def add(self, data: bytes) -> None:
        """Keep one more chunk, or let everything go when it has become too much."""
        if not self.is_whole:
            return
        size = len(data)
        fits = self._size + size <= MAX_KEPT_BODY_BYTES and len(self.chunks) < MAX_CHUNKS
        if fits and self._room.take(size):
            self._size += size
            self.chunks.append(data)
        else:
            self.forget()

    def forget(self) -> None:
        """Let everything go: the request will not be sent again, or is over."""
        self.chunks.clear()
        self.is_whole = False
        self._room.used -= self._size
        self._size = 0
