"""Links and agents that go away under load: no write twice, one outcome each, revoked agents out. Real sockets."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from random import Random
from time import monotonic

import pytest

from agent.errors import Cause
from tests.support.fake_jira import FakeJira, Hang, Slow
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until
from tunnel.errors import ErrorCode, Progress

ECHO = "/jira/hq/rest/api/2/test/echo"


@pytest.fixture
async def jira():
    async with FakeJira() as jira:
        yield jira


@pytest.fixture
async def stack(tmp_path):
    async with running_gateway(tmp_path) as stack:
        yield stack


def marked(method, number):
    return f"{ECHO}/{method.lower()}-{number}"


async def send_many(caller, methods, count):
    """Send `count` requests of each method at once; return method and answer of each."""
    outcomes = []

    async def one(method, number):
        outcomes.append((method, await caller.send(method, marked(method, number), body=b"x")))

    requests = [(method, number) for number in range(count) for method in methods]
    Random(count).shuffle(requests)  # links take turns: no method may always meet the same one
    async with asyncio.TaskGroup() as tasks:
        for method, number in requests:
            tasks.create_task(one(method, number))
    return outcomes


def arrivals(jira):
    """Return how often each request arrived, by method and target."""
    return Counter((request.method, request.target) for request in jira.requests if b"/echo/" in request.target)


async def test_killing_one_of_two_agents_repeats_no_write(stack, jira):
    first = await stack.enroll("hq", jira)
    await stack.enroll("hq", jira)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    jira.misbehave("/rest/api/2/test", Slow(0.5))

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_many(caller, ("GET", "POST"), 30))
        await jira.wait_for(lambda jira: len(arrivals(jira)) == 60)
        await first.kill()
    outcomes = sending.result()

    assert len(outcomes) == 60
    assert {answer.status for method, answer in outcomes if method == "GET"} == {200}
    lost = [answer for method, answer in outcomes if method == "POST" and answer.status != 200]
    assert lost, "the agent that was killed had no POST"
    assert {answer.outcome for answer in lost} == {(502, "tunnel_lost", "gateway", "unknown")}
    assert {answer.header("Retry-After") for answer in lost} == {None}
    counts = arrivals(jira)
    assert {count for (method, _), count in counts.items() if method == "POST"} == {1}
    assert max(count for (method, _), count in counts.items() if method == "GET") == 2
    assert (await caller.send("POST", marked("POST", 99), body=b"x")).status == 200


async def test_killing_the_only_agent_tells_each_caller_what_is_known(stack, jira):
    agent = await stack.enroll("hq", jira)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    jira.misbehave("/rest/api/2/test", Hang())

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_many(caller, ("GET", "POST", "PUT"), 10))
        await jira.wait_for(lambda jira: len(arrivals(jira)) == 30)
        await agent.kill()
    await until(lambda: jira.active == 0)

    assert {answer.outcome for _, answer in sending.result()} == {(502, "tunnel_lost", "gateway", "unknown")}
    assert set(arrivals(jira).values()) == {1}
    offline = await caller.send("GET", ECHO)
    assert offline.outcome == (503, "agent_offline", "gateway", "no")
    assert offline.header("Retry-After")

    jira.behave()
    await stack.start(agent)
    assert (await caller.send("POST", ECHO, body=b"x")).status == 200


async def test_losing_one_link_moves_its_reads_to_the_other(stack, jira):
    agent = await stack.enroll("hq", jira, links=2)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    jira.misbehave("/rest/api/2/test", Slow(0.4))

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_many(caller, ("GET", "POST", "PUT"), 13))
        await jira.wait_for(lambda jira: len(arrivals(jira)) == 39)
        links = stack.links_of(agent)
        assert all(link.link.streams > 5 for link in links), "the work is spread over both links"
        links[0].link.abort()
    outcomes = sending.result()

    assert {answer.status for method, answer in outcomes if method == "GET"} == {200}
    assert {answer.status for method, answer in outcomes if method != "GET"} == {200, 502}
    assert {count for (method, _), count in arrivals(jira).items() if method != "GET"} == {1}
    await until(lambda: len(stack.links_of(agent)) == 2, seconds=15)


@pytest.mark.parametrize("size", [0, 65536, 1 << 20])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_request_that_was_refused_goes_to_the_next_link_with_its_body(stack, jira, size, chunked):
    """Any method, because it provably did not reach Jira; a body of up to 1 MiB was kept for that."""
    full = await stack.enroll("hq", jira, links=1, max_concurrency=1)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    jira.misbehave("/rest/api/2/test/echo/full", Hang())
    async with asyncio.TaskGroup() as tasks:
        hanging = [tasks.create_task(caller.send("GET", f"{ECHO}/full")) for _ in range(8)]
        await until(lambda: sum(link.link.streams for link in stack.links_of(full)) == 8)
        free = await stack.enroll("hq", jira, links=1)
        [busy_link] = stack.links_of(full)
        assert stack.links_of(free)
        # The busy link is made to look idle, so that it is picked first and has to refuse.
        busy_link.link = Preferred(busy_link.link)
        answer = await caller.send("POST", ECHO, body=bytes(size), chunked=chunked)
        for task in hanging:
            task.cancel()

    assert busy_link.link.asked == 1
    assert answer.status == 200
    assert answer.json()["body"]["size"] == size
    assert len([request for request in jira.requests if request.method == "POST"]) == 1


class Preferred:
    """A link that seems to have no work, and refuses each stream when its body is complete or has got stuck."""

    def __init__(self, link):
        self._link = link
        self.asked = 0

    load = -1

    def __getattr__(self, name):
        return getattr(self._link, name)

    def open_stream(self, head, receiver):
        if b"canary" in head.meta:
            return self._link.open_stream(head, receiver)
        self.asked += 1
        stream = self._link.open_stream(head, receiver)
        loop = asyncio.get_running_loop()
        patience = loop.time() + 0.3

        def refuse():
            if not receiver._body_ended and loop.time() < patience:
                loop.call_later(0.01, refuse)
                return
            stream.reset(ErrorCode.CANCEL)
            receiver.on_reset(ErrorCode.OVERLOADED, Progress.NOT_SENT, "")

        loop.call_later(0.01, refuse)
        return stream


async def test_a_stopping_agent_hands_over_without_a_failed_request(stack, jira):
    first = await stack.enroll("hq", jira)
    await stack.enroll("hq", jira)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    outcomes = []

    async def keep_sending(done):
        while not done.is_set():
            outcomes.append((await caller.send("POST", ECHO, body=b"x")).status)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(keep_sending(done))
        await until(lambda: len(outcomes) > 20)
        await first.stop()
        seen = len(outcomes)
        await until(lambda: len(outcomes) > seen + 20)
        done.set()

    assert set(outcomes) == {200}


async def test_a_revoked_agent_loses_its_links_and_is_refused(stack, jira):
    agent = await stack.enroll("hq", jira)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    jira.misbehave("/rest/api/2/test", Hang())
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(caller.send("POST", ECHO, body=b"x"))
        await jira.wait_for(lambda jira: jira.active == 1)
        async with stack.stored.store.change("test", datetime.now(UTC)) as change:
            await change.revoke_agent("hq")
        revoked = monotonic()
        await until(lambda: not list(stack.gateway.registry.links("hq")), seconds=5)

    assert monotonic() - revoked < 5
    assert hanging.result().outcome == (502, "tunnel_lost", "gateway", "unknown")
    assert (await caller.send("GET", ECHO)).outcome[:2] == (503, "agent_offline")
    supervisor = agent.agent.board.service.supervisor
    await until(lambda: [t for t in supervisor.trouble.values() if t.error.cause is Cause.CERTIFICATE_REJECTED])
    assert not list(stack.gateway.registry.links("hq"))


async def test_one_revoked_instance_leaves_the_other_alone(stack, jira):
    first = await stack.enroll("hq", jira)
    second = await stack.enroll("hq", jira)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    async with stack.stored.store.change("test", datetime.now(UTC)) as change:
        await change.revoke_instance("hq", first.instance)
    await until(lambda: not stack.links_of(first), seconds=5)

    assert len(stack.links_of(second)) == 2
    assert (await caller.send("POST", ECHO, body=b"x")).status == 200


async def test_an_agent_serves_only_its_own_connections(stack, jira):
    async with FakeJira() as other:
        await stack.enroll("hq", jira)
        await stack.enroll("branch", other)
        await stack.connect("hq")
        await stack.connect("branch")
        caller = await stack.caller("hq", "branch")
        await caller.send("GET", "/jira/branch/rest/api/2/test/echo/b")
        await caller.send("GET", "/jira/hq/rest/api/2/test/echo/h")

        assert [target for _, target in arrivals(other)] == [b"/rest/api/2/test/echo/b"]
        assert [target for _, target in arrivals(jira)] == [b"/rest/api/2/test/echo/h"]
