"""Decode a chunked body (RFC 9112 section 7.1), strictly and with bounds.

Pure. llhttp could do this, but it cannot say where in its input a message ended, and a proxy must know that exactly.
tests/properties/test_http1_chunked.py holds this decoder against llhttp.
"""

from typing import TYPE_CHECKING, Final

from http1.errors import MalformedMessage
from http1.fields import parse_trailers
from http1.grammar import CHUNK_LINE, CHUNK_LINE_BEGUN

if TYPE_CHECKING:
    from http1.messages import Headers

MAX_CHUNK_LINE: Final = 256
MAX_TRAILERS: Final = 8 * 1024


class ChunkDecoder:
    """One chunked body. After `decode` returned a rest, `trailers` is set and the decoder is spent."""

    __slots__ = ("_carry", "_last", "_left", "trailers")

    def __init__(self) -> None:
        self.trailers: Headers = []
        self._carry = b""  # an unfinished line
        self._left = 0  # bytes of the current chunk and its line end that have not come
        self._last = False  # the chunk of size 0 was seen

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return (body bytes, rest): `rest` is None until the body has ended, then what followed it.

        Raises MalformedMessage.
        """
        if self._carry:
            data, self._carry = self._carry + data, b""
        pieces: list[bytes] = []
        position = 0
        while not self._last:
            if self._left:
                position = self._take_data(data, position, pieces)
                if self._left:
                    return b"".join(pieces), None
            after_line = self._read_line(data, position)
            if after_line < 0:
                return b"".join(pieces), None
            position = after_line
        return b"".join(pieces), self._read_trailers(data, position)

    def _take_data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Take what is there of the chunk's bytes and of the CR LF behind them; return the new position."""
        content = self._left - 2
        if content > 0:
            piece = data[position : position + content]
            pieces.append(piece)
            position += len(piece)
            self._left -= len(piece)
        if self._left <= 2:
            line_end = data[position : position + self._left]
            if not b"\r\n"[-self._left :].startswith(line_end):
                raise MalformedMessage("a chunk is longer than its size")
            position += len(line_end)
            self._left -= len(line_end)
        return position

    def _read_line(self, data: bytes, position: int) -> int:
        """Read a chunk's size; return the position behind the line, or -1 when it has not come completely."""
        end = data.find(b"\r\n", position, position + MAX_CHUNK_LINE)
        if end < 0:
            self._carry = data[position : position + MAX_CHUNK_LINE]
            if len(self._carry) == MAX_CHUNK_LINE or not CHUNK_LINE_BEGUN.fullmatch(self._carry):
                raise MalformedMessage("a chunk's size is malformed")
            return -1
        match = CHUNK_LINE.fullmatch(data, position, end)
        if match is None:
            raise MalformedMessage("a chunk's size is malformed")
        size = int(match[1], 16)
        self._last = size == 0
        self._left = size + 2 if size else 0
        return end + 2

    def _read_trailers(self, data: bytes, position: int) -> bytes | None:
        """Read what follows the last chunk; return the bytes behind the body, or None when its end has not come."""
        if data.startswith(b"\r\n", position):
            return data[position + 2 :]
        end = data.find(b"\r\n\r\n", position, position + MAX_TRAILERS)
        if end < 0:
            self._carry = data[position:]
            if len(self._carry) >= MAX_TRAILERS or b"\n" in self._carry.replace(b"\r\n", b""):
                raise MalformedMessage("the trailers are malformed or too long")
            return None
        self.trailers = parse_trailers(data[position:end])
        return data[end + 4 :]
