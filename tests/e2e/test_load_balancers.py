"""A gateway behind load balancers: who asks is whom they name, if they are ours, and nothing else depends on it."""

import json
import socket
import ssl
import struct

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import ask, bearer, say
from tests.support.fake_jira import JiraProcess
from tests.support.fake_jira.tls import client_context, make_certificate
from tests.support.relay import Relay
from tests.support.stack import Stack, wait_until

HEADER = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + socket.inet_aton("203.0.113.9")
    + socket.inet_aton("10.0.0.1")
    + struct.pack("!HH", 40000, 443)
)
REQUEST = b"GET /jira/hq/rest/api/2/myself HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b\r\n"


def logged(stack, marker):
    """Return what the gateway has logged of the request with this path."""
    for line in stack.gateway.output().splitlines():
        if marker in line:
            return json.loads(line)
    return None


def peer_of(stack, marker):
    wait_until(lambda: logged(stack, marker), "the refusal is logged", 5)
    return logged(stack, marker)["peer"]


def strange(marker, *headers):
    """A request without a token: it is refused, and logged with its peer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"GET /jira/{marker}/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A gateway behind load balancers on loopback, with TLS of its own for callers; yields it and its CA."""
    files = make_certificate(tmp_path_factory.mktemp("tls"))
    settings = {
        "JIRA_GATEWAY_TRUSTED_PROXIES": "127.0.0.0/8",
        "JIRA_GATEWAY_API_CERT_FILE": str(files.cert),
        "JIRA_GATEWAY_API_KEY_FILE": str(files.key),
    }
    with (
        JiraProcess("9.12", context="/jira") as jira,
        Stack(tmp_path_factory.mktemp("lb"), jira.url, settings=settings) as stack,
    ):
        stack.start_gateway()
        yield stack, files.ca


def speak(port, ca, header, request):
    """Send a header, then a request over TLS, and return the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(header)
        with client_context(ca).wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(request)
            answer = b""
            while data := secured.recv(65536):
                answer += data
    return answer


def test_the_callers_address_is_the_one_in_the_header(behind):
    stack, ca = behind
    assert speak(stack.api_port, ca, HEADER, strange("lb-header")).startswith(b"HTTP/1.1 401")
    assert peer_of(stack, "lb-header") == "203.0.113.9"


def test_without_a_header_it_is_the_one_that_the_load_balancer_has_appended(behind):
    stack, ca = behind
    request = strange("lb-forwarded", ("X-Forwarded-For", "6.6.6.6, 198.51.100.7"))
    assert speak(stack.api_port, ca, b"", request).startswith(b"HTTP/1.1 401")
    assert peer_of(stack, "lb-forwarded") == "198.51.100.7"


def test_what_a_caller_behind_the_header_says_itself_does_not_count(behind):
    stack, ca = behind
    request = strange("lb-spoofed", ("X-Forwarded-For", "127.0.0.1"))
    assert speak(stack.api_port, ca, HEADER, request).startswith(b"HTTP/1.1 401")
    assert peer_of(stack, "lb-spoofed") == "203.0.113.9"


def test_a_broken_header_ends_the_socket_and_nothing_else(behind):
    stack, ca = behind
    with pytest.raises((ssl.SSLError, OSError)):
        speak(stack.api_port, ca, HEADER[:13] + b"\x11\xff\xff", strange("lb-broken"))
    assert speak(stack.api_port, ca, b"", strange("lb-after")).startswith(b"HTTP/1.1 401")


def test_agents_enroll_and_work_through_a_load_balancer(behind, tmp_path):
    stack, _ = behind
    with Relay(stack.tunnel_port, HEADER) as relay:
        agent = stack.agent("hq", **SERVICE, JIRA_AGENT_GATEWAY_URL=f"wss://127.0.0.1:{relay.port}")
        code = stack.must("agents", "invite", "hq")
        # The code names the gateway itself, which takes agents without a header too.
        assert agent.command("enroll", "-", stdin=code).returncode == 0
        agent.start_and_wait()
        rows = json.loads(stack.must("agents", "show", "hq", "--json"))
        assert "203.0.113.9" in json.dumps(rows)


def test_nobody_is_believed_where_no_load_balancer_is_set(fresh):
    target = "/rest/api/2/unbelieved"
    headers = [bearer("jtg_wrong"), ("X-Forwarded-For", "203.0.113.9")]
    assert ask(fresh.url, "GET", target, None, headers).status == 401
    assert peer_of(fresh.stack, "unbelieved") == "127.0.0.1"
    replies = say(fresh.stack.api_port, HEADER + REQUEST % b"")
    assert [reply.status for reply in replies] == [400]
