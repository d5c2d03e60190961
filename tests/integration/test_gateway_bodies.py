"""Bodies of every kind through gateway, tunnel and agent, many at once, cut short, slow, and too late."""

import asyncio
import hashlib
from time import monotonic

import pytest
import pytest_asyncio

from gateway.forward import Forward
from tests.support.caller import AnswerCut
from tests.support.fake_jira import (
    CloseBeforeAnswer,
    CutMidBody,
    DripBody,
    FakeJira,
    Hang,
    StallBody,
    StallRead,
    pattern_bytes,
    pattern_sha256,
)
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ECHO = "/jira/hq/rest/api/2/test/echo"
MIB = 1 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with FakeJira() as jira, running_gateway(tmp_path_factory.mktemp("stack")) as stack:
        stack.jira = jira
        await stack.enroll("hq", jira, max_concurrency=128)
        await stack.connect("hq")
        stack.any = await stack.caller("hq")
        stack.jira_bytes = lambda: sum(link.link.bytes_in for link in stack.gateway.registry.links())
        yield stack


@pytest.fixture
def jira(world):
    world.jira.behave()
    world.jira.requests.clear()
    return world.jira


@pytest.fixture
def caller(world, jira):
    return world.any


@pytest.mark.parametrize("chunked", [False, True], ids=["fixed", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 65536, MIB])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_a_request_body_arrives_as_it_was_sent(caller, jira, method, size, chunked):
    body = pattern_bytes(size)
    answer = await caller.send(method, ECHO, body=body, chunked=chunked)
    [request] = jira.requests

    assert answer.status == 200
    assert (request.method, request.body_size) == (method, size)
    assert request.body_sha256 == pattern_sha256(size)
    framing = request.header("Transfer-Encoding") if chunked else request.header("Content-Length")
    assert framing == (b"chunked" if chunked else str(size).encode())


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "HEAD"])
async def test_a_request_without_a_body_has_no_framing(caller, jira, method):
    await caller.send(method, ECHO)

    assert jira.requests[0].header("Content-Length") is None
    assert jira.requests[0].header("Transfer-Encoding") is None


@pytest.mark.parametrize("chunked", [0, 1], ids=["fixed", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 65536, 10 * MIB])
async def test_an_answers_body_arrives_as_it_was_sent(caller, jira, size, chunked):
    answer = await caller.send("GET", f"/jira/hq/rest/api/2/test/bytes/{size}?chunked={chunked}")

    assert answer.status == 200
    assert (len(answer.body), hashlib.sha256(answer.body).hexdigest()) == (size, pattern_sha256(size))
    assert answer.header("Content-Length") == (None if chunked else str(size))


async def test_head_names_the_length_that_get_would_have(caller, jira):
    answer = await caller.send("HEAD", "/jira/hq/rest/api/2/test/bytes/4096")

    assert (answer.status, answer.header("Content-Length")) == (200, "4096")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_stay_without(caller, jira, status):
    answer = await caller.send("GET", f"/jira/hq/rest/api/2/test/status/{status}")

    assert answer.status == status
    assert answer.header("Transfer-Encoding") is None


async def test_trailers_of_a_request_harm_nothing_and_are_no_way_past_the_list_of_headers(caller, jira):
    async with caller.open("POST", ECHO, [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]) as waiting:
        waiting.writer.write(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nRemote-User: admin\r\n\r\n")
        answer = await waiting.answer()

    assert answer.json()["body"]["size"] == 3
    assert jira.requests[-1].trailers == []


@pytest.mark.alone
async def test_sixty_four_requests_of_a_second_take_a_second(caller, jira):
    """The best of three counts: another process may have had the processor, a queue would cost two seconds each time."""
    times = []
    while not times or (min(times) >= 1.5 and len(times) < 3):
        started = monotonic()
        async with asyncio.TaskGroup() as tasks:
            under_way = [tasks.create_task(caller.send("GET", "/jira/hq/rest/api/2/test/sleep/1")) for _ in range(64)]
        times.append(monotonic() - started)
        assert {task.result().status for task in under_way} == {200}

    assert min(times) < 1.5


@pytest.mark.alone
@pytest.mark.parametrize("phase", ["before the answer", "in the body of the answer", "in its own body"])
async def test_a_caller_that_hangs_up_frees_jira_within_a_second(caller, jira, phase):
    if phase == "before the answer":
        jira.misbehave("/rest", Hang())
    elif phase == "in the body of the answer":
        jira.misbehave("/rest", StallBody(10))
    length = 100 if phase == "in its own body" else 0
    async with caller.open("POST", ECHO, [("Content-Length", str(length))]) as waiting:
        await jira.wait_for(lambda jira: jira.active == 1)
        if phase == "in the body of the answer":
            await waiting.head()
    left = monotonic()
    await jira.wait_for(lambda jira: jira.active == 0)

    assert monotonic() - left < 1.0


async def test_a_deadline_frees_jira_and_the_caller(caller, jira):
    jira.misbehave("/rest", Hang())
    started = monotonic()
    answer = await caller.send("GET", ECHO, [("Tunnel-Timeout", "2")])
    took = monotonic() - started
    await jira.wait_for(lambda jira: jira.active == 0, timeout=1)

    assert answer.outcome[:2] == (504, "jira_timeout")
    assert answer.outcome[3] == "unknown"
    assert answer.header("Retry-After") is None
    assert 2.0 <= took < 10


async def test_a_deadline_within_the_answer_closes_the_socket_before_its_end(caller, jira):
    jira.misbehave("/rest", StallBody(10))
    with pytest.raises(AnswerCut) as cut:
        await caller.send("GET", "/jira/hq/rest/api/2/test/bytes/1000", [("Tunnel-Timeout", "0.5")])

    assert cut.value.answer.status == 200
    assert len(cut.value.answer.body) == 10


async def test_an_answer_that_keeps_coming_is_never_too_late(caller, jira):
    jira.misbehave("/rest", DripBody(20, 0.2))
    answer = await caller.send("GET", "/jira/hq/rest/api/2/test/bytes/100", [("Tunnel-Timeout", "0.5")])

    assert answer.body == pattern_bytes(100)


async def test_the_time_of_jira_begins_with_the_last_byte_of_the_request(caller, jira):
    """A caller that takes its time over its own body is not told that Jira was slow."""
    async with caller.open("POST", ECHO, [("Content-Length", "2"), ("Tunnel-Timeout", "0.3")]) as waiting:
        waiting.writer.write(b"a")
        await asyncio.sleep(1.2)  # longer than the timeout and its grace: that is what is tested
        waiting.writer.write(b"b")
        answer = await waiting.answer()

    assert answer.status == 200


async def test_jira_that_does_not_read_the_body_is_too_late(caller, jira):
    jira.misbehave("/rest", StallRead(10, 3))
    size = 32 * MIB
    headers = [("Content-Length", str(size)), ("Tunnel-Timeout", "0.5")]
    async with caller.open("POST", ECHO, headers) as waiting, asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(waiting.write(bytes(size)))
        answer = await waiting.answer()
        writing.cancel()
    await jira.wait_for(lambda jira: jira.active == 0)

    assert answer.outcome[:2] == (504, "jira_timeout")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "x", "", "1e9"])
async def test_a_timeout_that_is_no_number_of_seconds_is_refused(caller, jira, value):
    answer = await caller.send("GET", ECHO, [("Tunnel-Timeout", value)])

    assert answer.outcome == (400, "bad_request", "gateway", "no")


async def test_a_tiny_timeout_is_still_a_timeout(caller, jira):
    jira.misbehave("/rest", Hang())
    started = monotonic()
    answer = await caller.send("GET", ECHO, [("Tunnel-Timeout", "0.0001")])

    assert answer.outcome[:2] == (504, "jira_timeout")
    assert monotonic() - started < 5


async def test_an_answer_cut_short_is_cut_short_for_the_caller(caller, jira):
    jira.misbehave("/rest", CutMidBody(1000))
    for chunked in (0, 1):
        with pytest.raises(AnswerCut) as cut:
            await caller.send("GET", f"/jira/hq/rest/api/2/test/bytes/5000?chunked={chunked}")
        assert cut.value.answer.status == 200


@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("POST", 1), ("DELETE", 1), ("OPTIONS", 2)])
async def test_a_request_that_got_no_answer_goes_again_only_if_it_cannot_write(caller, jira, method, tries):
    jira.misbehave("/rest", CloseBeforeAnswer())
    answer = await caller.send(method, ECHO)

    assert answer.outcome[:2] == (502, "jira_protocol")
    assert answer.outcome[3] == "unknown"
    assert answer.header("Retry-After") is None
    assert len(jira.requests) == tries


async def test_a_slow_caller_holds_back_jira_and_not_our_memory(world, caller, jira):
    size = 64 * MIB
    async with caller.open("GET", f"/jira/hq/rest/api/2/test/bytes/{size}") as waiting:
        await waiting.head()
        waiting.writer.transport.pause_reading()
        before = -1
        while before != (before := world.jira_bytes()):
            await asyncio.sleep(0.3)  # until nothing moves any more
        assert jira.active == 1
        [forward] = [item for item in world.gateway.sweeper._items if isinstance(item, Forward)]
        assert forward._owed <= world.gateway.budget.granted <= world.gateway.budget.total_bytes
        assert 0 < before < size / 2
    await jira.wait_for(lambda jira: jira.active == 0)


async def test_nothing_is_left_behind(world, caller, jira):
    await until(lambda: not any(isinstance(item, Forward) for item in world.gateway.sweeper._items))
    await until(lambda: world.gateway.budget.granted == 0)
    assert all(link.link.streams == 0 for link in world.gateway.registry.links())
    assert jira.crashes == []
