"""The promises about bodies, deadlines and cuts hold for direct connections too: the same tests, without an agent."""

import asyncio

import pytest_asyncio

from gateway.forward import Forward
from http1.memory import WIDE_READ
from tests.integration import test_gateway_bodies as through_an_agent
from tests.integration.test_gateway_bodies import *  # noqa: F403 - every test of that module, in another world
from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until
from tunnel.budget import HIGH_WATER

MIB = 1 << 20
pytestmark = through_an_agent.pytestmark


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    async with FakeJira() as jira, running_gateway(folder, allow_networks="127.0.0.0/8") as stack:
        stack.jira = jira
        login = {"username": "svc.bridge", "secret": "password-of-svc.bridge"}
        await stack.connect("hq", "direct", "gateway", base_url=jira.url, **login)
        stack.any = await stack.caller("hq")
        yield stack


async def test_a_slow_caller_holds_back_jira_and_not_our_memory(world, caller, jira):
    size = 64 * MIB
    async with caller.open("GET", f"/jira/hq/rest/api/2/test/bytes/{size}") as waiting:
        await waiting.head()
        waiting.writer.transport.pause_reading()
        [forward] = [item for item in world.gateway.sweeper._items if isinstance(item, Forward)]
        await until(lambda: forward._stream._is_paused)
        owed = forward._stream._owed
        await asyncio.sleep(0.5)  # time for more to come, if anything read on
        assert forward._stream._owed == owed == forward._owed
        assert HIGH_WATER < owed <= HIGH_WATER + WIDE_READ
        assert jira.active == 1
    await jira.wait_for(lambda jira: jira.active == 0)
    await until(lambda: world.gateway.direct.streams == 0)
