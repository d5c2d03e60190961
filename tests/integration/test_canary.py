"""A link that is up, answers PING and carries nothing is taken out of use. Real gateway, agents and sockets."""

import asyncio
from dataclasses import replace

import pytest

from gateway.agent_streams import Discarded
from gateway.canary_watch import CanaryTimings
from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

ECHO = "/jira/hq/rest/api/2/test/echo"
FAST = CanaryTimings(interval=0.2, patience=1.5, tick=0.05)
PATIENT = replace(FAST, patience=60.0)


@pytest.fixture
async def jira():
    async with FakeJira() as jira:
        yield jira


@pytest.fixture
async def stack(tmp_path):
    async with running_gateway(tmp_path) as stack:
        stack.gateway.tunnel.canaries.timings = PATIENT
        yield stack


def jam(agent):
    """Let an agent's dispatch do nothing any more; its frame reader, PING and windows go on."""
    for live in agent.agent.board.service.supervisor.links:
        live.link._session.accept = lambda stream, head: Discarded(stream)


async def rows(stack):
    return (await stack.gateway.console.commands()["links"]({}))["links"]


async def test_canaries_come_back_and_say_how_long_they_took(stack, jira):
    await stack.enroll("hq", jira)
    await until(lambda: all(link.canary.took is not None for link in stack.gateway.registry.links()))

    for row in await rows(stack):
        assert 0 < row["canary_ms"] < 5000
        assert row["wedged_at"] is None
    assert not [request for request in jira.requests if b"canary" in request.target]


async def test_a_jammed_agents_links_are_left_and_its_requests_get_their_outcome(stack, jira):
    jammed = await stack.enroll("hq", jira)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    jam(jammed)

    async with asyncio.TaskGroup() as tasks:
        get = tasks.create_task(caller.send("GET", ECHO + "/get"))
        post = tasks.create_task(caller.send("POST", ECHO + "/post", body=b"x"))
        await until(lambda: sum(link.in_flight for link in stack.links_of(jammed)) == 2)
        await stack.enroll("hq", jira)  # a second instance, which is well
        stack.gateway.tunnel.canaries.timings = FAST

    assert get.result().status == 200  # read again by the other one
    assert post.result().outcome == (502, "tunnel_lost", "gateway", "unknown")
    assert [request.target for request in jira.requests if b"/post" in request.target] == []
    # Its links were closed, so it has dialled again; the jam was in the old ones.
    await until(lambda: len(stack.links_of(jammed)) == 2, 15)
    wedged = [row for row in await rows(stack) if row["wedged_at"]]
    assert len(wedged) == 2
    assert {row["instance"] for row in wedged} == {jammed.instance}
    assert stack.gateway.registry.wedged_total == {"hq": 2}


async def test_with_a_second_instance_new_requests_do_not_notice(stack, jira):
    jammed = await stack.enroll("hq", jira)
    await stack.enroll("hq", jira)
    await stack.connect("hq")
    caller = await stack.caller("hq")
    jam(jammed)
    stack.gateway.tunnel.canaries.timings = FAST
    await until(lambda: stack.gateway.registry.wedged_total["hq"] == 2)

    answers = [await caller.send("POST", f"{ECHO}/{number}", body=b"x") for number in range(40)]

    assert {answer.status for answer in answers} == {200}


async def test_a_stop_does_not_wait_for_canaries(stack, jira):
    agent = await stack.enroll("hq", jira)
    jam(agent)
    await until(lambda: any(link.canary.is_out for link in stack.gateway.registry.links()))

    assert sum(link.in_flight for link in stack.gateway.registry.links()) == 0
    assert sum(link.link.streams for link in stack.gateway.registry.links()) > 0
