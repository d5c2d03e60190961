"""Raw bytes in, one response or a refusal out; every message also split at every position."""

import pytest

from http1.errors import MalformedMessage
from http1.messages import NO_BODY, STREAMED
from http1.response_parser import MAX_INTERIM, ResponseParser


class Recorder:
    def __init__(self):
        self.head = None
        self.body = b""
        self.ended = 0
        self.trailers = None

    def on_head(self, head):
        assert self.head is None
        self.head = head

    def on_body(self, data):
        assert data
        self.body += data

    def on_body_end(self, trailers):
        self.ended += 1
        self.trailers = trailers


def parse(*pieces, method=b"GET", eof=False):
    recorder = Recorder()
    parser = ResponseParser(recorder)
    parser.expect(method)
    for piece in pieces:
        parser.feed(piece)
    if eof:
        parser.feed_eof()
    recorder.surplus = parser.surplus
    return recorder


def splits(message):
    yield from ((message[:i], message[i:]) for i in range(1, len(message)))
    yield tuple(message[i : i + 1] for i in range(len(message)))


GOOD = {
    "fixed": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: b\r\n\r\nabc", 200, 3, b"abc", True),
    "empty": (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, 0, b"", True),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, STREAMED, b"abc", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", 200, 3, b"abc", True),
    "Tomcat's reason": (b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc", 200, 3, b"abc", True),
    "no content": (b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", 204, NO_BODY, b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n", 304, NO_BODY, b"", True),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 200, 1, b"a", True),
    "closing": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", 200, 3, b"abc", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, 3, b"abc", False),
    "unknown status": (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", 599, 0, b"", True),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD.keys())
def test_answers_parse_the_same_however_they_are_split(case):
    message, status, body, content, keep_alive = case
    for pieces in [(message,), *splits(message)]:
        seen = parse(*pieces)
        assert (seen.head.status, seen.head.body, seen.body, seen.head.keep_alive) == (
            status,
            body,
            content,
            keep_alive,
        )
        assert (seen.ended, seen.surplus) == (1, False)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_without_framing_ends_with_the_stream(version):
    message = b"HTTP/" + version + b" 200 OK\r\nA: b\r\n\r\nabc"
    assert parse(message).ended == 0
    seen = parse(message, eof=True)
    assert (seen.head.body, seen.head.keep_alive, seen.body, seen.ended) == (STREAMED, False, b"abc", 1)


@pytest.mark.parametrize(
    ("fields", "body"), [(b"Content-Length: 7\r\n", 7), (b"Transfer-Encoding: chunked\r\n", STREAMED), (b"", NO_BODY)]
)
def test_the_answer_to_head_tells_a_length_but_has_no_body(fields, body):
    seen = parse(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n", method=b"HEAD")
    assert (seen.head.body, seen.body, seen.ended, seen.surplus) == (body, b"", 1, False)


BAD = {
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "ICY": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
    "status 2000": b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n",
    "status 20": b"HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n",
    "status +20": b"HTTP/1.1 +20 X\r\nContent-Length: 0\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "too many interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1),
    "204 with a length": b"HTTP/1.1 204 X\r\nContent-Length: 4\r\n\r\nabcd",
    "204 with a coding": b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length +3": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "Content_Length": b"HTTP/1.1 200 OK\r\nContent_Length: 3\r\n\r\nabc",
    "obs-fold": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nA\r\n\r\n",
    "head too long": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    "head that never ends": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000,
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
}


@pytest.mark.parametrize("message", BAD.values(), ids=BAD.keys())
def test_hostile_answers_are_malformed_however_they_are_split(message):
    with pytest.raises(MalformedMessage):
        parse(message)
    for i in range(1, min(len(message), 200)):
        with pytest.raises(MalformedMessage):
            parse(message[:i], message[i:])


@pytest.mark.parametrize(
    "message",
    [b"", b"HTTP/1.1 20", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"],
)  # fmt: skip
def test_an_answer_cut_short_is_malformed(message):
    with pytest.raises(MalformedMessage):
        parse(message, eof=True)


@pytest.mark.parametrize(
    "message",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", b"HTTP/1.1 204 X\r\n\r\nHTTP/1.1 200 OK\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx"],
)  # fmt: skip
def test_bytes_behind_an_answer_are_told_as_surplus_however_they_are_split(message):
    assert parse(message).surplus
    for pieces in splits(message):
        seen = parse(*pieces)
        assert (seen.ended, seen.surplus) == (1, True)


def test_bytes_while_nothing_is_expected_are_surplus():
    parser = ResponseParser(Recorder())
    parser.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert parser.surplus


def test_a_parser_takes_one_answer_after_another():
    recorder = Recorder()
    parser = ResponseParser(recorder)
    for content in (b"abc", b"de"):
        recorder.head = None
        parser.expect(b"GET")
        parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
    assert (recorder.body, recorder.ended, parser.surplus) == (b"abcde", 2, False)
