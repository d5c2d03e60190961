"""Whatever the bytes: the parsers raise nothing but their own errors, and how bytes are split never matters."""

import contextlib

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from http1.chunked import ChunkDecoder
from http1.encoding import encode_chunk, encode_last_chunk, encode_request, encode_response, response_framing
from http1.errors import MalformedMessage, RequestRejected, UnsendableHead
from http1.head_reader import split_fields
from http1.messages import NO_BODY, STREAMED, RequestHead
from http1.request_parser import RequestLimits, RequestParser
from http1.response_parser import ResponseParser

FRAGMENTS = st.sampled_from([
    b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\n", b"Host: a\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 204 X\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: h2c\r\n",
    b"Expect: 100-continue\r\n", b"\r\n", b"\n", b"\r", b"3\r\nabc\r\n", b"0\r\n", b"0\r\n\r\n", b"abc", b" ", b":", b"\0", b"A: b\r\n",
])  # fmt: skip
HOSTILE = st.lists(FRAGMENTS | st.binary(max_size=6), max_size=14).map(b"".join)
CUTS = st.lists(st.integers(1, 40), max_size=8)


class Trace:
    """Events, with the bytes of one body joined: their splitting is the peer's business."""

    def __init__(self):
        self.events = []

    def on_head(self, head):
        self.events.append(head)

    def on_body(self, data):
        assert data
        if isinstance(self.events[-1], bytes):
            data = self.events.pop() + data
        self.events.append(data)

    def on_body_end(self, trailers):
        self.events.append(("end", tuple(trailers)))


def cut(message, sizes):
    for size in sizes:
        yield message[:size]
        message = message[size:]
    yield message


def requests_in(pieces):
    trace = Trace()
    parser = RequestParser(trace, RequestLimits(target_bytes=64, head_bytes=128, fields=6, body_bytes=64))
    try:
        for piece in pieces:
            parser.feed(piece)
            while trace.events and isinstance(trace.events[-1], tuple) and parser.request is not None:
                parser.next_request()
    except RequestRejected as rejected:
        trace.events.append(rejected.rejection)
    return trace.events


def responses_in(pieces):
    trace = Trace()
    parser = ResponseParser(trace)
    parser.expect(b"GET")
    try:
        for piece in pieces:
            parser.feed(piece)
        parser.feed_eof()
    except MalformedMessage:
        trace.events.append("malformed")
    return trace.events


def without_partial_body(events):
    """A body that turned out malformed may have been reported up to any byte, depending on how it arrived."""
    return (
        [event for event in events if not isinstance(event, bytes)]
        if events and not isinstance(events[-1], tuple)
        else events
    )


@settings(max_examples=300, deadline=None)
@given(HOSTILE, CUTS)
def test_any_bytes_give_requests_or_a_rejection_and_splits_do_not_matter(message, sizes):
    whole = requests_in([message])
    assert without_partial_body(requests_in(cut(message, sizes))) == without_partial_body(whole)


@settings(max_examples=300, deadline=None)
@given(HOSTILE.map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail) | HOSTILE, CUTS)
def test_any_bytes_give_an_answer_or_a_refusal_and_splits_do_not_matter(message, sizes):
    whole = responses_in([message])
    assert without_partial_body(responses_in(cut(message, sizes))) == without_partial_body(whole)


CHUNKY = st.lists(
    st.sampled_from(
        [
            b"0",
            b"1",
            b"3",
            b"a",
            b"\r\n",
            b"abc",
            b"0123456789",
            b";x=y",
            b"\n",
            b" ",
            b"\r\n\r\n",
            b"A: b\r\n",
            b"g",
            b"-",
        ]
    )
    | st.binary(max_size=2),
    max_size=16,
).map(b"".join)
WELL_CHUNKED = st.lists(st.binary(min_size=1, max_size=20), max_size=5).map(
    lambda chunks: b"".join(b"".join(encode_chunk(chunk)) for chunk in chunks) + encode_last_chunk()
)


FIELD_PIECES = st.lists(
    st.sampled_from([b"A", b"x-b", b":", b": ", b" ", b"\t", b"v", b"\r\n", b"\n", b"\r", b"\0", b"\x7f", b"\xff", b"@", b'"', b"Host: a\r\n"])
    | st.binary(max_size=2),
    max_size=14,
).map(b"".join)  # fmt: skip


class LlhttpFields(list):
    def on_header(self, name, value):
        self.append((name, value.strip(b" \t") if value else b""))


@settings(max_examples=400, deadline=None)
@given(FIELD_PIECES | st.lists(st.sampled_from([b"A: b\r\n", b"C:d \r\n", b"e:\r\n", b"F:\t\xff\t\r\n"])).map(b"".join))
def test_the_fields_of_an_answer_are_split_as_llhttp_does_or_refused(block):
    try:
        fields = split_fields(block)
    except MalformedMessage:
        return
    reading = LlhttpFields()
    httptools.HttpResponseParser(reading).feed_data(b"HTTP/1.1 204 No Content\r\n" + block + b"\r\n")
    assert fields == reading


class LlhttpBody:
    def __init__(self):
        self.body = b""
        self.complete = False

    def on_body(self, data):
        if not self.complete:
            self.body += data

    def on_message_complete(self):
        self.complete = True


@settings(max_examples=500, deadline=None)
@given(CHUNKY | WELL_CHUNKED, CUTS)
def test_what_our_chunk_decoder_accepts_llhttp_reads_the_same(data, sizes):
    decoder = ChunkDecoder()
    body, rest = b"", None
    try:
        pieces = list(cut(data, sizes))
        for index, piece in enumerate(pieces):
            content, rest = decoder.decode(piece)
            body += content
            if rest is not None:
                rest += b"".join(pieces[index + 1 :])
                break
    except MalformedMessage:
        return
    oracle = LlhttpBody()
    parser = httptools.HttpRequestParser(oracle)
    parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(httptools.HttpParserError):  # behind the body, or within a line that has not ended
        parser.feed_data(data if rest is None else data[: len(data) - len(rest)])
    assert oracle.complete == (rest is not None)
    assert oracle.body == body


TOKENS = st.text("abcXYZ019-_!~", min_size=1, max_size=8).map(str.encode)
VALUES = st.text('ab:;, \t"%/äÿ', max_size=10).map(lambda text: text.encode("latin-1").strip(b" \t"))
FIELDS = st.lists(st.tuples(TOKENS.map(lambda name: b"X-" + name), VALUES), max_size=6)
BODIES = st.sampled_from([NO_BODY, 0, STREAMED]) | st.integers(1, 60)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"GET", b"POST", b"DELETE"]), st.text("/ab%2[]+?=&", max_size=20).map(str.encode), FIELDS, BODIES
)
def test_an_encoded_request_parses_back_to_itself(method, path, fields, body):
    head = RequestHead(method, b"/" + path, fields, body, host=b"jira.example:8080")
    trace = Trace()
    RequestParser(trace, RequestLimits()).feed(encode_request(head, head.host))
    assert trace.events[0] == head


@settings(max_examples=200, deadline=None)
@given(st.integers(200, 599).filter(lambda status: status not in {204, 304}), FIELDS, BODIES)
def test_an_encoded_answer_parses_back_to_itself(status, fields, body):
    trace = Trace()
    parser = ResponseParser(trace)
    parser.expect(b"GET")
    parser.feed(encode_response(status, fields, response_framing(body, bodyless=False, http_1_0=False)))
    head = trace.events[0]
    assert (head.status, head.headers, head.body) == (status, fields, 0 if body == NO_BODY else body)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=8))
def test_no_head_that_can_be_sent_carries_more_than_it_says(target, name, value, method):
    head = RequestHead(method, b"/" + target, [(name, value)], NO_BODY)
    try:
        encoded = encode_request(head, b"a")
    except UnsendableHead:
        return
    assert encoded.count(b"\r\n") == encoded.count(b"\n") == encoded.count(b"\r") == 4
    assert encoded.endswith(name + b": " + value + b"\r\n\r\n")
