"""The error table of docs/contract.md §3.6, row by row as far as a caller or a Jira can provoke it, over real sockets."""

import asyncio

import pytest
import pytest_asyncio

from tests.support.caller import Caller
from tests.support.fake_jira import (
    Canned,
    CloseAfterRequestHead,
    CloseBeforeAnswer,
    FakeJira,
    Hang,
    LieAboutLength,
    RawAnswer,
    make_certificate,
    server_context,
)
from tests.support.in_process import running_gateway
from tests.support.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
ECHO = "/rest/api/2/test/echo"
MAX_BODY = 100_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    tls = make_certificate(folder)
    async with (
        FakeJira() as jira,
        FakeJira(tls=server_context(tls.cert, tls.key)) as secure,
        running_gateway(folder, max_body_bytes=MAX_BODY) as stack,
    ):
        stack.jira = jira
        await stack.enroll("hq", jira)
        await stack.connect("hq")
        await stack.enroll("strict", jira, policy_profile="read-only")
        await stack.connect("strict")
        await stack.enroll("untrusted", secure)
        await stack.connect("untrusted")
        await stack.enroll("dead", jira, jira_url=f"http://127.0.0.1:{free_port()}")
        await stack.connect("dead")
        await stack.enroll("nologin", jira, jira_token=None)
        await stack.connect("nologin")
        await stack.enroll("offline", jira, start=False)
        await stack.connect("offline")
        await stack.connect("unreadable", "hq", "gateway", sealed_secret=b"sealed with another key")
        stack.token_for_all = await stack.token(
            *("hq", "strict", "untrusted", "dead", "nologin", "offline", "unreadable")
        )
        yield stack


@pytest.fixture
def jira(world):
    world.jira.behave()
    world.jira.requests.clear()
    for running in world.agents:
        if running.agent is not None:
            running.agent.reload()  # forget the pause that a test's 429 asked for
    return world.jira


@pytest.fixture
def caller(world, jira):
    return Caller(world.port, world.token_for_all)


def check(answer, status, slug, source, processed, *, retry=False):
    """Check everything that the contract says of an answer of ours."""
    assert answer.outcome == (status, slug, source, processed)
    assert (answer.header("Retry-After") is not None) == retry
    content = answer.json()
    assert set(content) == {"errorMessages", "errors", "tunnel"}
    assert len(content["errorMessages"]) == 1
    assert content["errorMessages"][0]
    assert content["errors"] == {}
    request_id = answer.header("X-Request-ID")
    assert request_id
    assert content["tunnel"] == {"error": slug, "source": source, "processed": processed, "request_id": request_id}
    assert answer.header("Content-Type").startswith("application/json")
    assert answer.header("Server-Timing")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/nowhere", (404, "not_found")),
        ("/jira/other/x", (403, "forbidden")),
        ("/jira/unreadable/x", (404, "connection_unknown")),
        ("/jira/hq/a//b", (400, "bad_request")),
        ("/jira/hq/" + "a" * 20_000, (414, "uri_too_long")),
    ],
)
async def test_what_the_gateway_refuses_by_the_address(caller, jira, path, expected):
    check(await caller.send("GET", path), *expected, "gateway", "no")
    assert jira.requests == []


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("BREW /jira/hq/x HTTP/1.1\r\nHost: h\r\n\r\n", (405, "method_not_allowed")),
        ("TRACE /jira/hq/x HTTP/1.1\r\nHost: h\r\n\r\n", (405, "method_not_allowed")),
        ("GET /jira/hq/x HTTP/1.1\r\n\r\n", (400, "bad_request")),
        ("GET /jira/hq/x HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n", (431, "headers_too_large")),
        ("POST /jira/hq/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: br\r\n\r\n", (501, "unsupported_coding")),
        (
            "POST /jira/hq/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            (400, "bad_request"),
        ),
        ("not http at all\r\n\r\n", (400, "bad_request")),
    ],
)
async def test_what_breaks_http(caller, jira, request_text, expected):
    answer = await caller.raw(request_text.format(long="a" * 100_000).encode())

    check(answer, *expected, "gateway", "no")
    assert jira.requests == []
    if expected[0] == 405:
        assert set(answer.header("Allow").split(", ")) == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit(caller, jira, chunked):
    answer = await caller.send("POST", f"/jira/hq{ECHO}", body=bytes(MAX_BODY + 1), chunked=chunked)

    check(answer, 413, "body_too_large", "gateway", "no")
    assert [request for request in jira.requests if request.completed] == []


async def test_what_the_agents_policy_refuses(caller, jira):
    answer = await caller.send("POST", f"/jira/strict{ECHO}", body=b"x")

    check(answer, 403, "policy_denied", "agent", "no")
    assert answer.header("WWW-Authenticate") is None
    assert answer.header("X-Seraph-LoginReason") is None
    assert jira.requests == []


async def test_an_agent_that_is_not_connected(caller, jira):
    for method in ("GET", "POST"):
        answer = await caller.send(method, f"/jira/offline{ECHO}", body=b"")
        check(answer, 503, "agent_offline", "gateway", "no", retry=True)


async def test_an_agent_without_a_login_for_jira(caller, jira):
    answer = await caller.send("GET", f"/jira/nologin{ECHO}")

    check(answer, 503, "jira_login_rejected", "agent", "no", retry=True)
    assert jira.requests == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_jira_that_nobody_reaches(caller, method):
    check(await caller.send(method, f"/jira/dead{ECHO}", body=b"x"), 502, "jira_unreachable", "agent", "no")


async def test_a_jira_whose_certificate_nobody_trusts(caller):
    check(await caller.send("GET", f"/jira/untrusted{ECHO}"), 502, "jira_tls", "agent", "no")


@pytest.mark.parametrize(
    "fault",
    [
        CloseBeforeAnswer(),
        CloseBeforeAnswer(reset=True),
        CloseAfterRequestHead(),
        RawAnswer(b"NONSENSE\r\n\r\n"),
        RawAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        RawAnswer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        RawAnswer(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
        RawAnswer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        RawAnswer(b""),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_jira_that_breaks_http(caller, jira, method, fault):
    jira.misbehave("/rest", fault)
    answer = await caller.send(method, f"/jira/hq{ECHO}", body=b"x")

    check(answer, 502, "jira_protocol", "agent", "unknown")
    assert method == "GET" or len(jira.requests) == 1


async def test_a_jira_that_lies_about_the_length(caller, jira):
    from tests.support.caller import AnswerCut

    jira.misbehave("/rest", LieAboutLength(10_000))
    with pytest.raises(AnswerCut):
        await caller.send("GET", "/jira/hq/rest/api/2/test/bytes/100")


async def test_a_jira_that_takes_too_long(caller, jira):
    jira.misbehave("/rest", Hang())
    answer = await caller.send("POST", f"/jira/hq{ECHO}", [("Tunnel-Timeout", "0.2")], b"x")

    assert answer.outcome[2] in {"agent", "gateway"}
    check(answer, 504, "jira_timeout", answer.outcome[2], "unknown")


@pytest.mark.parametrize("name", ["rate-limited", "starting-up", "sso-login-page"])
async def test_jiras_own_troubles_are_jiras_answer(caller, jira, name):
    jira.misbehave("/rest", Canned(name))
    answer = await caller.send("GET", f"/jira/hq{ECHO}")

    assert answer.header("Tunnel-Error") is None
    assert answer.header("X-Request-ID")


async def test_answers_of_ours_to_head_have_no_body(caller, jira):
    answer = await caller.send("HEAD", f"/jira/offline{ECHO}")

    assert answer.outcome == (503, "agent_offline", "gateway", "no")
    assert answer.body == b""


async def test_a_bug_in_one_request_is_an_internal_error_and_the_next_one_works(world, caller, jira, monkeypatch):
    def crash(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("gateway.front_door.admit", crash)
        check(await caller.send("GET", f"/jira/hq{ECHO}"), 500, "internal", "gateway", "unknown")
    assert (await caller.send("GET", f"/jira/hq{ECHO}")).status == 200


async def test_a_stopping_gateway_says_so(world, caller, jira):
    world.gateway.door.is_draining = True
    try:
        check(await caller.send("GET", f"/jira/hq{ECHO}"), 503, "draining", "gateway", "no", retry=True)
    finally:
        world.gateway.door.is_draining = False


async def test_an_agent_with_too_much_to_do(world, jira):
    await world.enroll("small", jira, max_concurrency=1, links=1)
    await world.connect("small")
    caller = await world.caller("small")
    jira.misbehave("/rest", Hang())
    async with asyncio.TaskGroup() as tasks:
        sleeping = [tasks.create_task(caller.send("GET", f"/jira/small{ECHO}")) for _ in range(80)]
        await asyncio.wait(sleeping, return_when=asyncio.FIRST_COMPLETED)
        answer = next(task for task in sleeping if task.done()).result()
        for task in sleeping:
            task.cancel()

    check(answer, 503, "overloaded", "agent", "no", retry=True)
