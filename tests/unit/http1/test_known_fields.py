"""Field lines that come again mean what they meant, for all sockets of a listener, and are not kept for long."""

import pytest

from http1.errors import RequestRejected
from http1.known_fields import KEPT_SECONDS, LONGEST, MOST, KnownFields
from http1.request_parser import RequestLimits, RequestParser


class Heads(list):
    def on_head(self, head):
        self.append(head)

    def on_body(self, data):
        raise AssertionError(data)

    def on_body_end(self, trailers):
        pass


def read(known, line=b"GET /a HTTP/1.1", fields=b"Host: a\r\nA: b\r\n"):
    heads = Heads()
    RequestParser(heads, RequestLimits(), known).feed(line + b"\r\n" + fields + b"\r\n")
    return heads[0]


def test_the_same_lines_are_read_once_whatever_is_asked_for():
    known = KnownFields()
    first, second = read(known), read(known, b"DELETE /b HTTP/1.1")
    assert second.fields is first.fields
    assert (second.method, second.target, second.headers) == (b"DELETE", b"/b", [(b"A", b"b")])
    assert read(known, fields=b"Host: a\r\nA:  b\r\n").fields is not first.fields


def test_the_host_of_an_absolute_target_is_that_requests_alone():
    known = KnownFields()
    assert read(known, b"GET http://other/x HTTP/1.1").host == b"other"
    assert read(known).host == b"a"


def test_lines_that_were_refused_are_refused_again():
    known = KnownFields()
    for _ in range(2):
        with pytest.raises(RequestRejected):
            read(known, fields=b"Host: a\r\nHost: b\r\n")
    assert not len(known)


def test_http_1_0_has_rules_of_its_own():
    known = KnownFields()
    assert read(known).keep_alive
    assert not read(known, b"GET /a HTTP/1.0").keep_alive
    assert len(known) == 1


def test_memory_is_bounded_and_short():
    known = KnownFields()
    for number in range(3 * MOST):
        read(known, fields=b"Host: a\r\nA: %d\r\n" % number)
        assert len(known) <= MOST
    read(known, fields=b"Host: a\r\nA: " + b"x" * LONGEST + b"\r\n")
    assert len(known) <= MOST
    known.expire(100.0)
    assert (len(known), known.deadline) == (0, 100.0 + KEPT_SECONDS)
