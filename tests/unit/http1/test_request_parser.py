"""Raw bytes in, requests or rejections out; every message also split at every position."""

import pytest

from http1.errors import Rejection, RequestRejected
from http1.messages import NO_BODY, STREAMED
from http1.request_parser import RequestLimits, RequestParser

HOST = b"Host: jira.example\r\n"


class Recorder:
    """Writes down what the parser reports."""

    def __init__(self):
        self.heads = []
        self.bodies = []
        self.ended = 0
        self.trailers = []

    def on_head(self, head):
        self.heads.append(head)
        self.bodies.append(b"")

    def on_body(self, data):
        assert data
        self.bodies[-1] += data

    def on_body_end(self, trailers):
        self.ended += 1
        self.trailers.append(trailers)


def parse(*pieces, limits=None):
    recorder = Recorder()
    parser = RequestParser(recorder, limits or RequestLimits())
    for piece in pieces:
        parser.feed(piece)
        while recorder.ended == len(recorder.heads) > 0 and parser.request is not None:
            parser.next_request()
    return recorder


def rejection(*pieces, limits=None):
    with pytest.raises(RequestRejected) as caught:
        parse(*pieces, limits=limits)
    return caught.value


def splits(message):
    yield from ((message[:i], message[i:]) for i in range(1, len(message)))
    yield tuple(message[i : i + 1] for i in range(len(message)))


def test_a_plain_get_has_no_body_and_keeps_its_bytes():
    seen = parse(
        b"GET /rest/api/2/search?jql=a%22+%2B[x]&b HTTP/1.1\r\n"
        + HOST
        + b"X-Twice: 1\r\nx-twice:\t 2 \r\nEmpty:\r\n\r\n"
    )
    head = seen.heads[0]
    assert (head.method, head.target) == (b"GET", b"/rest/api/2/search?jql=a%22+%2B[x]&b")
    assert head.headers == [(b"X-Twice", b"1"), (b"x-twice", b"2"), (b"Empty", b"")]
    assert (head.body, head.keep_alive, head.http_1_0, head.host) == (NO_BODY, True, False, b"jira.example")
    assert seen.ended == 1


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
def test_every_method_may_carry_a_body(method):
    seen = parse(method + b" / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc")
    assert (seen.heads[0].method, seen.heads[0].body, seen.bodies) == (method, 3, [b"abc"])


MESSAGE = (
    b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b'3;x="y"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nCookie: no\r\n\r\n'
    b"PUT /b HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nwxyz\r\n"
    b"GET /c HTTP/1.0\r\n\r\n"
)  # fmt: skip


def test_pipelined_requests_parse_the_same_however_they_are_split():
    whole = parse(MESSAGE)
    assert [(head.method, head.target, head.body) for head in whole.heads] == [
        (b"POST", b"/a", STREAMED), (b"PUT", b"/b", 4), (b"GET", b"/c", NO_BODY),
    ]  # fmt: skip
    assert whole.bodies == [b"abc0123456789", b"wxyz", b""]
    assert whole.trailers == [[(b"X-Sum", b"1")], [], []]
    for pieces in splits(MESSAGE):
        seen = parse(*pieces)
        assert (seen.heads, seen.bodies, seen.trailers) == (whole.heads, whole.bodies, whole.trailers)


def test_the_parser_stops_behind_a_request_and_keeps_the_rest():
    recorder = Recorder()
    parser = RequestParser(recorder, RequestLimits())
    parser.feed(b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\nGET /2 HTTP/1.1\r\n" + HOST)
    parser.feed(b"\r\n")
    assert [head.target for head in recorder.heads] == [b"/1"]
    assert parser.waiting_bytes == len(b"GET /2 HTTP/1.1\r\n" + HOST + b"\r\n")
    parser.next_request()
    assert [head.target for head in recorder.heads] == [b"/1", b"/2"]
    assert parser.waiting_bytes == 0


# Requests whose only right answer is 400 and a closed socket (RFC 9112; the scored cases of Http11Probe, docs/facts.md H1).
BAD_REQUESTS = {
    "no version": b"GET /\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/3.0": b"GET / HTTP/3.0\r\n" + HOST + b"\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\n" + HOST + b"\r\n",
    "HTTP/01.1": b"GET / HTTP/01.1\r\n" + HOST + b"\r\n",
    "HTTP/1": b"GET / HTTP/1\r\n" + HOST + b"\r\n",
    "lower-case version": b"GET / http/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "two spaces before the target": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
    "two spaces behind the target": b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab in the request line": b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "space behind the version": b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
    "leading space": b" GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "control byte in the target": b"GET /a\x01b HTTP/1.1\r\n" + HOST + b"\r\n",
    "DEL in the target": b"GET /a\x7fb HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in the target": b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n",
    "UTF-8 in the target": "GET /ä HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    "high byte in the target": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "bad character in the method": b"GE(T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in the method": b"G\0T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "target without slash": b"GET rest HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority-form": b"GET jira.example:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute-form with userinfo": b"GET http://u:p@jira.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute-form without authority": b"GET http:///x HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute-form of another scheme": b"GET ftp://jira.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "no Host but fields": b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "two different Hosts": b"GET / HTTP/1.1\r\n" + HOST + b"host: b\r\n\r\n",
    "absolute-form and no Host": b"GET http://jira.example/ HTTP/1.1\r\n\r\n",
    "empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "blank Host": b"GET / HTTP/1.1\r\nHost: \t\r\n\r\n",
    "Host with userinfo": b"GET / HTTP/1.1\r\nHost: u@jira.example\r\n\r\n",
    "Host with path": b"GET / HTTP/1.1\r\nHost: jira.example/x\r\n\r\n",
    "Host with query": b"GET / HTTP/1.1\r\nHost: jira.example?x\r\n\r\n",
    "Host with comma": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host with space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "Host with scheme": b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n",
    "Host with bad port": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "Host with empty port and name": b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
    "Host with high byte": b"GET / HTTP/1.1\r\nHost: a\xe4\r\n\r\n",
    "bad Host in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a@b\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "tab before the colon": b"GET / HTTP/1.1\r\n" + HOST + b"A\t: b\r\n\r\n",
    "space before the colon of a length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length : 3\r\n\r\nabc",
    "space before the first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "obs-fold with tab": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n\tc\r\n\r\n",
    "obs-fold in Transfer-Encoding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF behind the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF behind a field": b"GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "leading bare LF": b"\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\rc\r\n\r\n",
    "bare CR in the request line": b"GET /\r HTTP/1.1\r\n" + HOST + b"\r\n",
    "bare CR as line end": b"GET / HTTP/1.1\rHost: a\r\n\r\n",
    "CR CR LF": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\n" + HOST + b"A\0: b\r\n\r\n",
    "control byte in a value": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\x01c\r\n\r\n",
    "DEL in a value": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\x7fc\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + HOST + b"A\r\n\r\n",
    "bad character in a name": b"GET / HTTP/1.1\r\n" + HOST + b"A[]: b\r\n\r\n",
    "high byte in a name": b"GET / HTTP/1.1\r\n" + HOST + b"A\xff: b\r\n\r\n",
    "length and coding": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "length and unknown coding": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: x\r\n\r\nabcde",
    "coding in HTTP/1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding behind chunked": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "empty coding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "empty coding and length": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc",
    "length +3": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "length -3": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\nabc",
    "length 0x3": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc",
    "length 3.0": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3.0\r\n\r\nabc",
    "length 1_0": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "length 3 4": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3 4\r\n\r\nabcd",
    "empty length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\n",
    "length of letters": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: abc\r\n\r\n",
    "length beyond 64 bits": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999999\r\n\r\n",
    "length in Arabic digits": b"POST / HTTP/1.1\r\n" + HOST + "Content-Length: ٣\r\n\r\nabc".encode(),
    "Content_Length": b"POST / HTTP/1.1\r\n" + HOST + b"Content_Length: 3\r\n\r\n",
    "Transfer_Encoding": b"POST / HTTP/1.1\r\n" + HOST + b"transfer_encoding: chunked\r\n\r\n",
    "chunk size of letters": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "chunk size 0x3": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size +3": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "chunk size -3": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "chunk size 1_0": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\n0123456789012345\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc",
    "empty chunk size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n",
    "leading space in a chunk size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n",
    "trailing space in a chunk size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    "bare LF behind a chunk size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "bare LF in a chunk extension": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
    "bare CR in a chunk extension": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n",
    "NUL in a chunk extension": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3;\0\r\nabc\r\n0\r\n\r\n",
    "long chunk extension": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"x" * 300 + b"\r\nabc\r\n",
    "chunk longer than its size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "chunk shorter than its size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n",
    "bare LF behind a chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
    "no line end behind a chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n",
    "bare LF in the trailers": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n\r\n",
    "obs-fold in the trailers": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n",
    "space before a trailer's colon": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("message", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_ambiguous_or_malformed_is_a_bad_request_however_it_is_split(message):
    assert rejection(message).rejection is Rejection.BAD_REQUEST
    for pieces in splits(message):
        assert rejection(*pieces).rejection is Rejection.BAD_REQUEST


def test_nothing_of_a_bad_head_is_reported():
    recorder = Recorder()
    parser = RequestParser(recorder, RequestLimits())
    with pytest.raises(RequestRejected) as caught:
        parser.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
    assert recorder.heads == []
    assert caught.value.request is None


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT", b"get", b"PROPFIND", b"FOO", b"M-SEARCH"])
def test_other_methods_are_not_allowed(method):
    assert rejection(method + b" / HTTP/1.1\r\n" + HOST + b"\r\n").rejection is Rejection.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity", b"xchunked", b"chunked;q=1", b'"chunked"'])
def test_other_codings_are_unsupported(coding):
    message = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    assert rejection(message).rejection is Rejection.UNSUPPORTED_CODING


LIMITS = RequestLimits(target_bytes=100, head_bytes=200, fields=5, body_bytes=10)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"GET /" + b"a" * 100 + b" HTTP/1.1\r\n" + HOST + b"\r\n", Rejection.URI_TOO_LONG),
        (b"GET /" + b"a" * 1000, Rejection.URI_TOO_LONG),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 200 + b"\r\n\r\n", Rejection.HEADERS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 300, Rejection.HEADERS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 6 + b"\r\n", Rejection.HEADERS_TOO_LARGE),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n", Rejection.BODY_TOO_LARGE),
        (
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n",
            Rejection.BODY_TOO_LARGE,
        ),
    ],
)
def test_limits_are_told_apart(message, expected):
    assert rejection(message, limits=LIMITS).rejection is expected


def test_what_is_just_within_the_limits_passes():
    seen = parse(
        b"POST /" + b"a" * 99 + b" HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 5 + b"Content-Length: 10\r\n\r\n0123456789",
        limits=LIMITS,
    )
    assert seen.ended == 1


def test_a_body_too_large_names_the_request():
    error = rejection(b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n", limits=LIMITS)
    assert error.request is not None
    assert error.request.target == b"/x"


@pytest.mark.parametrize(
    ("target", "origin_form", "host"),
    [
        (b"http://other:8080/a?b", b"/a?b", b"other:8080"),
        (b"HTTPS://other", b"/", b"other"),
        (b"http://[::1]:80?x=/y", b"/?x=/y", b"[::1]:80"),
    ],
)
def test_an_absolute_form_becomes_origin_form_and_its_authority_replaces_host(target, origin_form, host):
    head = parse(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n").heads[0]
    assert (head.target, head.host) == (origin_form, host)


def test_hop_by_hop_fields_and_what_connection_names_are_consumed():
    head = parse(
        b"GET / HTTP/1.1\r\n"
        + HOST
        + b"Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
        b"Trailer: A\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\nProxy-Connection: x\r\nHTTP2-Settings: x\r\nExpect: x\r\nA: b\r\n\r\n"
    ).heads[0]
    assert head.headers == [(b"A", b"b")]
    assert not head.expect_continue


@pytest.mark.parametrize(
    ("version", "connection", "expected"),
    [
        (b"1.1", b"", True), (b"1.1", b"Connection: Close\r\n", False), (b"1.1", b"Connection: a, close\r\n", False),
        (b"1.0", b"", False), (b"1.0", b"Connection: Keep-Alive\r\n", True), (b"1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)  # fmt: skip
def test_keep_alive_follows_version_and_connection(version, connection, expected):
    head = parse(b"GET / HTTP/" + version + b"\r\n" + HOST + connection + b"\r\n").heads[0]
    assert head.keep_alive is expected


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_an_upgrade_is_ignored_without_losing_step(upgrade):
    seen = parse(
        b"POST / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\nContent-Length: 3\r\n\r\nabc"
        b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
    )  # fmt: skip
    assert [head.target for head in seen.heads] == [b"/", b"/next"]
    assert seen.bodies == [b"abc", b""]


def test_expect_counts_only_with_a_body_and_from_http_1_1():
    def expects(line, fields):
        return parse(line + HOST + b"Expect: 100-Continue\r\n" + fields + b"\r\n").heads[0].expect_continue

    assert expects(b"POST / HTTP/1.1\r\n", b"Content-Length: 3\r\n")
    assert not expects(b"POST / HTTP/1.1\r\n", b"")
    assert not expects(b"POST / HTTP/1.1\r\n", b"Content-Length: 0\r\n")
    assert not expects(b"POST / HTTP/1.0\r\n", b"Content-Length: 3\r\n")


def test_empty_lines_before_a_request_are_forgiven_and_obs_text_in_values_passes():
    seen = parse(b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"A: \xe4\xff\r\n\r\n")
    assert seen.heads[0].headers == [(b"A", b"\xe4\xff")]


def test_a_length_of_zero_is_told_from_no_body():
    assert parse(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n").heads[0].body == 0
    assert parse(b"POST / HTTP/1.1\r\n" + HOST + b"\r\n").heads[0].body == NO_BODY
