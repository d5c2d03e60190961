"""Bodies of every size, framing and method arrive whole: what Jira got and what the caller got have equal hashes."""

import hashlib

import pytest

from tests.support.callers import pieces
from tests.support.fake_jira import pattern_bytes, pattern_sha256

SIZES = {"empty": 0, "1 byte": 1, "64 KiB": 64 * 1024, "10 MiB": 10 * 1024 * 1024}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SPOOLED = [("X-Atlassian-Token", "no-check")]

sizes = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
methods = pytest.mark.parametrize("method", METHODS)
framings = pytest.mark.parametrize("framing", ["fixed", "chunked"])


def body_of(size, framing):
    data = pattern_bytes(size)
    return data if framing == "fixed" else pieces(data, 40_000)


@sizes
@framings
@methods
def test_a_request_body_reaches_jira_whole(fresh, method, framing, size):
    reply = fresh.ask(method, "/rest/api/2/test/sink", body_of(size, framing), SPOOLED)

    assert (reply.status, reply.whole) == (200, True), reply
    [seen] = fresh.jira.requests("/rest/api/2/test/sink")
    assert (seen["method"], seen["body_size"], seen["body_sha256"]) == (method, size, pattern_sha256(size))
    names = [name.lower() for name, _ in seen["headers"]]
    assert ("content-length" in names, "transfer-encoding" in names) == (framing == "fixed", framing == "chunked")


@pytest.mark.parametrize("method", [method for method in METHODS if method != "HEAD"])
@framings
@sizes
def test_an_answer_body_reaches_the_caller_whole(fresh, method, framing, size):
    chunked = int(framing == "chunked")

    reply = fresh.ask(method, f"/rest/api/2/test/bytes/{size}?chunked={chunked}", headers=SPOOLED)

    assert (reply.status, reply.whole, reply.size) == (200, True, size), reply
    assert reply.sha256 == pattern_sha256(size)
    assert bool(reply.header("Transfer-Encoding")) == (framing == "chunked")
    assert reply.header("Content-Length") == ("" if framing == "chunked" else str(size))


@sizes
def test_the_head_of_an_answer_tells_its_length_and_has_no_body(fresh, size):
    with fresh.caller() as caller:
        first = caller.ask("HEAD", f"/rest/api/2/test/bytes/{size}")
        second = caller.ask("GET", "/rest/api/2/test/bytes/3")  # the socket is where it should be

    assert (first.status, first.header("Content-Length"), first.size) == (200, str(size), 0)
    assert (second.status, second.body) == (200, pattern_bytes(3))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"])
@framings
@sizes
def test_a_body_goes_there_and_back_unchanged(fresh, method, framing, size):
    chunked = int(framing == "chunked")

    reply = fresh.ask(method, f"/rest/api/2/test/echo-body?chunked={chunked}", body_of(size, framing), SPOOLED)

    assert (reply.status, reply.whole, reply.size) == (200, True, size), reply
    assert reply.sha256 == hashlib.sha256(pattern_bytes(size)).hexdigest()


@pytest.mark.parametrize("method", METHODS)
def test_a_request_without_a_body_has_no_framing_at_jira(fresh, method):
    reply = fresh.ask(method, "/rest/api/2/test/sink", headers=SPOOLED)

    assert reply.status == 200
    [seen] = fresh.jira.requests("/rest/api/2/test/sink")
    names = [name.lower() for name, _ in seen["headers"]]
    assert "transfer-encoding" not in names
    assert ("content-length" in names) <= (method in {"POST", "PUT", "PATCH", "DELETE"})
