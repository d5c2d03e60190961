"""Faults travel to another process and back, and apply where they should."""

import json

import pytest

from tests.support.fake_jira import misbehaviour as faults
from tests.support.fake_jira.recording import RecordedRequest


@pytest.mark.parametrize(
    "fault",
    [
        faults.Slow(1.5),
        faults.Hang(),
        faults.Canned("rate-limited"),
        faults.CloseAfterRequestHead(),
        faults.CloseBeforeAnswer(reset=True),
        faults.CutMidBody(5),
        faults.StallBody(5),
        faults.DripBody(1, 0.1),
        faults.LieAboutLength(3),
        faults.StallRead(1, 0.1),
        faults.RawAnswer(b"\x00\xff\r\n", close=False),
        faults.Status(429, (("Retry-After", "3"),), "{}", read_body=False),
    ],
)
def test_a_fault_survives_json(fault):
    assert faults.fault_from_json(json.loads(json.dumps(faults.fault_to_json(fault)))) == fault


def request(method="GET", headers=()):
    return RecordedRequest(1, "", b"", 0.0, method=method, headers=list(headers))


def test_the_newest_rule_that_applies_wins_and_counts():
    slow = faults.Rule("/rest", faults.Slow(1))
    posts = faults.Rule("/rest", faults.Hang(), times=1, method="POST")
    marked = faults.Rule("/", faults.Slow(2), header=("X-Mark", "a"))
    rules = [slow, posts, marked]
    assert faults.choose(rules, request("POST"), "/rest/x") == faults.Hang()
    assert faults.choose(rules, request("POST"), "/rest/x") == faults.Slow(1)
    assert faults.choose(rules, request(headers=[(b"x-mark", b"a")]), "/rest/x") == faults.Slow(2)
    assert faults.choose(rules, request(headers=[(b"x-mark", b"b")]), "/other") is None
    assert [rule.hits for rule in rules] == [1, 1, 1]
