"""When hooks are looked after: at once when asked, soon after a failure, when the agent comes, and one look at a time."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from gateway.directory import ConnectionEntry
from gateway.errors import AGENT_OFFLINE, JIRA_LOGIN_REJECTED, Problem
from gateway.events import hook_worker
from gateway.events.hook_worker import ROUTINE_SECONDS, HookWorker
from gateway.events.jira_client import JiraSilent
from gateway.store import Credentials, StoreError, Trigger
from gateway.triggers import TriggerEntry

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ENTRY = ConnectionEntry("hq", "plant", None, Credentials.AGENT, None, True, 60.0)


class Looks:
    """Stands in for `Registration`: notes looks, and fails with what is next in `failures`."""

    def __init__(self):
        self.count = 0
        self.under_way = 0
        self.failures = []
        self.gate = asyncio.Event()
        self.gate.set()

    def __call__(self, client, shared, memory):
        return self

    async def run(self):
        self.count += 1
        self.under_way += 1
        assert self.under_way == 1
        try:
            await self.gate.wait()
            if self.failures:
                raise self.failures.pop(0)
        finally:
            self.under_way -= 1


@pytest.fixture
def looks(monkeypatch):
    made = Looks()
    monkeypatch.setattr(hook_worker, "Registration", made)
    monkeypatch.setattr(hook_worker, "LOOK_SECONDS", 0.01)
    return made


def worker(told=None):
    client = SimpleNamespace(entry=ENTRY, is_online=True, registry=None, direct=None)
    shared = SimpleNamespace(told=lambda asked: told or {}, clock=lambda: NOW)
    return HookWorker(client, shared), client


async def running(made, check):
    async with asyncio.TaskGroup() as tasks:
        made.start(tasks)
        async with asyncio.timeout(5):
            await check()
        made.stop()


async def test_whoever_asks_waits_for_a_look_that_began_later(looks):
    made, _ = worker()

    async def check():
        looks.gate.clear()
        await turns()
        assert looks.count == 1
        asked = asyncio.get_running_loop().create_task(made.look())
        await turns()
        looks.gate.set()
        await asked
        assert looks.count == 2
        assert made.row()["looked_at"] == "2026-11-26T12:00:00+00:00"

    await running(made, check)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("failure", "low", "high"),
    [
        (JiraSilent(Problem(AGENT_OFFLINE, "away")), 4, 6),
        (JiraSilent(Problem(JIRA_LOGIN_REJECTED, "no")), 290, 310),
        (StoreError("full"), 5, 15),
        (ValueError("a bug"), 5, 15),
    ],
)
async def test_what_fails_is_tried_again_later_and_said(looks, failure, low, high):
    made, _ = worker()
    looks.failures = [failure]

    async def check():
        await turns()
        pause = made._due_at - asyncio.get_running_loop().time()
        assert low < pause < high
        assert made.row()["problem"]
        assert made.problem_of(1)
        await made.look()
        assert made.row()["problem"] is None
        assert made._due_at - asyncio.get_running_loop().time() > ROUTINE_SECONDS - 10

    await running(made, check)


async def test_an_agent_that_comes_or_listens_elsewhere_is_looked_at_at_once(looks):
    told = {b"webhook-url": b"http://a"}
    made, client = worker(told)

    async def check():
        await turns()
        client.is_online = False
        await until(lambda: looks.count == 2)
        told[b"webhook-url"] = b"http://b"
        await until(lambda: looks.count == 3)

    await running(made, check)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.002)


async def test_only_wishes_that_changed_mean_a_look(looks):
    made, _ = worker()
    row = Trigger(1, "t", "hq", frozenset({"a"}), NOW)

    async def check():
        made.use(ENTRY, [TriggerEntry(row, None)])
        await until(lambda: looks.count)
        await turns()
        before = looks.count
        decided = Trigger(1, "t", "hq", frozenset({"a"}), NOW, hook=4, note="decided")
        made.use(ENTRY, [TriggerEntry(decided, None)])
        await turns()
        assert looks.count == before
        made.use(ENTRY, [])
        await until(lambda: looks.count == before + 1)

    await running(made, check)
