"""What the gateway learns about the Jira of a direct connection, and what it does about one that is not there."""

import asyncio

import pytest

from gateway import direct_probe
from gateway.direct_probe import DirectProbe, anonymous_get
from http1.errors import ClientFailure, FailureKind, Progress
from http1.messages import ResponseHead
from jira_api.protection.protection import Protection
from tests.support.mini_gateway import until

INFO = b'{"baseUrl":"https://jira.corp/jira","version":"9.12.5","versionNumbers":[9,12,5],"deploymentType":"Server"}'
RUNNING = b'{"state":"RUNNING"}'


class Pool:
    """Answers /status and serverInfo with what `bodies` says; an exception instead fails the call."""

    def __init__(self):
        self.bodies = {b"status": RUNNING, b"serverInfo": INFO}
        self.heads = []

    def start(self, head, receiver):
        self.heads.append(head)
        body = self.bodies[head.target.rpartition(b"/")[2]]
        asyncio.get_running_loop().call_soon(self._answer, receiver, body)
        return self

    def _answer(self, receiver, body):
        if body is None:
            receiver.on_failure(ClientFailure(FailureKind.UNREACHABLE, Progress.NOT_SENT, "connection refused"))
            return
        receiver.on_response(ResponseHead(200, [], len(body)))
        receiver.on_body(body)
        receiver.on_end([])

    def abort(self):
        pass


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(direct_probe, "OPEN_SECONDS", 0.01)
    monkeypatch.setattr(direct_probe, "FIRST_RETRY_SECONDS", 0.01)
    pool, protection, found = Pool(), Protection(4, lambda: 100.0), []
    probe = DirectProbe("hq", anonymous_get(b"/jira", b"jira-gateway/1"), pool, protection, found.append)
    protection.breaker.on_doubt = probe.doubt
    return probe, pool, protection, found


async def running(probe, condition):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(probe.run())
        await until(condition)
        task.cancel()


async def test_a_jira_that_is_well_is_asked_once_and_without_a_login(world):
    probe, pool, _, found = world
    await running(probe, lambda: found)

    assert [head.target for head in pool.heads] == [b"/jira/status", b"/jira/rest/api/2/serverInfo"]
    assert {name for name, _ in pool.heads[0].headers} == {b"Accept", b"User-Agent"}
    assert found[0].version == "9.12.5"
    assert repr(probe) == "<DirectProbe hq fine>"


async def test_one_that_does_not_tell_who_it_is_is_asked_again(world):
    probe, pool, protection, found = world
    pool.bodies[b"status"] = None
    asyncio.get_running_loop().call_later(0.03, lambda: pool.bodies.update({b"status": RUNNING}))
    await running(probe, lambda: found)

    assert len(pool.heads) > 2
    assert protection.breaker.reason is None


async def test_an_open_breaker_is_closed_by_the_probe_alone(world):
    probe, pool, protection, _ = world
    pool.bodies[b"status"] = b'{"state":"MAINTENANCE"}'
    await running(probe, lambda: protection.breaker.reason)
    assert "maintenance" in probe.finding.problem
    pool.bodies[b"status"] = RUNNING
    await running(probe, lambda: protection.breaker.reason is None)

    assert probe.finding.state == "RUNNING"


async def test_silence_is_a_problem_in_words(world, monkeypatch):
    probe, pool, _, _ = world
    monkeypatch.setattr(direct_probe, "PROBE_SECONDS", 0.01)
    pool._answer = lambda *_: None
    await running(probe, lambda: "no answer within" in (probe.finding.problem or ""))
