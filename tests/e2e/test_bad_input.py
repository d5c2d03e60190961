"""Every row of the error table provoked from outside: status, slug, headers and body are as documented.

Nothing ends either program, and for each refusal there is one log line that says who, what, and why.
"""

import json
import signal
import socket
import time
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import Caller, all_at_once, ask, basic, bearer, say
from tests.support.fake_jira import CloseBeforeAnswer, Hang, JiraProcess, RawAnswer, make_certificate
from tests.support.ports import free_port
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.slow

MAX_BODY = 1024 * 1024
SINK = "/rest/api/2/test/sink"


class Court:
    """One gateway with an agent for every way in which things go wrong; connections are named after them."""

    def __init__(self, stack, jira):
        self.stack, self.jira = stack, jira
        self.tokens = {}
        self.agents = {}

    def url(self, connection):
        return f"{self.stack.url}/jira/{connection}"

    def ask(self, connection, method, target, body=None, headers=(), **options):
        login = bearer(self.tokens[connection])
        return ask(self.url(connection), method, target, body, [login, *headers], **options)

    def say(self, request_line, *fields, body=b"", login=True):
        """One raw request to `hq`, with a Host and the token unless told otherwise."""
        lines = [request_line, *fields]
        if login:
            lines.append(f"Authorization: Bearer {self.tokens['hq']}")
        if not any(line.lower().startswith("host") for line in fields):
            lines.append("Host: localhost")
        return say(self.stack.api_port, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


@pytest.fixture(scope="module")
def court(tmp_path_factory):
    folder = tmp_path_factory.mktemp("court")
    with ExitStack() as exits:
        jira = exits.enter_context(JiraProcess("9.12", context="/jira"))
        secure = exits.enter_context(JiraProcess("9.12", tls=make_certificate(folder)))
        settings = {"JIRA_GATEWAY_MAX_BODY_BYTES": str(MAX_BODY)}
        stack = exits.enter_context(Stack(folder / "stack", jira.url, settings=settings)).start_gateway()
        court = Court(stack, jira)
        kinds = {
            "hq": SERVICE,
            "strange": {**SERVICE, "JIRA_AGENT_JIRA_URL": secure.url},
            "nowhere": {**SERVICE, "JIRA_AGENT_JIRA_URL": f"http://127.0.0.1:{free_port()}"},
            "nologin": {},
            "tiny": {**SERVICE, "JIRA_AGENT_MAX_CONCURRENCY": "1"},
        }
        for name, environment in kinds.items():
            court.agents[name] = stack.enroll(name, **environment)
            court.agents[name].start()
            court.tokens[name] = stack.connect(name)
        for agent in court.agents.values():
            wait_until(lambda agent=agent: "link_up" in agent.output(), "the agent's first link")
        stack.must("agents", "invite", "away")
        court.tokens["away"] = stack.connect("away")
        stack.must("connections", "add", "own", "--via", "hq", "--credentials", "caller")
        court.tokens["own"] = stack.token("own", "own")
        yield court


@pytest.fixture(autouse=True)
def nothing_crashes(court):
    yield
    court.jira.call("behave")
    assert court.stack.gateway.is_running
    assert all(agent.is_running for agent in court.agents.values())
    assert "Traceback" not in court.stack.gateway.output()
    assert court.ask("hq", "GET", "/rest/api/2/serverInfo").status == 200


def check(court, reply, status, slug, *, source="gateway", processed="no", retry=False):
    """The answer is the one that is documented, and the gateway's log says who and why."""
    assert (reply.status, reply.error) == (status, slug), reply
    assert (reply.header("Tunnel-Source"), reply.processed) == (source, processed)
    assert reply.header("Content-Type").startswith("application/json")
    request_id = reply.header("X-Request-ID")
    body = reply.json()
    assert body["tunnel"] == {"error": slug, "source": source, "processed": processed, "request_id": request_id}
    assert body["errors"] == {}
    [message] = body["errorMessages"]
    assert len(message) > 15
    assert bool(reply.header("Retry-After")) == retry
    log_line(court, request_id, slug)


def log_line(court, request_id, slug):
    """The line that says why is written right after the answer."""

    def found():
        lines = [json.loads(line) for line in court.stack.gateway.output().splitlines() if request_id in line]
        return [each for each in lines if slug in {each.get("error"), each.get("outcome")} and "reason" in each]

    wait_until(found, f"the log line of {request_id}", 2)
    [line] = found()
    assert line.get("peer") or line.get("caller"), f"who? {line}"
    assert {"method", "path", "reason"} <= line.keys()
    assert len(line["reason"]) > 15, f"what to do? {line}"


@pytest.mark.parametrize(
    "headers",
    [[], [bearer("jtg_nonsense")], [basic("svc.bridge", "password-of-svc.bridge")], [("Authorization", "Basic !!")],
     [("Authorization", "Negotiate abc")], [("Tunnel-Authorization", "Bearer x")]],
    ids=["none", "bearer", "basic", "not base64", "negotiate", "tunnel"],
)  # fmt: skip
def test_without_a_token_there_is_nothing_to_see(court, headers):
    for path in ("/jira/hq/rest/api/2/myself", "/jira/unknown/x", "/", "/jira/hq/..;/secure"):
        reply = ask(court.stack.url, "GET", path, None, headers)

        check(court, reply, 401, "unauthenticated")
        assert reply.header("WWW-Authenticate") == 'Basic realm="jira-tunnel"'


def test_a_token_opens_only_the_connections_that_it_names(court):
    for connection in ("tiny", "unknown"):
        reply = ask(court.url(connection), "GET", SINK, None, [bearer(court.tokens["hq"])])

        check(court, reply, 403, "forbidden")


def test_a_read_only_token_writes_nothing(court):
    token = court.stack.token("reader", "hq", flags=("--read-only",))

    check(court, ask(court.url("hq"), "POST", "/rest/api/2/issue", b"{}", [bearer(token)]), 403, "forbidden")
    check(court, ask(court.url("hq"), "GET", "/rest/api/2/../../x", None, [bearer(token)]), 400, "bad_request")
    assert ask(court.url("hq"), "GET", "/rest/api/2/myself", None, [bearer(token)]).status == 200
    assert ask(court.url("hq"), "POST", "/rest/api/2/search", b"{}", [bearer(token)]).error == ""


def test_a_path_that_is_not_ours_is_not_found(court):
    for path in ("/", "/jira", "/rest/api/2/myself", "/jira2/hq/x", "/favicon.ico"):
        check(court, ask(court.stack.url, "GET", path, None, [bearer(court.tokens["hq"])]), 404, "not_found")


@pytest.mark.parametrize(
    ("request_line", "fields", "body"),
    [
        ("POST {sink} HTTP/1.1", ["Content-Length: 3", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        ("POST {sink} HTTP/1.1", ["Content-Length: 3", "Content-Length: 4"], b"abcd"),
        ("POST {sink} HTTP/1.1", ["Content-Length: +3"], b"abc"),
        ("POST {sink} HTTP/1.1", ["Content-Length: 3,3"], b"abc"),
        ("POST {sink} HTTP/1.1", ["Transfer-Encoding: chunked, chunked"], b"0\r\n\r\n"),
        ("POST {sink} HTTP/1.1", ["Transfer-Encoding : chunked"], b"0\r\n\r\n"),
        ("GET {sink} HTTP/1.1", ["Host: a", "Host: b"], b""),
        ("GET {sink} HTTP/1.1", ["Host: a b"], b""),
        ("GET {sink} HTTP/1.1", ["Bad Name: x"], b""),
        ("GET {sink} HTTP/1.1", ["X-A: 1", " folded: 2"], b""),
        ("GET {sink} HTTP/1.1", ["X-Nul: a\0b"], b""),
        ("GET {sink} HTTP/1.1", ["X-CR: a\rb"], b""),
        ("GET {sink}#fragment HTTP/1.1", [], b""),
        ("GET {sink}/..;/x HTTP/1.1", [], b""),
        ("GET {sink}\xfc HTTP/1.1", [], b""),
        ("GET  {sink} HTTP/1.1", [], b""),
        ("GET {sink} HTTP/2.0", [], b""),
        ("GET {sink}", [], b""),
        ("\x16\x03\x01\x02\0", [], b""),
    ],
)  # fmt: skip
def test_a_malformed_request_is_refused_and_its_socket_closed(court, request_line, fields, body):
    court.jira.call("clear")

    replies = court.say(request_line.format(sink="/jira/hq" + SINK), *fields, body=body)

    assert len(replies) == 1
    check(court, replies[0], 400, "bad_request")
    assert replies[0].will_close
    assert court.jira.requests() == []


def test_a_request_without_a_host_is_refused(court):
    [reply] = say(court.stack.api_port, b"GET / HTTP/1.1\r\n\r\n")

    check(court, reply, 400, "bad_request")


def test_what_follows_a_malformed_request_on_its_socket_is_never_read_as_a_request(court):
    court.jira.call("clear")
    smuggled = (
        f"GET /jira/hq/rest/api/2/myself?smuggled HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {court.tokens['hq']}"
    )

    replies = court.say(
        f"POST /jira/hq{SINK} HTTP/1.1", "Content-Length: 4", "Transfer-Encoding: chunked",
        body=b"0\r\n\r\n" + smuggled.encode() + b"\r\n\r\n",
    )  # fmt: skip

    assert [reply.status for reply in replies] == [400]
    assert court.jira.requests() == []


@pytest.mark.parametrize(
    "header",
    [("Tunnel-Timeout", "soon"), ("Tunnel-Timeout", "-1"), ("Tunnel-Timeout", "nan"), ("Tunnel-Timeout", "0"),
     ("Authorization", "Bearer second")],
)  # fmt: skip
def test_a_header_of_ours_that_makes_no_sense_is_refused(court, header):
    check(court, court.ask("hq", "GET", SINK, headers=[header]), 400, "bad_request")


def test_a_gateway_token_is_never_passed_on_to_jira(court):
    court.jira.call("clear")

    check(court, court.ask("own", "GET", SINK), 400, "bad_request")
    assert court.jira.requests() == []


def test_the_callers_own_login_passes_untouched(court):
    login = basic("admin", "password-of-admin")
    headers = [("Tunnel-Authorization", f"Bearer {court.tokens['own']}"), login]

    reply = ask(court.url("own"), "GET", "/rest/api/2/myself", None, headers)

    assert reply.json()["name"] == "admin"


@pytest.mark.parametrize("where", ["header", "query"])
def test_oauth1_is_refused_with_a_clear_answer(court, where):
    ours = ("Tunnel-Authorization", f"Bearer {court.tokens['own']}")
    oauth = 'OAuth oauth_consumer_key="k", oauth_signature="s"'
    target, headers = SINK, [ours, ("Authorization", oauth)]
    if where == "query":
        target, headers = f"{SINK}?oauth_signature=s&oauth_consumer_key=k", [ours]

    reply = ask(court.url("own"), "GET", target, None, headers)

    check(court, reply, 400, "bad_request")
    assert "OAuth" in reply.json()["errorMessages"][0]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "LOCK"])
def test_methods_that_are_not_carried_are_405(court, method):
    [reply] = court.say(f"{method} /jira/hq{SINK} HTTP/1.1")

    check(court, reply, 405, "method_not_allowed")
    assert reply.header("Allow") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def test_a_head_that_does_not_end_is_a_408(court):
    began = time.monotonic()

    [reply] = say(court.stack.api_port, b"GET /jira/hq/x HTTP/1.1\r\nHost: a\r\nX-Slow: ")

    check(court, reply, 408, "request_timeout")
    assert 9 < time.monotonic() - began < 20


def test_a_head_that_drips_is_a_408_all_the_same(court):
    with socket.create_connection(("127.0.0.1", court.stack.api_port), timeout=20) as sock:
        sock.settimeout(0.5)
        began = time.monotonic()
        sock.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        answer = b""
        while not answer and time.monotonic() - began < 15:
            sock.sendall(b"a")
            try:
                answer = sock.recv(1000)
            except TimeoutError:
                continue

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("framing", ["fixed", "chunked"])
def test_a_body_over_the_limit_is_a_413(court, framing):
    data = b"x" * (MAX_BODY + 1)

    reply = court.ask("hq", "POST", SINK, data if framing == "fixed" else iter([data]))

    assert (reply.status, reply.error) == (413, "body_too_large"), reply
    assert court.ask("hq", "POST", SINK, b"x" * MAX_BODY).status == 200


def test_a_target_that_is_too_long_is_a_414(court):
    [reply] = court.say(f"GET /jira/hq{SINK}?q={'x' * 20_000} HTTP/1.1")

    check(court, reply, 414, "uri_too_long")


@pytest.mark.parametrize("fields", [["X-Big: " + "x" * 40_000], [f"X-{n}: 1" for n in range(200)]], ids=["big", "many"])
def test_headers_that_are_too_large_are_a_431(court, fields):
    [reply] = court.say(f"GET /jira/hq{SINK} HTTP/1.1", *fields)

    check(court, reply, 431, "headers_too_large")


def test_an_unknown_transfer_coding_is_a_501(court):
    [reply] = court.say(f"POST /jira/hq{SINK} HTTP/1.1", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")

    check(court, reply, 501, "unsupported_coding")


def test_more_than_the_tokens_rate_is_a_429(court):
    token = court.stack.token("slow", "hq", flags=("--rate", "1/s"))

    replies = [ask(court.url("hq"), "GET", SINK, None, [bearer(token)]) for _ in range(4)]

    limited = [reply for reply in replies if reply.status == 429]
    assert limited
    check(court, limited[0], 429, "rate_limited", retry=True)
    assert court.ask("hq", "GET", SINK).status == 200  # another token is not slowed


@pytest.mark.parametrize(
    "target", ["/secure/admin/ViewSystemInfo.jspa", "/rest/plugins/1.0/", "/rest/pat/latest/tokens"]
)
def test_what_the_policy_refuses_names_the_policy(court, target):
    reply = court.ask("hq", "GET", target)

    check(court, reply, 403, "policy_denied", source="agent")
    assert not reply.header("WWW-Authenticate")
    assert not reply.header("X-Seraph-LoginReason")
    assert "policy" in reply.json()["errorMessages"][0]


def test_an_agent_that_is_not_connected(court):
    check(court, court.ask("away", "POST", SINK, b"x"), 503, "agent_offline", retry=True)


def test_an_agent_without_credentials_sends_nothing_to_jira(court):
    court.jira.call("clear")

    reply = court.ask("nologin", "GET", "/rest/api/2/myself")

    check(court, reply, 503, "jira_login_rejected", source="agent", retry=True)
    assert court.jira.requests(marker="/myself") == []


def test_a_jira_that_nobody_listens_for(court):
    check(court, court.ask("nowhere", "POST", SINK, b"x"), 502, "jira_unreachable", source="agent")


def test_a_jira_whose_certificate_is_not_trusted(court):
    check(court, court.ask("strange", "POST", SINK, b"x"), 502, "jira_tls", source="agent")


@pytest.mark.parametrize(
    "fault",
    [
        CloseBeforeAnswer(), RawAnswer(b"SSH-2.0-OpenSSH_9.2\r\n"), RawAnswer(b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n"),
        RawAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        RawAnswer(b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n"),
        RawAnswer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        RawAnswer(b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 300_000 + b"\r\n\r\n"),
    ],
    ids=["close", "not http", "bad name", "two lengths", "status 99", "upgrade", "big head"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_jira_that_does_not_speak_http(court, method, fault):
    court.jira.misbehave(SINK, fault)

    reply = court.ask("hq", method, SINK, b"x" if method == "POST" else None)

    check(court, reply, 502, "jira_protocol", source="agent", processed="unknown")


def test_an_answer_that_is_cut_ends_in_a_broken_connection(court):
    court.jira.misbehave(SINK, RawAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))

    reply = court.ask("hq", "GET", SINK)

    assert (reply.status, reply.whole) == (200, False)


def test_a_jira_that_hangs_is_a_504(court):
    court.jira.misbehave(SINK, Hang())

    reply = court.ask("hq", "POST", SINK, b"x", [("Tunnel-Timeout", "0.5")])

    check(court, reply, 504, "jira_timeout", source="agent", processed="unknown")


def test_more_than_the_agent_may_have_in_flight_is_overloaded(court):
    court.jira.misbehave(SINK, Hang(), header=("X-Hang", "1"))
    callers = [Caller(court.url("tiny"), [bearer(court.tokens["tiny"])]) for _ in range(80)]

    pending = [caller.send("POST", SINK, b"x", [("Tunnel-Timeout", "1")]) for caller in callers]
    court.jira.misbehave(SINK, Hang())
    replies = all_at_once(lambda each: each.read(), pending, 80)
    for caller in callers:
        caller.close()

    overloaded = [reply for reply in replies if reply.error == "overloaded"]
    assert {reply.status for reply in replies} <= {200, 503, 504}
    for reply in overloaded[:3]:
        check(court, reply, 503, "overloaded", source="agent", retry=True)


def test_every_answer_carries_its_request_id_and_its_timing(court):
    ours = [
        ask(court.stack.url, "GET", "/nothing"), court.ask("hq", "GET", "/nothing"), court.ask("hq", "GET", "/secure/admin"),
        court.ask("away", "GET", SINK), court.ask("nowhere", "GET", SINK), court.say("GET / HTTP/1.1", "Bad Name: x")[0],
    ]  # fmt: skip
    jiras = [court.ask("hq", "GET", SINK), court.ask("hq", "GET", "/rest/api/2/issue/NONE-1")]

    assert [reply.error for reply in jiras] == ["", ""]
    ids = {reply.header("X-Request-ID") for reply in [*ours, *jiras]}
    assert len(ids - {""}) == len(ours) + len(jiras)
    assert all("dur=" in reply.header("Server-Timing") for reply in jiras)
    assert [reply.error for reply in ours if "dur=" not in reply.header("Server-Timing")] == []


def test_a_draining_agent_takes_no_new_requests_and_says_that_jira_saw_nothing(court):
    agent = court.agents["strange"]
    agent.send(signal.SIGTERM)
    wait_until(lambda: not agent.is_running, "the agent's end")

    reply = court.ask("strange", "POST", SINK, b"x")
    court.agents.pop("strange")

    check(court, reply, 503, "agent_offline", retry=True)


def test_a_connection_that_a_token_names_cannot_be_removed_by_mistake(court):
    court.stack.must("connections", "add", "brief", "--via", "hq", "--credentials", "agent")
    token = court.stack.token("brief", "brief")

    done = court.stack.command("connections", "remove", "brief")

    assert done.returncode == 1
    assert "brief is named by brief" in done.stderr
    assert ask(court.url("brief"), "GET", SINK, None, [bearer(token)]).status == 200
