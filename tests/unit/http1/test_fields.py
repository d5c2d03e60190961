"""What the fields of one hop mean."""

import pytest

from http1.errors import MalformedMessage
from http1.fields import Framing, allowed_trailers, parse_trailers
from http1.messages import NO_BODY, STREAMED


def framing(*fields):
    result = Framing()
    for name, value in fields:
        result.add(name, value)
    return result


def test_the_body_follows_length_and_coding():
    assert framing().body(http_1_0=False) == NO_BODY
    assert framing((b"content-length", b"0")).body(http_1_0=False) == 0
    assert framing((b"content-length", b"0012")).body(http_1_0=True) == 12
    assert framing((b"transfer-encoding", b"Chunked")).body(http_1_0=False) == STREAMED


@pytest.mark.parametrize("look_alike", [b"content_length", b"transfer_encoding"])
def test_look_alikes_are_refused(look_alike):
    with pytest.raises(MalformedMessage):
        framing((look_alike, b"1"))


def test_what_connection_names_goes():
    named = framing((b"connection", b"X-A , close"), (b"connection", b"x-b"))
    assert named.drop_named([(b"x-a", b"1"), (b"X-B", b"2"), (b"X-C", b"3")]) == [(b"X-C", b"3")]
    assert not named.keeps_alive(http_1_0=False)


def test_trailers_that_frame_route_or_authenticate_are_dropped():
    names = [b"X-Sum", b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Cookie", b"Set-Cookie", b"TE", b"Content-Type",
             b"content_length", b"Tunnel-Authorization"]  # fmt: skip
    assert allowed_trailers([(name, b"1") for name in names]) == [(b"X-Sum", b"1")]


def test_trailers_are_read_strictly():
    assert parse_trailers(b"A:  b \r\nC:") == [(b"A", b"b"), (b"C", b"")]
    for block in (b"A", b"A : b", b" A: b", b"A: b\x01", b"A: b\rc"):
        with pytest.raises(MalformedMessage):
            parse_trailers(block)
