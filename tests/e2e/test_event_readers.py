"""Who reads events at a real gateway: sent home when it stops, and let in again when it is back."""

import socket
import time

import pytest

from tests.support.callers import ask, bearer
from tests.support.stack import Stack

pytestmark = pytest.mark.slow

STOP_SECONDS = 6.0
EVENTS = "/api/v1/triggers/tickets/events"


@pytest.fixture
def stack(tmp_path):
    with Stack(tmp_path / "stack", "http://127.0.0.1:9") as stack:
        stack.start_gateway()
        stack.must("agents", "invite", "hq")
        stack.connect("hq")
        stack.must("triggers", "add", "--connection", "hq", "--name", "tickets", "--events", "jira:issue_created")
        yield stack


def opened(stack, token, accept, query=""):
    """A socket on which a request for events waits."""
    waiting = socket.create_connection(("127.0.0.1", stack.api_port), timeout=20)
    head = f"GET {EVENTS}{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n"
    waiting.sendall(head.encode())
    return waiting


def received(waiting, words):
    """Read until these words are there."""
    seen = b""
    while words not in seen:
        data = waiting.recv(4096)
        assert data, seen
        seen += data
    return seen


def test_at_a_stop_readers_get_a_whole_answer_and_nobody_waits_for_them(stack):
    token = stack.token("reader", "hq", flags=("--scope", "events"))
    stream = opened(stack, token, "text/event-stream")
    received(stream, b"retry: 1000\n\n")
    polling = opened(stack, token, "application/json", "?wait=60")
    ask(stack.url, "GET", EVENTS, headers=[bearer(token)])  # what was sent before this has arrived

    began = time.monotonic()
    status = stack.gateway.stop()
    spent = time.monotonic() - began

    assert status == 0
    assert spent < STOP_SECONDS
    assert received(stream, b"0\r\n\r\n")
    assert received(polling, b'{"items":[],"next":"0"}').startswith(b"HTTP/1.1 200 ")
    stream.close()
    polling.close()

    stack.start_gateway()
    assert ask(stack.url, "GET", EVENTS, headers=[bearer(token)]).json() == {"items": [], "next": "0"}
