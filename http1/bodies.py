"""Find the end of a body: by its length, by its chunks, or by the end of the socket's stream.

Pure. Each reader has `decode(data) -> (body bytes, rest)`; `rest` is None until the body has ended, then the bytes
behind it.
"""

from typing import Final, Protocol

from http1.chunked import ChunkDecoder
from http1.messages import STREAMED, Headers

NO_TRAILERS: Final[Headers] = []


class BodyReader(Protocol):
    """What every kind of body offers."""

    trailers: Headers

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return (body bytes, rest)."""


class FixedBody:
    """A body of a known length."""

    __slots__ = ("left", "trailers")

    def __init__(self, length: int) -> None:
        self.left = length
        self.trailers = NO_TRAILERS

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Pass the bytes on as they are, without a copy unless the body ends within them."""
        self.left -= len(data)
        if self.left > 0:
            return data, None
        if self.left == 0:
            return data, b""
        end = self.left
        self.left = 0
        return data[:end], data[end:]


class BodyUntilEof:
    """A body that ends with the stream: an answer without framing (RFC 9112 section 6.3)."""

    __slots__ = ("trailers",)

    def __init__(self) -> None:
        self.trailers = NO_TRAILERS

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Everything is body."""
        return data, None


def reader_for(body: int) -> BodyReader | None:
    """Return the reader for a body that is framed by its head; None when there are no bytes to wait for."""
    if body > 0:
        return FixedBody(body)
    return ChunkDecoder() if body == STREAMED else None
