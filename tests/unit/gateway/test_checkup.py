"""The doctor's look at a gateway that lives: what is near its end is told before it ends."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.checkup import Stock, check_agent_certificates, check_agents, check_clock, check_disk, check_triggers
from gateway.kernel_clock import clock_status
from gateway.settings import GatewaySettings
from gateway.store.rows import Instance

NOW = datetime(2027, 1, 10, 12, tzinfo=UTC)


def stock(**values):
    given = {"now": NOW, "newest_record": None, "instances": [], "triggers": [], "links": None}
    return Stock(**{**given, **values})


def instance(agent, hours, *, name="i1", revoked=False):
    expires = NOW + timedelta(hours=hours)
    return Instance(agent, name, "01", NOW - timedelta(days=7), expires, NOW if revoked else None)


def trigger(**values):
    hook = {"last_event_at": NOW}
    row = {"name": "tickets", "problem": None, "state": "active", "disabled_reason": None, "counts": {}, "hook": hook}
    return {**row, "watermark": None, **values}


@pytest.mark.parametrize(
    ("free", "stored", "result", "advises"),
    [(100, 0, "fail", True), (5000, 0, "pass", True), (5000, 9 << 30, "pass", False), (20000, 0, "pass", False)],
)
def test_a_disk_is_full_before_it_is_full(tmp_path, free, stored, result, advises):
    settings = GatewaySettings(state_dir=tmp_path, tunnel_listen="127.0.0.1:0")
    found = check_disk(settings, free << 20, stored)
    assert (found.result, found.action != "") == (result, advises)


def test_a_clock_that_went_back_is_told_by_what_was_recorded():
    assert check_clock(stock(newest_record=NOW + timedelta(seconds=30)), 0).result == "pass"
    found = check_clock(stock(newest_record=NOW + timedelta(hours=1)), 0)
    assert (found.result, "13:00:00" in found.detail) == ("fail", True)
    advised = check_clock(stock(), 0x40)
    assert (advised.result, "chrony" in advised.action) == ("pass", True)
    assert check_clock(stock(), None).result == "pass"


def test_the_kernel_is_asked_without_being_told_anything():
    assert clock_status() is None or 0 <= clock_status() < 1 << 16


def test_agents_without_a_link_are_named():
    rows = [instance("hq", 100), instance("plant", 100), instance("gone", 100, revoked=True)]
    assert check_agents(stock(instances=rows)).result == "skip"
    assert check_agents(stock(links=[])).result == "skip"
    found = check_agents(stock(instances=rows, links=[{"agent": "hq"}]))
    assert (found.result, found.detail) == ("fail", "1 of 2 are offline: plant")
    assert check_agents(stock(instances=rows, links=[{"agent": "hq"}, {"agent": "plant"}])).result == "pass"


def test_many_are_not_all_named():
    rows = [instance(f"a{number}", 1) for number in range(9)]
    assert check_agents(stock(instances=rows, links=[])).detail.endswith("a4 and 4 more")
    assert "and 4 more" in check_agent_certificates(stock(instances=rows)).detail


@pytest.mark.parametrize(
    ("rows", "result", "words"),
    [
        ([], "skip", "none"),
        ([instance("hq", 100)], "pass", "hq's, on 2027-01-14 16:00"),
        ([instance("hq", 47)], "fail", "hq (ends 2027-01-12 11:00"),
        ([instance("hq", -1)], "fail", "hq (ended"),
        ([instance("hq", 1), instance("hq", 100, name="i2")], "pass", "hq's"),
        ([instance("hq", 100), instance("old", 1, revoked=True)], "pass", "hq's"),
    ],
)
def test_the_last_certificate_of_each_agent_counts(rows, result, words):
    found = check_agent_certificates(stock(instances=rows))
    assert (found.result, words in found.detail, (found.action != "") == (result == "fail")) == (result, True, True)


@pytest.mark.parametrize(
    ("values", "result", "words", "action"),
    [
        ({}, "pass", "the last webhook came 2027-01-10 12:00", ""),
        ({"hook": {"last_event_at": None}}, "pass", "no webhook has come yet", "change an issue"),
        ({"problem": "a webhook was refused: it has no signature"}, "fail", "no signature", "triggers show tickets"),
        ({"state": "disabled", "disabled_reason": "it answered 410"}, "fail", "410", "triggers enable tickets"),
        ({"counts": {"dead": 3}}, "fail", "3 events in the dead letters", "triggers replay tickets --dead"),
        ({"hook": None, "watermark": {"looked_at": NOW}}, "pass", "searched for, last 2027-01-10", ""),
        ({"hook": None}, "pass", "searched for, not yet", ""),
    ],
)
def test_a_trigger_says_whether_what_jira_sends_arrives(values, result, words, action):
    [found] = check_triggers(stock(triggers=[trigger(**values)]))
    assert (found.check, found.result, words in found.detail, action in found.action) == (
        "trigger tickets", result, True, True,
    )  # fmt: skip


def test_without_triggers_there_is_nothing_to_say():
    assert [row.result for row in check_triggers(stock())] == ["skip"]
