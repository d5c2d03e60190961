"""Many requests at once, callers that hang up, and deadlines: over real sockets, end to end."""

import time

import pytest

from tests.support.callers import all_at_once
from tests.support.fake_jira import Hang, StallBody

pytestmark = pytest.mark.alone

JIRA_HEARS_OF_IT = 1.0


def test_64_requests_of_one_second_take_less_than_one_and_a_half(fresh):
    all_at_once(lambda _: fresh.ask("GET", "/rest/api/2/test/sleep/0"), range(64), 64)
    began = time.monotonic()

    replies = all_at_once(lambda _: fresh.ask("GET", "/rest/api/2/test/sleep/1"), range(64), 64)

    seconds = time.monotonic() - began
    assert [reply.status for reply in replies] == [200] * 64
    assert seconds < 1.5


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_caller_that_hangs_up_before_the_answer_frees_jira_within_a_second(fresh, method):
    fresh.jira.misbehave("/rest/api/2/test/sink", Hang())
    with fresh.caller() as caller:
        caller.send(method, "/rest/api/2/test/sink", b"x" if method == "POST" else None)
        fresh.jira.wait_for(lambda jira: jira.info()["active"] == 1)

    began = time.monotonic()
    fresh.jira.wait_for(lambda jira: jira.info()["active"] == 0)

    assert time.monotonic() - began < JIRA_HEARS_OF_IT
    assert [seen["aborted"] for seen in fresh.arrived("/rest/api/2/test/sink")] == [True]


def test_a_caller_that_hangs_up_in_the_middle_of_the_answer_frees_jira_within_a_second(fresh):
    fresh.jira.misbehave("/rest/api/2/test/bytes", StallBody(after=1000))
    with fresh.caller() as caller:
        caller.send("GET", "/rest/api/2/test/bytes/5000")
        fresh.jira.wait_for(lambda jira: jira.info()["active"] == 1)

    began = time.monotonic()
    fresh.jira.wait_for(lambda jira: jira.info()["active"] == 0)

    assert time.monotonic() - began < JIRA_HEARS_OF_IT
    [seen] = fresh.arrived("/rest/api/2/test/bytes")
    assert (seen["aborted"], seen["answered"]) == (True, False)


def test_a_caller_that_hangs_up_in_the_middle_of_its_body_frees_jira_within_a_second(fresh):
    def half():
        yield b"half of it"
        fresh.jira.wait_for(lambda jira: jira.info()["active"] == 1)
        raise ConnectionAbortedError  # ends the upload before its end

    caller = fresh.caller()
    caller.send("POST", "/rest/api/2/test/sink", half())
    fresh.jira.wait_for(lambda jira: jira.info()["active"] == 1)
    caller.close()

    began = time.monotonic()
    fresh.jira.wait_for(lambda jira: jira.info()["active"] == 0)

    assert time.monotonic() - began < JIRA_HEARS_OF_IT
    [seen] = fresh.arrived("/rest/api/2/test/sink")
    assert (seen["completed"], seen["status"]) == (False, None)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_deadline_of_two_seconds_is_a_504_that_frees_jira(fresh, method):
    fresh.jira.misbehave("/rest/api/2/test/sink", Hang())
    body = b"x" if method == "POST" else None

    reply = fresh.ask(method, "/rest/api/2/test/sink", body, [("Tunnel-Timeout", "2")])

    assert (reply.status, reply.error, reply.processed) == (504, "jira_timeout", "unknown"), reply
    assert 2.0 <= reply.seconds <= 2.5 + 0.5  # the half second is for a machine that does other things as well
    assert reply.header("Retry-After") == ""
    fresh.jira.wait_for(lambda jira: jira.info()["active"] == 0, JIRA_HEARS_OF_IT)
    assert len(fresh.arrived("/rest/api/2/test/sink")) == 1


def test_a_deadline_after_the_head_of_the_answer_breaks_the_answer_off(fresh):
    fresh.jira.misbehave("/rest/api/2/test/bytes", StallBody(after=1000))

    reply = fresh.ask("GET", "/rest/api/2/test/bytes/5000", headers=[("Tunnel-Timeout", "1")])

    assert (reply.status, reply.whole) == (200, False), reply
    assert reply.size <= 1000
    assert 1.0 <= reply.seconds <= 2.5
    fresh.jira.wait_for(lambda jira: jira.info()["active"] == 0, JIRA_HEARS_OF_IT)


def test_a_slow_answer_that_moves_is_not_cut_by_the_deadline(fresh):
    target = "/rest/api/2/test/ticks/8?every=0.4"

    reply = fresh.ask("GET", target, headers=[("Tunnel-Timeout", "1")])

    assert (reply.whole, reply.body) == (True, b"tick\n" * 8)


def test_one_caller_that_reads_nothing_stops_nobody_else(fresh):
    with fresh.caller() as sleeper:
        sleeper.send("GET", "/rest/api/2/test/bytes/200000000?plain=1")  # never read: its windows fill up
        fresh.jira.wait_for(lambda jira: jira.info()["active"] == 1)
        replies = all_at_once(lambda _: fresh.ask("GET", "/rest/api/2/test/bytes/100000"), range(50), 8)

    assert {(reply.status, reply.size) for reply in replies} == {(200, 100_000)}
    assert max(reply.seconds for reply in replies) < 2
