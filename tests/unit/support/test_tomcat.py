"""Tomcat's reading of targets and heads, as measured (docs/facts.md T1 to T3)."""

import pytest

from tests.support.fake_jira.tomcat import BadRequest, map_target, parse_head


@pytest.mark.parametrize(
    "target",
    [
        b"/rest/api/2/..;/..;/..;/secure/admin",
        b"/rest/api/2/..;x=1/..;x=1/..;x=1/secure/admin",
        b"/rest/api/2/%2e%2e;/%2e%2e;/%2e%2e;/secure/admin",
        b"/rest/api/2;/..;/../../secure/admin",
        b"/;/secure/admin",
        b"/;a=b/secure/admin",
        b"//secure/admin",
        b"/.//secure/admin",
        b"/%73ecure/admin",
        b"/secure;jsessionid=A/admin",
        b"/rest/api/2/%2e%2e/%2e%2e/%2e%2e/secure/admin",
        b"http://other.example/secure/admin",
    ],
)
def test_every_measured_bypass_is_mapped_to_the_admin_page(target):
    assert map_target(target)[0] == "/secure/admin"


@pytest.mark.parametrize(
    "target",
    [
        b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a\\b", b"/a%00b", b"/%c0%ae%c0%ae/", b"/%u002e/", b"/%zz", b"/a%2",
        b"/{a}", b"/\xc3\xbc", b"/a#b", b"/../x", b"/a/../../x", b"rest", b"/a?b\xff", b"/a\x7f",
    ],
)  # fmt: skip
def test_what_tomcat_refuses_is_refused(target):
    with pytest.raises(BadRequest):
        map_target(target)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/rest/api/2/..%3b/x", "/rest/api/2/..;/x"),
        (b"/%252e%252e/x", "/%2e%2e/x"),
        (b"/a%0d%0ab", "/a\r\nb"),
        (b"/rest/[a]|b", "/rest/[a]|b"),
        (b"/rest/%C3%BC", "/rest/ü"),
        (b"/rest/..", "/"),
        (b"/rest/.", "/rest/"),
        (b"/rest/api/", "/rest/api/"),
    ],
)
def test_the_rest_is_taken_literally(target, path):
    assert map_target(target)[0] == path


def test_the_query_is_left_raw():
    assert map_target(b'/s?jql=a%20%2B+"[x]{}|\\^`<>;..') == ("/s", b'jql=a%20%2B+"[x]{}|\\^`<>;..')


def head_of(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_a_head_keeps_names_order_and_repeats():
    head = parse_head(head_of(b"GET /x HTTP/1.1", b"hOsT: h", b"A:  1 ", b"a: 2", b"B:"))
    assert head.headers == [(b"hOsT", b"h"), (b"A", b"1"), (b"a", b"2"), (b"B", b"")]
    assert (head.method, head.target, head.body, head.keep_alive) == ("GET", b"/x", -2, True)


@pytest.mark.parametrize(
    "lines",
    [
        [b"GET /x", b"Host: h"],
        [b"GET /x HTTP/2.0", b"Host: h"],
        [b"GET  HTTP/1.1", b"Host: h"],
        [b"GET /x HTTP/1.1"],
        [b"GET /x HTTP/1.1", b"Host: h", b"Host: h"],
        [b"GET /x HTTP/1.1", b"Host: h", b"A : 1"],
        [b"GET /x HTTP/1.1", b"Host: h", b" folded"],
        [b"GET /x HTTP/1.1", b"Host: h", b"A: a\x00b"],
        [b"POST /x HTTP/1.1", b"Host: h", b"Content-Length: 1", b"Content-Length: 1"],
        [b"POST /x HTTP/1.1", b"Host: h", b"Content-Length: +1"],
        [b"POST /x HTTP/1.1", b"Host: h", b"Transfer-Encoding: gzip, chunked"],
    ],
)
def test_a_bad_head_is_refused(lines):
    with pytest.raises(BadRequest):
        parse_head(head_of(*lines))


def test_transfer_encoding_wins_over_a_length():
    head = parse_head(head_of(b"POST /x HTTP/1.1", b"Host: h", b"Content-Length: 5", b"Transfer-Encoding: chunked"))
    assert head.body == -1
