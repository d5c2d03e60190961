"""Chunked bodies, byte by byte; malformed ones are in test_request_parser.py."""

import pytest

from http1.chunked import MAX_TRAILERS, ChunkDecoder
from http1.errors import MalformedMessage


def test_the_rest_behind_the_body_is_exact():
    assert ChunkDecoder().decode(b"3\r\nabc\r\n0\r\n\r\nGET /") == (b"abc", b"GET /")


def test_several_chunks_of_one_read_come_as_one_piece():
    assert ChunkDecoder().decode(b"1\r\na\r\n2;x=1\r\nbc\r\nA\r\n01234") == (b"abc01234", None)


def test_a_body_fed_byte_by_byte_is_the_same():
    decoder = ChunkDecoder()
    content = b""
    for byte in b"00A\r\n0123456789\r\n0;last\r\nX: y \r\nSet-Cookie: a\r\n":
        piece, rest = decoder.decode(bytes([byte]))
        content += piece
        assert rest is None
    assert decoder.decode(b"\r") == (b"", None)
    assert decoder.decode(b"\n!") == (b"", b"!")
    assert content == b"0123456789"
    assert decoder.trailers == [(b"X", b"y")]


def test_trailers_are_bounded():
    decoder = ChunkDecoder()
    decoder.decode(b"0\r\nA: ")
    decoder.decode(b"b" * (MAX_TRAILERS - 4))
    with pytest.raises(MalformedMessage):
        decoder.decode(b"b")


def test_a_chunk_size_that_never_ends_is_bounded():
    with pytest.raises(MalformedMessage):
        ChunkDecoder().decode(b"0" * 17)
