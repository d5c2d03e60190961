"""Links that have grown old are replaced under load: no request notices. Real gateway, agent and sockets."""

import asyncio
from collections import Counter

from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

ECHO = "/jira/hq/rest/api/2/test/echo"


async def test_links_that_grow_old_are_replaced_and_no_request_notices(tmp_path):
    async with FakeJira() as jira, running_gateway(tmp_path) as stack:
        agent = await stack.enroll("hq", jira)
        await stack.connect("hq")
        caller = await stack.caller("hq")
        supervisor = agent.agent.board.service.supervisor
        supervisor.age_seconds = 0.2
        for live in supervisor.links:
            live.spent_at = 0.0
        sent = 0
        answers = []

        async def one(number):
            method, body = ("POST", b"x") if number % 2 else ("GET", None)
            answers.append(await caller.send(method, f"{ECHO}/{number}.", body=body))

        async with asyncio.TaskGroup() as tasks:
            while supervisor.opened < 8 and sent < 600:
                tasks.create_task(one(sent))
                sent += 1
                await asyncio.sleep(0.02)
        supervisor.age_seconds = 1000.0
        await until(lambda: len(stack.links_of(agent)) == 2 and len(supervisor.links) == 2, 15)

    assert supervisor.opened >= 8
    assert Counter(answer.status for answer in answers) == {200: sent}
    arrived = Counter(request.target for request in jira.requests if b"/echo/" in request.target)
    assert set(arrived.values()) == {1}
    assert len(arrived) == sent
