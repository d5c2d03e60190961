"""Where bodies end."""

from http1.bodies import BodyUntilEof, FixedBody, reader_for
from http1.chunked import ChunkDecoder
from http1.messages import NO_BODY, STREAMED


def test_a_fixed_body_passes_reads_on_without_a_copy_and_stops_at_its_length():
    body = FixedBody(5)
    data = b"abc"
    assert body.decode(data)[0] is data
    assert body.decode(b"defg") == (b"de", b"fg")


def test_a_fixed_body_that_ends_with_a_read_has_an_empty_rest():
    assert FixedBody(3).decode(b"abc") == (b"abc", b"")


def test_a_body_until_eof_never_ends_by_itself():
    assert BodyUntilEof().decode(b"abc") == (b"abc", None)


def test_the_reader_follows_the_framing():
    assert reader_for(NO_BODY) is None
    assert reader_for(0) is None
    assert isinstance(reader_for(1), FixedBody)
    assert isinstance(reader_for(STREAMED), ChunkDecoder)
