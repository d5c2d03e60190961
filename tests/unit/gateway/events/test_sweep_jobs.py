"""Polling, repair and routine by steps: when watermarks move, what a gap is told to have found, what fails and goes on."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from gateway.directory import ConnectionEntry
from gateway.events import sweeping
from gateway.events.jira_client import JiraAnswer, Server
from gateway.events.searching import QueryRefused
from gateway.events.sweep_jobs import GapJob, Marks, PollJob, RoutineJob, Sight, _shares
from gateway.events.sweeping import Fresh, Ground, Lately
from gateway.store import Cause, Credentials, Gap, Hook, Kind, StoreError, Trigger, Watermark, Way
from gateway.triggers import TriggerEntry
from jira_api.server_info import ServerInfo

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SERVER = ServerInfo("https://jira", "9.12.5", (9, 12, 5), "Server", "Jira")
EVENTS = frozenset({"jira:issue_created", "sprint_started"})


def minutes(count):
    return timedelta(minutes=count)


class Log:
    """Keeps what is offered, or not; a thing offered twice makes nothing new."""

    problem = None
    is_full = False

    def __init__(self):
        self.events, self.gaps, self.marks, self.closed = [], [], [], []
        self.known = set()
        self.keeps = True
        self.store = SimpleNamespace(close_gap=self.close_gap)

    def offer(self, event, done):
        fresh = [SimpleNamespace(trigger=one) for one in event.triggers if (one, event.occurrence) not in self.known]
        if self.keeps:
            self.known.update((one, event.occurrence) for one in event.triggers)
            self.events.append(event)
        done(fresh if self.keeps else None)
        return True

    def offer_gaps(self, gaps, done):
        self.gaps += gaps
        done(self.keeps)

    def mark(self, mark):
        self.marks.append(mark)

    async def close_gap(self, number, at, found):
        self.closed.append((number, found))


class Jira:
    """Answers every search with the same issues, by when they were made (by its own clock)."""

    def __init__(self, *made):
        self.made = made
        self.queries = []
        self.answer = None
        self.entry = ConnectionEntry("hq", None, "https://jira", Credentials.GATEWAY, None, True, 60.0)

    async def send_as_account(self, request, seconds=0.0):
        self.queries.append(json.loads(request.body)["jql"])
        if self.answer is not None:
            return self.answer
        text = [moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000") for moment in self.made]
        issues = [
            {"id": str(number), "key": f"OPS-{number}", "fields": {"created": one, "updated": one}}
            for number, one in enumerate(text)
        ]
        return JiraAnswer(200, [], json.dumps({"issues": issues, "startAt": 0, "total": len(issues)}).encode())


def entry(number=1, jql=None, made_at=NOW - timedelta(days=1), hook=None, **fields):
    return TriggerEntry(Trigger(number, f"t{number}", "hq", EVENTS, made_at, jql, hook=hook, **fields), secret=None)


class World:
    def __init__(self, *made, ahead=timedelta(0)):
        self.now = NOW
        self.log, self.jira = Log(), Jira(*made)
        links = SimpleNamespace(rewritten=lambda connection, body: body)
        self.ground = Ground(self.jira, self.log, links, lambda: self.now)
        self.kept = {}
        self.marks = Marks(self.ground, self.kept)
        self.sight = Sight(Server(SERVER, ahead), "UTC")

    async def run(self, job):
        while await job.step(self.sight):
            pass

    @property
    def found(self):
        return [event.occurrence for event in self.log.events]


async def test_the_first_look_begins_when_the_trigger_was_made_and_the_next_where_it_ended():
    world = World(NOW - minutes(10), NOW - minutes(1))
    job = PollJob(world.ground, world.marks, [entry(made_at=NOW - minutes(5))])
    await world.run(job)
    assert world.found == ["issue-created/1"]
    assert 'updated >= "2026/11/26 11:55"' in world.jira.queries[0]
    assert world.kept["trigger:1"] == Watermark("trigger:1", NOW, NOW, None)
    world.now += minutes(10)
    await world.run(job)
    assert 'updated >= "2026/11/26 11:58"' in world.jira.queries[-1]
    assert world.found == ["issue-created/1"]


async def test_a_first_look_goes_back_an_hour_at_most():
    world = World()
    await world.run(PollJob(world.ground, world.marks, [entry()]))
    assert 'updated >= "2026/11/26 11:00"' in world.jira.queries[0]


@pytest.mark.parametrize("hours", [3, -3])
async def test_windows_are_by_jiras_clock(hours):
    ahead = timedelta(hours=hours)
    world = World(NOW + ahead - minutes(1), ahead=ahead)
    await world.run(PollJob(world.ground, world.marks, [entry(made_at=NOW - minutes(5))]))
    assert world.found == ["issue-created/0"]
    assert world.kept["trigger:1"].until == NOW + ahead


async def test_a_clock_that_was_put_back_does_not_blind():
    world = World(NOW - minutes(1))
    world.kept["trigger:1"] = Watermark("trigger:1", NOW + timedelta(hours=5))
    await world.run(PollJob(world.ground, world.marks, [entry()]))
    assert world.kept["trigger:1"].until == NOW
    assert 'updated >= "2026/11/26 11:50"' in world.jira.queries[0]
    assert world.found == ["issue-created/0"]


async def test_the_watermark_moves_only_when_what_was_found_is_kept():
    world = World(NOW - minutes(1))
    before = world.kept["trigger:1"] = Watermark("trigger:1", NOW - minutes(10))
    job = PollJob(world.ground, world.marks, [entry()])
    world.log.keeps = False
    with pytest.raises(StoreError):
        await world.run(job)
    job.failed("the disk is full")
    assert (world.kept["trigger:1"].until, world.kept["trigger:1"].problem) == (before.until, "the disk is full")
    world.log.keeps = True
    await world.run(job)
    assert world.found == ["issue-created/0"]
    assert (world.kept["trigger:1"].until, world.kept["trigger:1"].problem) == (NOW, None)


async def test_windows_that_overlap_cost_no_writes():
    world = World(NOW - minutes(1))
    job = PollJob(world.ground, world.marks, [entry()])
    for _ in range(5):
        await world.run(job)
        world.now += timedelta(seconds=1)
    assert (len(world.log.events), len(world.log.marks)) == (1, 1)
    world.now += timedelta(seconds=30)
    await world.run(job)
    assert len(world.log.marks) == 2


async def test_triggers_of_one_jql_share_one_search_and_one_event():
    world = World(NOW - minutes(1))
    await world.run(PollJob(world.ground, world.marks, [entry(1), entry(2)]))
    assert [event.triggers for event in world.log.events] == [(1, 2)]
    assert len(world.jira.queries) == 1


async def test_what_is_not_sent_is_only_kept():
    world = World(NOW - minutes(1))
    await world.run(PollJob(world.ground, world.marks, [entry(1), entry(2, deliver_to="https://x")]))
    assert world.log.events[0].kept_for == {1}


def gap(number=1, start=60, end=0, way=Way.LAN, **fields):
    return Gap(number, f"g{number}", "hq", Cause.AGENT, NOW - minutes(start), NOW - minutes(end), NOW, way, **fields)


HOOKS = {3: Hook(3, "hq", Way.LAN, Kind.REGISTERED, "", NOW), 4: Hook(4, "hq", Way.INTERNET, Kind.MANUAL, "", NOW)}


def told(world):
    return {event.occurrence: json.loads(event.body) for event in world.log.events if event.type == "gap"}


async def test_a_gap_is_swept_from_before_its_start_told_and_closed():
    world = World(NOW - minutes(64), NOW - minutes(30))
    await world.run(GapJob(world.ground, [gap()], [entry(hook=3)], HOOKS))
    assert 'updated >= "2026/11/26 10:55"' in world.jira.queries[0]
    assert world.found == ["issue-created/0", "issue-created/1", "gap/g1/1"]
    assert [event.repaired for event in world.log.events] == [True, True, False]
    assert told(world) == {
        "gap/g1/1": {
            "from": "2026-11-26T11:00:00.000Z", "to": "2026-11-26T12:00:00.000Z", "cause": "agent", "way": "lan",
            "found": 2, "complete": False, "lost": "a search does not find sprint_started",
        },
    }  # fmt: skip
    assert world.log.closed == [(1, 2)]


async def test_of_several_gaps_each_is_told_what_belongs_to_it():
    world = World(NOW - minutes(59), NOW - minutes(50), NOW - minutes(5))
    gaps = [gap(1, 60, 45), gap(2, 20, 0, None)]
    await world.run(GapJob(world.ground, gaps, [entry(1, hook=3), entry(2, hook=4)], HOOKS))
    assert {name: one["found"] for name, one in told(world).items()} == {"gap/g1/1": 2, "gap/g2/1": 1, "gap/g2/2": 1}
    assert [event.triggers for event in world.log.events[:3]] == [(1,), (1,), (1, 2)]
    assert world.log.closed == [(1, 2), (2, 1)]


def test_what_was_found_belongs_to_the_first_gap_that_did_not_end_before_else_to_the_last():
    gaps = [gap(1, 60, 50), gap(2, 58, 20), gap(3, 57, 55), gap(4, 10, 5)]
    moments = {minute: Fresh(str(minute), NOW - minutes(minute), frozenset({1})) for minute in (70, 51, 40, 20, 7, 0)}
    shares = _shares(gaps, list(moments.values()))
    found = {number: [fresh.occurrence for fresh in share] for number, share in shares.items()}
    assert found == {1: ["70", "51"], 2: ["40", "20"], 3: [], 4: ["7", "0"]}


async def test_more_than_a_sweep_remembers_is_stored_all_the_same(monkeypatch):
    monkeypatch.setattr(sweeping, "MAX_FRESH", 1)
    world = World(NOW - minutes(50), NOW - minutes(30))
    await world.run(GapJob(world.ground, [gap()], [entry(hook=3)], HOOKS))
    assert world.found == ["issue-created/0", "issue-created/1", "gap/g1/1"]
    assert told(world)["gap/g1/1"]["found"] == 1


async def test_a_gap_of_nobodys_way_is_closed_without_a_search():
    world = World()
    await world.run(GapJob(world.ground, [gap()], [entry(hook=4), entry(2)], HOOKS))
    assert (world.jira.queries, world.log.events, world.log.closed) == ([], [], [(1, 0)])


async def test_nothing_from_before_the_trigger_is_brought_back():
    world = World(NOW - minutes(50), NOW - minutes(5))
    await world.run(GapJob(world.ground, [gap()], [entry(hook=3, made_at=NOW - minutes(10))], HOOKS))
    assert world.found == ["issue-created/1", "gap/g1/1"]


async def test_a_jql_that_jira_refuses_is_told_to_its_own_trigger():
    world = World()
    world.jira.answer = JiraAnswer(400, [], b'{"errorMessages":["No such project."]}')
    await world.run(GapJob(world.ground, [gap()], [entry(hook=3)], HOOKS))
    assert (
        told(world)["gap/g1/1"]["lost"] == "nothing could be searched: Jira does not accept the JQL: No such project."
    )
    assert world.log.closed == [(1, 0)]


async def test_a_repair_that_fails_in_between_counts_what_it_found_before():
    world = World(NOW - minutes(30), NOW - minutes(20))
    job = GapJob(world.ground, [gap()], [entry(1, "a = 1", hook=3), entry(2, "b = 1", hook=3)], HOOKS)
    assert await job.step(world.sight)
    world.log.keeps = False
    with pytest.raises(StoreError):
        await world.run(job)
    job.failed("the disk is full")
    assert world.log.closed == []
    world.log.keeps = True
    await world.run(job)
    assert world.log.closed == [(1, 2)]
    assert {name: one["found"] for name, one in told(world).items()} == {"gap/g1/1": 2, "gap/g1/2": 2}


async def test_a_routine_look_begins_to_count_and_looks_later_at_what_is_old_enough():
    world = World(NOW + minutes(5), NOW + minutes(15))
    job = RoutineJob(world.ground, world.marks, HOOKS[3], [entry(hook=3)])
    await world.run(job)
    assert world.jira.queries == []
    assert world.kept["hook:3"].until == NOW - minutes(1)
    world.now += minutes(15)
    job = RoutineJob(world.ground, world.marks, HOOKS[3], [entry(hook=3)])
    await world.run(job)
    assert world.found == ["issue-created/0", f"gap/{world.log.gaps[0].uid}/1"]
    [lost] = world.log.gaps
    assert (lost.cause, lost.from_at, lost.to_at, lost.found, lost.swept_at) == (
        Cause.JIRA, NOW - minutes(1), NOW + minutes(14), 1, world.now,
    )  # fmt: skip
    assert world.kept["hook:3"].until == NOW + minutes(14)


async def test_a_routine_look_that_finds_nothing_new_is_no_gap():
    world = World(NOW + minutes(5))
    world.kept["hook:3"] = Watermark("hook:3", NOW)
    world.log.known.add((1, "issue-created/0"))
    world.now += minutes(15)
    await world.run(RoutineJob(world.ground, world.marks, HOOKS[3], [entry(hook=3)]))
    assert world.log.gaps == []
    assert world.kept["hook:3"].until == NOW + minutes(14)


async def test_a_routine_look_that_fails_tells_of_all_it_found_in_the_end():
    world = World(NOW + minutes(5))
    world.kept["hook:3"] = Watermark("hook:3", NOW)
    world.now += minutes(15)
    job = RoutineJob(world.ground, world.marks, HOOKS[3], [entry(hook=3)])
    assert await job.step(world.sight)
    world.log.keeps = False
    with pytest.raises(StoreError):
        await world.run(job)
    job.failed("the disk is full")
    assert world.kept["hook:3"].until == NOW
    world.log.keeps = True
    await world.run(job)
    assert world.log.gaps[-1].found == 1


async def test_without_jira_nothing_is_polled_and_a_gap_is_told_all_the_same():
    world = World()
    assert not await PollJob(world.ground, world.marks, [entry()]).step(None)
    assert not await RoutineJob(world.ground, world.marks, HOOKS[3], [entry()]).step(None)
    assert not await GapJob(world.ground, [gap()], [entry(hook=3)], HOOKS).step(None)
    assert "own login" in told(world)["gap/g1/1"]["lost"]


async def test_a_refused_query_of_a_poll_is_its_problem():
    world = World()
    world.jira.answer = JiraAnswer(400, [], b"{}")
    with pytest.raises(QueryRefused):
        await world.run(PollJob(world.ground, world.marks, [entry()]))


def test_lately_forgets_the_oldest():
    lately = Lately(2)
    for member in ("a", "b", "a", "c"):
        lately.add(member)
    assert ["a" in lately, "b" in lately, "c" in lately] == [True, False, True]


async def test_a_long_history_is_kept_piece_by_piece(monkeypatch):
    monkeypatch.setattr(sweeping, "MAX_HELD_BYTES", 300)
    world = World(*[NOW - minutes(1)] * 20)
    batches = []
    keep = sweeping.keep_events

    async def counted(log, events):
        batches.append(sum(len(event.body) for event in events[:-1]))
        return await keep(log, events)

    monkeypatch.setattr(sweeping, "keep_events", counted)
    await world.run(PollJob(world.ground, world.marks, [entry()]))
    assert len(set(world.found)) == 20
    assert max(batches) <= 300
    assert len(batches) > 5
