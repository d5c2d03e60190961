"""Rewriting below gzip: decompress, rewrite, compress again, in slices of bounded size.

A body that unpacks to more than `MAX_RATIO` times its size is a bomb and refused; so is one that is cut or damaged.
"""

import zlib
from typing import Protocol

MAX_RATIO = 200
# Below this much plain text a high ratio is only repetition, not an attack.
RATIO_GRACE_BYTES = 1024 * 1024

_SLICE_BYTES = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"
# Level 1 costs half of level 6 in time and is sent over one more hop only.
_LEVEL = 1


class BodyUnreadable(Exception):
    """A compressed answer that cannot be rewritten; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PlainRewriter(Protocol):
    """What rewrites the plain text (`jira_api.links.BodyRewriter` does)."""

    def feed(self, chunk: bytes) -> bytes:
        """Return what is certain after the next bytes."""

    def finish(self) -> bytes:
        """Return the rest."""


class GzipBodyRewriter:
    """Rewrites one gzip-coded body (RFC 1952, several members allowed)."""

    __slots__ = ("_bytes_in", "_bytes_out", "_compressor", "_decompressor", "_plain")

    def __init__(self, plain: PlainRewriter) -> None:
        self._plain = plain
        self._decompressor = zlib.decompressobj(_GZIP)
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._bytes_in = 0
        self._bytes_out = 0

    def feed(self, chunk: bytes) -> bytes:
        """Return what is certain after the next bytes of the coded body, coded again.

        Raises:
            BodyUnreadable: damaged, or a bomb.
        """
        self._bytes_in += len(chunk)
        coded = []
        pending = chunk
        while pending:
            text, pending = self._decompress(pending)
            self._bytes_out += len(text)
            if self._bytes_out > max(RATIO_GRACE_BYTES, MAX_RATIO * self._bytes_in):
                raise BodyUnreadable(f"it unpacks to more than {MAX_RATIO} times its size")
            coded.append(self._compressor.compress(self._plain.feed(text)))
        return b"".join(coded)

    def finish(self) -> bytes:
        """Return the rest of the coded body.

        Raises:
            BodyUnreadable: the body ends before its gzip data does.
        """
        if not self._bytes_in:
            return b""
        if not self._decompressor.eof:
            raise BodyUnreadable("its gzip data is cut")
        return self._compressor.compress(self._plain.finish()) + self._compressor.flush()

    def _decompress(self, pending: bytes) -> tuple[bytes, bytes]:
        """Unpack at most one slice; return the text and the coded bytes still to unpack."""
        if self._decompressor.eof:
            if not _MAGIC.startswith(pending[:2]):
                raise BodyUnreadable("bytes follow its gzip data")
            self._decompressor = zlib.decompressobj(_GZIP)
        try:
            text = self._decompressor.decompress(pending, _SLICE_BYTES)
        except zlib.error:
            raise BodyUnreadable("its gzip data is damaged") from None
        if self._decompressor.eof:
            return text, self._decompressor.unused_data
        return text, self._decompressor.unconsumed_tail
