"""Registered hooks in Jira: what is sent in which order, when a gap is kept, and what Jira does not take."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from gateway.events.jira_client import JiraSilent
from gateway.events.plan import marker
from gateway.events.upkeep import MAX_UNSEEN, Upkeep
from gateway.events.webhooks_in_jira import NotTaken, Refused
from gateway.store import Cause, Hook, HookState, Kind, Way
from gateway.triggers import HookEntry
from jira_api.webhook_api import SeenWebhook

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BASE = "https://gw.example"
ID = "k" * 43
EVENTS = frozenset({"comment_created"})


class Jira:
    """Webhooks of a Jira, and a log of what was done in which order."""

    signs = True

    def __init__(self, *seen, done):
        self.seen = {one.remote_id: one for one in seen}
        self.done = done
        self.fails = None
        self.takes = lambda wanted: wanted

    async def list(self):
        self.done.append("list")
        return list(self.seen.values())

    async def create(self, wanted):
        await self._do("create", str(len(self.seen) + 1), wanted)

    async def update(self, seen, wanted):
        await self._do("update", seen.remote_id, wanted)

    async def delete(self, seen):
        self.done.append("delete")
        del self.seen[seen.remote_id]

    async def _do(self, what, number, wanted):
        self.done.append(what)
        if self.fails is not None:
            raise self.fails
        wanted = self.takes(wanted)
        self.seen[number] = SeenWebhook(number, wanted.name, wanted.url, wanted.events, wanted.jql, True, False)


class Log:
    """A log that keeps gaps, or not."""

    def __init__(self, done):
        self.done = done
        self.gaps = []
        self.keeps = True

    def offer_gaps(self, gaps, done):
        self.done.append("gap")
        self.gaps += gaps
        done(self.keeps)


def hook(remote_id="1"):
    row = Hook(7, "hq", Way.LAN, Kind.REGISTERED, "ab" * 32, NOW, "x = 1", remote_id=remote_id)
    return HookEntry(row, "plant", SecretStr(ID), SecretStr("s3cret"))


def right(**changes):
    seen = SeenWebhook("1", marker(hook().row), f"{BASE}/hooks/{ID}", EVENTS, "x = 1", True, False)
    return replace(seen, **changes)


GOOD = HookState(7, checked_at=NOW - timedelta(hours=1))


def world(*seen, state=GOOD):
    done, left, unseen = [], {}, {}
    jira, log = Jira(*seen, done=done), Log(done)
    states = {} if state is None else {7: state}

    async def run(entry=None, *, is_last=False):
        done.clear()
        upkeep = Upkeep(jira, log, states, left, unseen, lambda: NOW)
        upkeep.add(entry or hook(), EVENTS, BASE)
        return (await upkeep.run(list(jira.seen.values()), is_last=is_last))[7]

    return jira, log, run


async def test_what_is_right_is_not_touched():
    jira, log, run = world(right())
    assert await run() == (right(), None)
    assert (jira.done, log.gaps) == ([], [])


async def test_a_new_hook_is_made_and_read_back_and_is_no_gap():
    jira, log, run = world(state=None)
    outcome = await run(hook(None))
    assert (outcome.seen, outcome.problem, jira.done, log.gaps) == (right(), None, ["create", "list"], [])


async def test_a_change_is_a_gap_that_is_kept_before_the_repair():
    jira, log, run = world(right(enabled=False))
    assert await run() == (right(), None)
    assert jira.done == ["gap", "update", "list"]
    [gap] = log.gaps
    assert (gap.from_at, gap.to_at, gap.cause, gap.way) == (GOOD.checked_at, NOW, Cause.WEBHOOK, Way.LAN)


async def test_when_the_gap_is_not_kept_nothing_is_repaired():
    jira, log, run = world(right(enabled=False))
    log.keeps = False
    with pytest.raises(JiraSilent):
        await run()
    assert jira.done == ["gap"]


async def test_a_deleted_one_is_made_again():
    jira, log, run = world()
    assert (await run()).problem is None
    assert (jira.done, len(log.gaps)) == (["gap", "create", "list"], 1)


async def test_when_webhooks_were_refused_the_secret_is_set_again_and_that_is_a_gap():
    refused = replace(GOOD, refused_at=NOW - timedelta(minutes=1))
    jira, log, run = world(right(), state=refused)
    entry = hook()
    signing = replace(entry, row=replace(entry.row, signs=True))
    assert (await run(signing)).problem is None
    assert (jira.done, len(log.gaps)) == (["gap", "update", "list"], 1)
    await run()  # one that does not sign has nothing to be wrong
    assert jira.done == []
    jira, _, run = world(right(), state=replace(GOOD, refused_at=NOW - timedelta(hours=2)))
    await run(signing)
    assert jira.done == []


async def test_a_new_name_and_copies_lose_nothing():
    jira, log, run = world(right(name="x"), right(remote_id="2"))
    assert (await run()).problem is None
    assert (jira.done, log.gaps) == (["delete", "update", "list"], [])  # two that are equal may be refused


async def test_what_jira_does_not_keep_is_told_and_not_sent_again_and_again():
    jira, log, run = world(state=None)
    jira.takes = lambda wanted: replace(wanted, events=frozenset())
    outcome = await run(hook(None))
    assert outcome.problem == "Jira does not keep the webhook as it should be: its events are none"
    again = await run()
    assert (again.problem, jira.done, log.gaps) == (outcome.problem, [], [])


async def test_what_jira_does_not_take_is_told_in_its_words():
    jira, _, run = world(state=None)
    jira.fails = NotTaken(f"The URL http://gw/hooks/{ID} must use https")
    outcome = await run(hook(None))
    told = "Jira does not take the webhook: The URL http://gw/hooks/… must use https"
    assert (outcome.seen, outcome.problem) == (None, told)


async def test_a_refusal_ends_the_round_unless_it_is_the_last():
    jira, _, run = world(right(enabled=False))
    jira.fails = Refused("the policy")
    with pytest.raises(Refused):
        await run()
    outcome = await run(is_last=True)
    assert (outcome.seen.enabled, outcome.problem) == (False, "the policy")


async def test_a_webhook_that_jira_took_and_does_not_show_is_a_problem():
    jira, _, run = world(state=None)

    async def create(wanted):
        jira.done.append("create")

    jira.create = create
    assert await run(hook(None)) == (None, "Jira does not show the webhook that it took")


async def test_what_jira_takes_and_never_shows_is_not_made_for_ever():
    jira, _, run = world(state=None)
    made = []

    async def create(wanted):
        made.append(wanted)

    jira.create = create
    for _ in range(MAX_UNSEEN + 3):
        outcome = await run(hook(None))
    assert len(made) == MAX_UNSEEN
    assert outcome.problem == "Jira took the webhook 3 times and shows none: look at its list"

    jira.seen["1"] = right()
    assert (await run(hook(None))).problem is None
    del jira.seen["1"]
    await run(hook(None))
    assert len(made) == MAX_UNSEEN + 1
