"""The access log of a real gateway, the trace context on its way to Jira, and a standard error that nobody reads."""

import json
import os
import socket
import subprocess
import time

import pytest

from tests.support.callers import ask, bearer
from tests.support.fake_jira import Hang
from tests.support.stack import PROJECT, Stack, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")
TRACESTATE = ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")


def lines(site, request_id="", **fields):
    """The access lines with these fields, once there is one."""
    wanted = fields | ({"request_id": request_id} if request_id else {})

    def found():
        told = [json.loads(line) for line in site.stack.gateway.output().splitlines() if '"event":"request"' in line]
        return [line for line in told if wanted.items() <= line.items()]

    wait_until(found, f"an access line with {wanted}", 5)
    return found()


def test_every_request_has_one_line(fresh):
    answer = fresh.ask("POST", "/rest/api/2/test/status/201?secret=canary", b"x" * 1000, [TRACEPARENT])
    [line] = lines(fresh, answer.header("X-Request-ID"))
    assert (line["caller"], line["connection"], line["agent"], line["peer"]) == ("token-hq", "hq", "hq", "127.0.0.1")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/rest/api/2/test/status/201", 201)
    assert (line["outcome"], line["bytes_in"], line["bytes_out"]) == ("answered", 1000, len(answer.body))
    assert (line["trace_id"], line["level"]) == (TRACE, "info")
    assert line["link"] >= 1
    assert line["queue_ms"] + line["tunnel_ms"] + line["jira_ms"] <= line["total_ms"] + 0.05

    for target, token, outcome in (
        ("/rest/api/2/x", "jtg_wrong", "unauthenticated"),
        ("/rest/../x", fresh.token, "bad_request"),
        ("/secure/admin", fresh.token, "policy_denied"),
    ):
        refused = ask(fresh.url, "GET", target, None, [bearer(token)])
        [line] = lines(fresh, refused.header("X-Request-ID"))
        assert (line["status"], line["outcome"], line["bytes_out"]) == (refused.status, outcome, len(refused.body))

    answer = ask(fresh.stack.url, "GET", "/api/v1/agents", None, [bearer(fresh.token)])
    [line] = lines(fresh, answer.header("X-Request-ID"))
    assert (line["path"], line["status"], line["caller"]) == ("/api/v1/agents", 403, "token-hq")
    assert not answer.header("Tunnel-Caller")
    answer = ask(fresh.stack.url, "POST", "/hooks/" + "h" * 43, b"{}")
    [line] = lines(fresh, answer.header("X-Request-ID"))
    assert (line["path"], line["status"], line["outcome"]) == ("/hooks/", 404, "not_found")


def test_a_caller_that_hangs_up_has_status_0(fresh):
    fresh.jira.misbehave("/rest/api/2/test/sink", Hang())
    with fresh.caller() as caller:
        caller.send("POST", "/rest/api/2/test/sink?marker=hangs", b"x" * 10)
        wait_until(lambda: fresh.arrived("marker=hangs"), "Jira has the request")
    [line] = lines(fresh, path="/rest/api/2/test/sink", outcome="hung_up")
    assert (line["status"], line["bytes_in"], line["bytes_out"]) == (0, 10, 0)


@pytest.mark.parametrize(
    "headers", [[TRACEPARENT, TRACESTATE], [("traceparent", "00-not-a-trace"), TRACESTATE], [TRACEPARENT] * 2, []]
)
def test_a_trace_context_reaches_jira_as_it_came_and_none_is_invented(fresh, headers):
    marker = f"trace-{len(headers)}-{headers and headers[0][1][:6]}"
    fresh.ask("GET", f"/rest/api/2/myself?marker={marker}", None, headers)
    [arrived] = fresh.arrived(marker)
    assert [tuple(pair) for pair in arrived["headers"] if pair[0].lower().startswith("trace")] == headers


def test_a_standard_error_that_nobody_reads_stalls_no_request(tmp_path):
    """About 10,000 lines are far more than a pipe and the writer's room hold."""
    with Stack(tmp_path, "http://127.0.0.1:9") as stack:
        program = stack.gateway
        reading, writing = os.pipe()
        program.process = subprocess.Popen(
            program.arguments, cwd=PROJECT, env=program.environment, stdin=subprocess.DEVNULL, stderr=writing
        )
        os.close(writing)
        errors = os.fdopen(reading, "rb")
        try:
            stack.wait_gateway()
            slowest = 0.0
            for _ in range(20):
                begin = time.monotonic()
                head = b"GET /jira/hq/%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 150)
                assert say(stack.api_port, head * 500) >= 500
                slowest = max(slowest, time.monotonic() - begin)
            assert slowest < 10, "the gateway waits for its log"
            told = next(line for line in errors if b"log_lines_dropped" in line)
            assert json.loads(told)["count"] > 100
            begin = time.monotonic()
            assert program.stop() == 0
            assert time.monotonic() - begin < 10, "nor does its end wait"
        finally:
            errors.close()


def say(port, data):
    """Send requests at once and return how many answers came."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        answers, buffer = 0, b""
        while answers < data.count(b"GET "):
            got = sock.recv(1 << 20)
            if not got:
                break
            buffer = buffer[-8:] + got
            answers += buffer.count(b"HTTP/1.1 ")
            buffer = buffer[buffer.rfind(b"HTTP/1.1 ") + 9 :]
        return answers
