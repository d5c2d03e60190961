"""The request body as long as it may have to be sent again: up to 1 MiB, until Jira answers. Pure."""

from gateway.replay import MAX_KEPT_BODY_BYTES

MAX_CHUNKS = 4096  # a body in crumbs costs fifty times its size to keep


class KeptBody:
    """Chunks of a request's body in order; `is_whole` is False once some of it was let go."""

    __slots__ = ("_size", "chunks", "is_whole")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_whole = True
        self._size = 0

    def __repr__(self) -> str:
        return f"<KeptBody {self._size} bytes whole={self.is_whole}>"

    def add(self, data: bytes) -> None:
        """Keep one more chunk, or let everything go when it has become too much."""
        if not self.is_whole:
            return
        self._size += len(data)
        if self._size > MAX_KEPT_BODY_BYTES or len(self.chunks) >= MAX_CHUNKS:
            self.forget()
        else:
            self.chunks.append(data)

    def forget(self) -> None:
        """The request will not be sent again."""
        self.chunks.clear()
        self.is_whole = False
