"""When a Jira is searched: what is due takes turns, what fails waits, and neither holds up the rest."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from gateway.directory import ConnectionEntry
from gateway.errors import AGENT_OFFLINE, JIRA_LOGIN_REJECTED, Problem
from gateway.events import sweep_worker
from gateway.events.jira_client import JiraAnswer, JiraSilent, Server
from gateway.events.searching import QueryRefused
from gateway.events.sweep_worker import SweepWorker
from gateway.events.sweeping import Ground
from gateway.store import Cause, Credentials, Gap, Hook, Kind, StoreError, Trigger, Watermark, Way
from gateway.triggers import TriggerEntry

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ENTRY = ConnectionEntry("hq", None, "https://jira", Credentials.GATEWAY, None, True, 60.0)


class Client:
    entry = ENTRY
    registry = direct = None
    is_online = True

    def __init__(self):
        self.asked = []
        self.failure = None

    async def send_as_account(self, request, seconds=0.0):
        self.asked.append("myself")
        if self.failure is not None:
            raise self.failure
        return JiraAnswer(200, [], b'{"timeZone":"Asia/Kolkata"}')

    async def server(self, clock):
        self.asked.append("server")
        return Server(None, timedelta(0))


class Step:
    """Stands in for a job of so many steps, noting them in `done`."""

    def __init__(self, key, done, steps=1, failures=None):
        self.key, self.done, self.steps, self.failures = key, done, steps, failures or []
        self.numbers = frozenset({1})
        self.problems = []

    async def step(self, sight):
        self.done.append(self.key)
        self.sight = sight
        if self.failures:
            raise self.failures.pop(0)
        self.steps -= 1
        return self.steps > 0

    def failed(self, problem):
        self.problems.append(problem)


def poll(number, jql, **fields):
    return TriggerEntry(Trigger(number, f"t{number}", "hq", frozenset(), NOW, jql, kind=Kind.POLLED, **fields), None)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(sweep_worker, "IDLE_SECONDS", 0.01)
    made = SimpleNamespace(done=[], jobs={}, now=NOW)

    def job(key):
        return made.jobs.setdefault(key, Step(key, made.done))

    monkeypatch.setattr(sweep_worker, "PollJob", lambda ground, marks, rows: job(f"poll:{rows[0].row.jql}"))
    monkeypatch.setattr(sweep_worker, "RoutineJob", lambda ground, marks, hook, rows: job(f"hook:{hook.id}"))

    class Gaps(Step):
        key = "gaps"

        def __init__(self, ground, gaps, triggers, hooks):
            super().__init__("gaps", made.done)
            self.numbers = frozenset(gap.number for gap in gaps)

    monkeypatch.setattr(sweep_worker, "GapJob", Gaps)
    made.client = Client()
    log = SimpleNamespace(mark=lambda mark: None)
    made.marks = {}
    made.worker = SweepWorker(Ground(made.client, log, None, lambda: made.now), made.marks)
    return made


async def running(world, check):
    async with asyncio.TaskGroup() as tasks:
        world.worker.start(tasks)
        async with asyncio.timeout(5):
            await check()
        world.worker.stop()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.002)


def slot(world, key):
    return world.worker._slots[key]


async def test_long_sweeps_take_turns(world):
    for name in ("a", "b"):
        world.jobs[f"poll:{name}"] = Step(f"poll:{name}", world.done, steps=3)
    world.worker.use(ENTRY, [poll(1, "a"), poll(2, "b")], [])

    async def check():
        await until(lambda: len(world.done) == 6)
        assert world.done == ["poll:a", "poll:b"] * 3
        assert world.client.asked == ["myself", "server"]
        assert world.jobs["poll:a"].sight.zone == "Asia/Kolkata"
        assert [row["busy"] for row in world.worker.rows()] == [False, False]

    await running(world, check)


@pytest.mark.parametrize(
    ("failure", "low", "high"),
    [
        (JiraSilent(Problem(AGENT_OFFLINE, "away")), 4, 6),
        (JiraSilent(Problem(JIRA_LOGIN_REJECTED, "no")), 290, 310),
        (QueryRefused("No such project."), 4, 6),
        (StoreError("full"), 4, 6),
        (ValueError("a bug"), 4, 6),
    ],
)
async def test_what_fails_waits_and_the_others_go_on(world, failure, low, high):
    world.jobs["poll:a"] = Step("poll:a", world.done, failures=[failure])
    world.worker.use(ENTRY, [poll(1, "a"), poll(2, "b")], [])

    async def check():
        await until(lambda: slot(world, "poll:a").problem and "poll:b" in world.done)
        assert low < slot(world, "poll:a").due_at - asyncio.get_running_loop().time() < high
        assert slot(world, "poll:b").problem is None
        assert world.jobs["poll:a"].problems == [slot(world, "poll:a").problem]
        assert world.done.count("poll:a") == 1
        slot(world, "poll:a").due_at = 0.0
        await until(lambda: slot(world, "poll:a").problem is None)

    await running(world, check)


async def test_when_jira_comes_within_reach_what_waited_is_due_at_once(world):
    world.client.failure = JiraSilent(Problem(AGENT_OFFLINE, "away"))
    world.worker.use(ENTRY, [poll(1, "a")], [])

    async def check():
        await until(lambda: slot(world, "poll:a").problem)
        world.client.is_online = False
        await until(lambda: world.worker._online_since is None)
        world.client.failure = None
        assert world.done == []
        world.client.is_online = True
        await until(lambda: world.done)

    await running(world, check)


async def test_polls_are_due_by_the_shortest_interval_and_no_sooner_than_a_second(world):
    world.worker.use(ENTRY, [poll(1, "a", poll_seconds=0.1), poll(2, "a", poll_seconds=30.0), poll(3, "b")], [])
    assert (slot(world, "poll:a").seconds, slot(world, "poll:b").seconds) == (1.0, 10.0)


def hooked(number=1):
    return TriggerEntry(Trigger(number, "t", "hq", frozenset(), NOW, kind=Kind.REGISTERED, hook=3), None)


def hook(kind=Kind.REGISTERED):
    return SimpleNamespace(id=3, row=Hook(3, "hq", Way.LAN, kind, "", NOW))


async def test_a_routine_look_waits_until_jira_has_been_within_reach_for_a_while(world, monkeypatch):
    world.marks["hook:3"] = Watermark("hook:3", NOW)
    world.worker.use(ENTRY, [hooked()], [hook()])

    async def check():
        await until(lambda: world.worker._online_since is not None)
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert world.done == []
        monkeypatch.setattr(sweep_worker, "ONLINE_SECONDS", 0.0)
        await until(lambda: world.done == ["hook:3"])

    await running(world, check)


def gap(number=1):
    return Gap(number, f"g{number}", "hq", Cause.AGENT, NOW - timedelta(hours=1), NOW, NOW)


async def test_a_gap_settles_for_a_moment_and_is_repaired_once(world):
    world.worker.use(ENTRY, [hooked()], [hook(Kind.MANUAL)])
    world.marks["hook:3"] = Watermark("hook:3", NOW)

    async def check():
        world.worker.use_gaps([gap()])
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert world.done == []
        world.now += timedelta(seconds=3)
        await until(lambda: world.done == ["gaps"])
        await until(lambda: "gaps" not in world.worker._slots)
        world.worker.use_gaps([gap()])  # read before it was closed
        assert "gaps" not in world.worker._slots
        world.worker.use_gaps([gap(), gap(2)])
        world.now += timedelta(seconds=3)
        await until(lambda: world.done == ["gaps", "gaps"])

    await running(world, check)


async def test_gaps_that_come_all_the_time_do_not_keep_an_old_one_waiting(world):
    world.worker.use(ENTRY, [hooked()], [hook(Kind.MANUAL)])

    async def check():
        world.worker.use_gaps([gap()])
        world.now += timedelta(seconds=3)
        world.worker.use_gaps([gap(), replace(gap(2), reported_at=world.now)])
        await until(lambda: "gaps" in world.done)

    await running(world, check)


def test_one_repair_is_of_a_hundred_gaps_at_most_the_oldest_first(world):
    world.worker.use_gaps([gap(number) for number in range(250, 0, -1)])
    job = world.worker._gap_job()
    assert sorted(job.numbers) == list(range(1, 101))


async def test_with_the_callers_login_only_gaps_are_told_and_jira_is_not_asked(world):
    world.client.entry = ConnectionEntry("hq", None, "https://jira", Credentials.CALLER, None, True, 60.0)
    world.worker.use(world.client.entry, [poll(1, "a"), hooked(2)], [hook()])
    world.now += timedelta(seconds=3)
    world.worker.use_gaps([gap()])

    async def check():
        await until(lambda: world.done == ["gaps"])
        assert world.client.asked == []

    await running(world, check)


async def test_news_that_change_nothing_keep_what_is_under_way(world):
    rows = [poll(1, "a")]
    world.worker.use(ENTRY, rows, [])
    before = slot(world, "poll:a")
    before.due_at = 77.0
    world.worker.use(ENTRY, list(rows), [])
    assert slot(world, "poll:a") is before
    world.worker.use(ENTRY, [*rows, poll(2, "b")], [])
    assert slot(world, "poll:a").due_at == 77.0
    assert slot(world, "poll:b").due_at == 0.0
