"""Events found by search in a real stand-in Jira: everything once, whatever the clocks and time zones, and gaps repaired."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from gateway.events import sweep_jobs, sweep_worker
from gateway.events.intake import Arrival, Intake
from gateway.store import Cause, Gap, Kind, Way
from tests.support.event_world import SameLinks, event_world, until
from tests.support.fake_jira import CloseBeforeAnswer, FakeJira, Status
from tests.support.in_process import running_gateway

PROFILES = ["7.13", "8.20", "9.12", "10.3", "cloud"]
HOURS = 3 * 3600
CLOCKS = [("7.13", HOURS), ("8.20", 0), ("9.12", -HOURS), ("9.12", HOURS), ("10.3", -HOURS), ("cloud", HOURS)]
JQL = "project = OPS"
TYPES = {
    "jira:issue_created", "jira:issue_updated", "comment_created", "comment_updated", "worklog_created",
    "worklog_updated",
}  # fmt: skip


async def arrived(world, trigger, count, seconds=15.0):
    """The deliveries of a trigger as soon as there are so many."""
    async with asyncio.timeout(seconds):
        while len(found := await world.deliveries(trigger)) < count:
            await asyncio.sleep(0.02)
    return found


async def closed_gap(world, cause):
    """The gap of this cause, once it is closed: that is noted after the event that tells of it."""
    async with asyncio.timeout(10):
        while True:
            [gap] = [one for one in await world.store.gaps() if one.cause is cause]
            if gap.swept_at is not None:
                return gap
            await asyncio.sleep(0.02)


async def looked_again(world, sweep, times=2):
    """Wait until a sweep has been done so often from now on."""
    slot = world.sweeper._workers["hq"]._slots[sweep]
    for _ in range(times):
        due_at = slot.due_at
        await until(lambda due_at=due_at: slot.due_at != due_at, 10.0)


def occurrences(deliveries):
    return Counter(delivery.event.occurrence for delivery in deliveries)


@pytest.mark.parametrize(("profile", "offset"), CLOCKS)
async def test_polling_finds_everything_once_whatever_the_clocks(tmp_path, profile, offset):
    async with FakeJira(profile, context="/jira") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        jira.clock_offset = float(offset)
        jira.worklogs_in_history = True
        before = jira.add_issue("it was there before")
        await asyncio.sleep(0.05)
        await world.connect("hq", jira, "svc.bridge")  # America/New_York; Jira itself is in Europe/Madrid
        trigger = await world.trigger("t1", "hq", TYPES, JQL, wanted="polled", poll_seconds=1.0)
        assert (await world.registrar.settle("t1"))["kind"] == "polled"
        await until(lambda: world.directory.subscriptions.trigger("t1").row.kind is Kind.POLLED)

        issue = jira.add_issue("new")
        change = jira.edit_issue(issue, summary="newer")
        comment = jira.add_comment(before, "ines.ferro", "hello")
        worklog = jira.add_worklog(before)
        hidden = jira.add_issue("not of this project", project="HID", reporter="admin")
        first = {f"issue-created/{issue.id}", f"changelog/{change.id}", f"comment-created/{comment.id}",
                 f"worklog-created/{worklog.id}"}  # fmt: skip
        found = await arrived(world, trigger, 5)
        assert first <= set(occurrences(found))
        jira.edit_comment(before, comment, "hello again")
        jira.edit_worklog(before, worklog, seconds=60)
        found = await arrived(world, trigger, 8)
        await looked_again(world, f"poll:{JQL}")
        found = await world.deliveries(trigger)
        counted = occurrences(found)
        assert set(counted.values()) == {1}
        kinds = Counter(occurrence.partition("/")[0] for occurrence in counted)
        assert kinds == {"issue-created": 1, "changelog": 3, "comment-created": 1, "comment-updated": 1,
                         "worklog-created": 1, "worklog-updated": 1}  # fmt: skip
        assert not any(delivery.event.issue_key == hidden.key for delivery in found)
        assert not any(delivery.event.repaired for delivery in found)
        assert all(delivery.event.type in TYPES for delivery in found)
        assert {json.loads(d.event.body)["webhookEvent"] for d in found} == {d.event.type for d in found}
        assert jira.crashes == []


async def test_triggers_of_one_jql_share_a_search_and_get_only_what_came_after_them(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        await world.connect("hq", jira)
        first = await world.trigger("t1", "hq", {"jira:issue_created"}, JQL, wanted="polled", poll_seconds=1.0)
        await world.registrar.settle("t1")
        jira.add_issue("one")
        await arrived(world, first, 1)
        second = await world.trigger("t2", "hq", {"jira:issue_created"}, JQL, wanted="polled", poll_seconds=1.0)
        await world.registrar.settle("t2")
        await until(lambda: world.directory.subscriptions.trigger("t2").row.kind is Kind.POLLED)
        await looked_again(world, f"poll:{JQL}", 1)
        jira.requests.clear()
        jira.add_issue("two")
        assert len(await arrived(world, first, 2)) == 2
        assert len(await arrived(world, second, 1)) == 1
        searches = jira.matching("/rest/api/2/search")
        assert len(searches) <= 3


async def test_the_watermark_outlives_a_restart(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        await world.connect("hq", jira)
        trigger = await world.trigger("t1", "hq", TYPES, JQL, wanted="polled", poll_seconds=1.0)
        await world.registrar.settle("t1")
        issue = jira.add_issue("one")
        await arrived(world, trigger, 1)
        await world.restart("registrar")
        change = jira.edit_issue(issue, summary="while nobody looked")
        await world.restart("registrar", "sweeper")
        found = occurrences(await arrived(world, trigger, 2))
        assert found == {f"issue-created/{issue.id}": 1, f"changelog/{change.id}": 1}


async def test_many_issues_and_more_comments_than_a_page_holds(tmp_path):
    async with FakeJira("cloud", issues=1) as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        await world.connect("hq", jira)
        trigger = await world.trigger("t1", "hq", TYPES, JQL, wanted="polled", poll_seconds=1.0)
        await world.registrar.settle("t1")
        issues = [jira.add_issue(f"issue {number}") for number in range(130)]
        for number in range(70):
            jira.add_comment(issues[5], "ines.ferro", f"comment {number}")
        found = await arrived(world, trigger, 200)
        await looked_again(world, f"poll:{JQL}")
        counted = occurrences(await world.deliveries(trigger))
        assert (len(counted), set(counted.values())) == (200, {1})
        assert len(found) == 200


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(tmp_path, monkeypatch):
    async with FakeJira("9.12", issues=1) as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        monkeypatch.setattr("gateway.events.jira_client.MAX_ANSWER_BYTES", 100_000)
        defaults = world.sweeper  # the bound is a default argument
        from gateway.events.jira_client import JiraClient

        monkeypatch.setitem(JiraClient.send_as_account.__kwdefaults__, "max_bytes", 100_000)
        await world.connect("hq", jira)
        trigger = await world.trigger("t1", "hq", TYPES, JQL, wanted="polled", poll_seconds=1.0)
        await world.registrar.settle("t1")
        for number in range(60):
            jira.add_issue(f"issue {number}", description="x" * 10_000)
        await arrived(world, trigger, 60)
        assert defaults.rows()[0]["problem"] is None


@pytest.mark.parametrize("fault", [CloseBeforeAnswer(), Status(500), Status(429)])
async def test_after_a_failure_it_goes_on_from_where_it_was(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(sweep_worker, "pause_after", lambda silent, failures: 0.1)
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        await world.connect("hq", jira)
        trigger = await world.trigger("t1", "hq", TYPES, JQL, wanted="polled", poll_seconds=1.0)
        await world.registrar.settle("t1")
        await until(lambda: f"poll:{JQL}" in world.sweeper._workers["hq"]._slots)
        slot = world.sweeper._workers["hq"]._slots[f"poll:{JQL}"]
        jira.misbehave("/rest/api/2/search", fault)
        await until(lambda: slot.problem, 10.0)
        issue = jira.add_issue("meanwhile")
        async with asyncio.timeout(5):
            while not (mark := (await world.store.watermarks()).get(f"trigger:{trigger.id}")) or not mark.problem:
                await asyncio.sleep(0.02)
        jira.behave()
        assert occurrences(await arrived(world, trigger, 1)) == {f"issue-created/{issue.id}": 1}
        assert slot.problem is None


async def test_a_jql_that_jira_does_not_accept_any_more_stops_only_its_own_trigger(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        await world.connect("hq", jira)
        bad = await world.trigger("bad", "hq", TYPES, "project = HID", wanted="polled", poll_seconds=1.0)
        good = await world.trigger("good", "hq", TYPES, JQL, wanted="polled", poll_seconds=1.0)
        for name in ("bad", "good"):
            await world.registrar.settle(name)
        jira.users["admin"].groups.discard("jira-administrators")
        async with asyncio.timeout(10):
            while not (mark := (await world.store.watermarks()).get(f"trigger:{bad.id}")) or not mark.problem:
                await asyncio.sleep(0.02)
        assert "does not exist for the field 'project'" in mark.problem
        jira.add_issue("goes on")
        await arrived(world, good, 1)


def gap(number_of_hours, way=Way.INTERNET, cause=Cause.GATEWAY, uid="g1"):
    now = datetime.now(UTC)
    return Gap(0, uid, "hq", cause, now - timedelta(hours=number_of_hours), now, now, way)


async def registered(world, jira, name="t1", events=TYPES, jql=JQL, **fields):
    """A registered trigger, which was made a day ago."""
    world.offset = -timedelta(days=1)
    trigger = await world.trigger(name, "hq", events, jql, **fields)
    world.offset = timedelta(0)
    settled = await world.registrar.settle(name)
    await until(lambda: world.directory.subscriptions.trigger(name).row.hook is not None or settled["kind"] == "polled")
    return trigger


@pytest.mark.parametrize(("profile", "offset"), CLOCKS)
async def test_a_gap_of_an_hour_brings_everything_back_once_in_its_last_state(tmp_path, monkeypatch, profile, offset):
    monkeypatch.setattr(sweep_worker, "GAP_SETTLES", timedelta(0))
    clock = Clock()
    async with FakeJira(profile, clock=clock) as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        jira.clock_offset = float(offset)
        jira.webhooks.lost = True
        await world.connect("hq", jira)
        trigger = await registered(world, jira)
        clock.back = timedelta(minutes=90)
        early = jira.add_issue("before the gap")
        clock.back = timedelta(minutes=50)
        issue = jira.add_issue("in the gap")
        change = jira.edit_issue(issue, summary="in the gap, later")
        comment = jira.add_comment(early, "ines.ferro", "first")
        clock.back = timedelta(minutes=20)
        jira.edit_comment(early, comment, "last")
        worklog = jira.add_worklog(early)
        deleted = jira.add_comment(issue, "ines.ferro", "soon gone")
        jira.delete_comment(issue, deleted)
        clock.back = timedelta(0)
        late = jira.edit_issue(issue, summary="after it")
        world.log.offer_gaps([gap(1)])

        found = await arrived(world, trigger, 7)
        counted = occurrences(found)
        wanted = {f"issue-created/{issue.id}", f"changelog/{change.id}", f"comment-created/{comment.id}",
                  f"worklog-created/{worklog.id}", f"changelog/{late.id}"}  # fmt: skip
        assert wanted <= counted.keys()
        assert set(counted.values()) == {1}
        assert f"issue-created/{early.id}" not in counted
        of_comment = next(d for d in found if d.event.occurrence.startswith("comment-updated/"))
        assert "last" in of_comment.event.body.decode()
        *repaired, told = found
        assert all(delivery.event.repaired for delivery in repaired)
        assert told.event.type == "gap"
        payload = json.loads(told.event.body)
        assert (payload["cause"], payload["way"], payload["complete"], payload["lost"]) == (
            "gateway",
            "internet",
            True,
            "",
        )
        assert payload["found"] == len(repaired)
        assert (await closed_gap(world, Cause.GATEWAY)).found == len(repaired)


class Clock:
    """The machine's clock, put back at will."""

    back = timedelta(0)

    def __call__(self):
        return datetime.now(UTC) - self.back


async def test_webhooks_that_come_late_after_a_repair_are_no_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_worker, "GAP_SETTLES", timedelta(0))
    for profile in PROFILES:
        async with FakeJira(profile) as jira, event_world(tmp_path / profile, None, "registrar", "sweeper") as world:
            jira.webhooks.paused = True
            await world.connect("hq", jira)
            trigger = await registered(world, jira)
            issue = jira.add_issue("one")
            jira.edit_issue(issue, summary="two")
            comment = jira.add_comment(issue, "ines.ferro", "three")
            await asyncio.sleep(0.01)  # Jira's clock has milliseconds
            jira.edit_comment(issue, comment, "four")
            jira.add_worklog(issue)
            world.log.offer_gaps([gap(1)])
            repaired = await arrived(world, trigger, 6)
            assert repaired[-1].event.type == "gap"
            intake = Intake(world.log, SameLinks(), lambda world=world: world.directory)
            for delivery in jira.webhooks.deliveries:
                [hook] = world.directory.subscriptions.hooks
                taken = asyncio.get_running_loop().create_future()
                headers = [(name.encode(), value.encode()) for name, value in delivery.headers]
                intake.take(Arrival(hook, headers, "", delivery.body, datetime.now(UTC)), taken.set_result)
                await taken
            assert intake.received >= 5
            assert len(await world.deliveries(trigger)) == len(repaired)


async def test_what_no_search_finds_is_named_and_polled_triggers_are_not_concerned(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_worker, "GAP_SETTLES", timedelta(0))
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        jira.webhooks.lost = True
        await world.connect("hq", jira)
        one = await registered(world, jira, "t1", {"jira:issue_deleted", "sprint_started", "jira:issue_created"})
        other = await registered(world, jira, "t2", {"jira:issue_created"})
        polled = await registered(world, jira, "t3", {"sprint_started"}, wanted="polled")
        jira.add_issue("one")
        world.log.offer_gaps([gap(1)])
        [_, first] = await arrived(world, one, 2)
        [_, second] = await arrived(world, other, 2)
        told = json.loads(first.event.body)
        assert (told["complete"], told["lost"]) == (False, "a search does not find jira:issue_deleted, sprint_started")
        assert json.loads(second.event.body)["complete"]
        assert await world.deliveries(polled) == []


async def test_a_gap_waits_for_jira_and_one_of_the_other_way_is_not_mine(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_worker, "GAP_SETTLES", timedelta(0))
    monkeypatch.setattr(sweep_worker, "pause_after", lambda silent, failures: 0.1)
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        jira.webhooks.lost = True
        await world.connect("hq", jira)
        trigger = await registered(world, jira)
        jira.misbehave("/rest", CloseBeforeAnswer())
        jira.add_issue("one")
        world.log.offer_gaps([gap(1, None), gap(1, Way.LAN, uid="g2")])
        await until(lambda: "gaps" in world.sweeper._workers["hq"]._slots)
        slot = world.sweeper._workers["hq"]._slots["gaps"]
        await until(lambda: slot.failures > 1)
        assert len(await world.store.gaps(open_only=True)) == 2
        jira.behave()
        found = await arrived(world, trigger, 2)
        await closed(world)
        assert [delivery.event.type for delivery in found] == ["jira:issue_created", "gap"]


async def closed(world):
    async with asyncio.timeout(10):
        while await world.store.gaps(open_only=True):
            await asyncio.sleep(0.02)


async def test_with_the_callers_login_a_gap_is_told_and_nothing_can_be_searched(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_worker, "GAP_SETTLES", timedelta(0))
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        await world.connect("hq", jira, credentials="caller")
        trigger = await registered(world, jira)
        world.log.offer_gaps([gap(1)])
        [told] = await arrived(world, trigger, 1)
        assert "own login" in json.loads(told.event.body)["lost"]
        assert not jira.matching("/rest/api/2/search")


@pytest.mark.parametrize("profile", PROFILES)
async def test_what_jira_lost_without_a_word_is_found_in_routine_and_nothing_else(tmp_path, monkeypatch, profile):
    monkeypatch.setattr(sweep_worker, "ONLINE_SECONDS", 0.0)
    monkeypatch.setattr(sweep_jobs, "SETTLED", timedelta(seconds=0.5))
    clock = Clock()
    async with FakeJira(profile, clock=clock) as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        await world.connect("hq", jira)
        trigger = await registered(world, jira)
        [hook] = world.directory.subscriptions.hooks
        key = f"hook:{hook.id}"
        await until(lambda: world.sweeper._marks.get(key))
        await asyncio.sleep(0.6)
        issue, other = jira.add_issue("one"), jira.add_issue("other")
        comment = jira.add_comment(issue, "ines.ferro", "two")
        jira.add_link(issue, other)  # in the history of both, and no webhook of either
        jira.delete_comment(issue, comment)
        jira.worklogs_in_history = True
        jira.add_worklog(issue)
        intake = Intake(world.log, SameLinks(), lambda: world.directory)
        came, answered = [each for each in jira.webhooks.deliveries if each.event != "worklog_created"], []
        for delivery in came:
            headers = [(name.encode(), value.encode()) for name, value in delivery.headers]
            intake.take(Arrival(hook, headers, "", delivery.body, datetime.now(UTC)), answered.append)
        await until(lambda: len(answered) == len(came))  # they are stored then
        await asyncio.sleep(0.6)
        before = len(await world.deliveries(trigger))
        slot = world.sweeper._workers["hq"]._slots[key]
        slot.due_at = 0.0
        found = await arrived(world, trigger, before + 2)
        assert [(d.event.type, d.event.repaired) for d in found[before:]] == [("worklog_created", True), ("gap", False)]
        assert json.loads(found[-1].event.body)["cause"] == "jira"
        assert (await closed_gap(world, Cause.JIRA)).found == 1
        await until(lambda: slot.job is None)
        slot.due_at = 0.0
        await until(lambda: slot.due_at > 0.0)
        assert len(await world.deliveries(trigger)) == before + 2


async def test_an_agent_carries_sweeps_too_and_what_waited_goes_on_when_it_comes(tmp_path):
    async with FakeJira("9.12") as jira, running_gateway(tmp_path) as stack:
        login = {"jira_token": None, "jira_username": "svc.bridge", "jira_password": "password-of-svc.bridge"}
        agent = await stack.enroll("plant", jira, policy_profile="read-only", **login)
        registry = stack.gateway.registry
        async with event_world(tmp_path / "own", registry, "registrar", "sweeper") as world:
            await world.connect("hq", jira, agent="plant")
            trigger = await world.trigger("t1", "hq", TYPES, JQL, wanted="polled", poll_seconds=1.0)
            assert (await world.registrar.settle("t1"))["kind"] == "polled"
            jira.add_issue("one")
            await arrived(world, trigger, 1)
            await agent.stop()
            slot = world.sweeper._workers["hq"]._slots[f"poll:{JQL}"]
            await until(lambda: slot.problem, 10.0)
            assert "agent_offline" in slot.problem
            jira.add_issue("two")
            await stack.start(agent)
            await arrived(world, trigger, 2)
