"""The administrator's switch from outside: what callers, commands and the other instance see of it."""

import json
import signal
import time

import pytest

from agent.audit_check import newest
from runtime.control import call
from runtime.identity import actor
from tests.e2e.conftest import SERVICE
from tests.support.callers import ask, bearer
from tests.support.event_site import event_site
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack, page, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ISSUE = "/rest/api/2/issue/OPS-1"
ME = actor()
SLOW = "/rest/api/2/test/sleep/2"


def turned(agent, command, **arguments):
    """Turn the switch as the command does, without its process."""
    return call(agent.state_dir, command, arguments)


def status(agent):
    return call(agent.state_dir, "status")


def test_pause_one_of_two_then_both_then_a_restart(tmp_path):
    with JiraProcess("9.12", context="/jira") as jira, Stack(tmp_path / "stack", jira.url) as stack:
        stack.start_gateway()
        one = stack.enroll("hq", **SERVICE).start_and_wait()
        two = stack.enroll("hq", **SERVICE).start_and_wait()
        token = stack.connect("hq")

        def get(method="GET", target=ISSUE, body=None):
            return ask(f"{stack.url}/jira/hq", method, target, body, [bearer(token)])

        # One: the other serves, by every method and whatever the size of the body.
        assert turned(one, "pause", reason="upgrade of host 1")["mode"] == "paused"
        large = b'{"x": "' + b"x" * 3_000_000 + b'"}'
        replies = [get() for _ in range(20)] + [get("POST", "/rest/api/2/test/echo", large) for _ in range(4)]
        assert {reply.status for reply in replies} == {200}, [str(reply) for reply in replies]
        assert "paused by its administrator: upgrade of host 1" in stack.command("agents", "list").stderr

        # Both: 503 at once, with nothing at Jira.
        done = two.command("pause", "--reason", "upgrade of Jira")
        assert done.stdout == "paused: no request and no event passes; webhooks are kept here\n"
        jira.call("clear")
        began = time.monotonic()
        for method in ("GET", "POST"):
            reply = get(method)
            assert (reply.status, reply.error, reply.processed) == (503, "paused", "no"), str(reply)
            assert reply.header("Retry-After") == "60"
            assert reply.header("Tunnel-Source") == "agent"
            assert "has paused this agent" in reply.json()["errorMessages"][0]
        assert time.monotonic() - began < 5
        assert jira.requests(marker="OPS-1") == []
        test = stack.command("connections", "test", "hq")
        assert (test.returncode, "paused by its administrator" in test.stdout + test.stderr) == (1, True)
        assert page(one.admin_port, "/readyz")[0] == 503
        assert page(one.admin_port, "/healthz")[0] == 200
        assert b"paused by its administrator" in page(one.admin_port, "/readyz")[1]

        # A restart keeps it, and nobody at the gateway can undo it.
        two.stop(signal.SIGKILL)
        two.start()
        wait_until(lambda: b"2 of 2 links up" in page(two.admin_port, "/readyz")[1], "the links are back")
        assert [get().error for _ in range(10)] == ["paused"] * 10
        assert status(two)["switch"]["reason"] == "upgrade of Jira"

        # Read-only on both: reads pass, writes name the switch.
        for agent in (one, two):
            assert turned(agent, "read-only")["mode"] == "read-only"
        assert get().status == 200
        denied = get("DELETE")
        assert (denied.status, denied.error) == (403, "policy_denied")
        assert "jira-agent read-only" in denied.json()["errorMessages"][0]
        assert jira.requests(marker="DELETE /jira/rest/api/2/issue") == []

        # And back; a time that is over does it by itself.
        assert turned(one, "resume")["changed"] is True
        assert turned(one, "resume")["changed"] is False
        assert turned(two, "pause", seconds=1)["until"] is not None
        wait_until(lambda: status(two)["switch"]["mode"] == "read-only", "time")
        assert turned(two, "resume")["by"]
        assert get("POST", "/rest/api/2/test/echo", b"{}").status == 200

        # The audit log of the one that was killed has all of it, also while it runs.
        done = two.command("audit", "verify", "--json")
        assert done.returncode == 0, done.stdout
        assert any("did not end in good order" in note for note in json.loads(done.stdout)["notes"])
        entries = newest(two.state_dir / "audit", 1000)
        turns = [(entry["mode"], entry["by"]) for entry in entries if entry["kind"] == "switch"]
        assert turns[:2] == [("paused", ME), ("read-only", ME)]
        assert turns[-1] == ("open", ME)
        carried = [entry for entry in entries if entry["kind"] == "request" and entry["outcome"] == "answered"]
        assert {entry["caller"] for entry in carried} >= {"token-hq"}
        assert {entry["connection"] for entry in carried if entry["caller"] == "token-hq"} == {"hq"}
        assert {"paused", "policy_denied"} <= {entry["outcome"] for entry in entries if entry["kind"] == "request"} | {
            entry["outcome"] for entry in newest(one.state_dir / "audit", 1000) if entry["kind"] == "request"
        }


def test_requests_under_way_finish_or_end_with_what_is_known(fresh):
    callers = [fresh.caller() for _ in range(4)]
    pending = [caller.send(method, SLOW) for caller, method in zip(callers, ("GET", "POST") * 2, strict=True)]
    wait_until(lambda: len(fresh.arrived("sleep/2")) == 4, "all are with Jira")
    try:
        assert turned(fresh.agent, "pause")["under_way"] == 4
        assert fresh.ask("GET", ISSUE).error == "paused"
        assert [reply.read().status for reply in pending] == [200] * 4

        turned(fresh.agent, "resume")
        pending = [caller.send("POST", "/rest/api/2/test/sleep/20") for caller in callers]
        wait_until(lambda: len(fresh.arrived("sleep/20")) == 4, "all are with Jira")
        began = time.monotonic()
        assert turned(fresh.agent, "pause", now=True)["ended"] == 4
        replies = [one.read() for one in pending]
        assert time.monotonic() - began < 10
        outcomes = {(reply.status, reply.error, reply.processed, reply.header("Retry-After")) for reply in replies}
        assert outcomes == {(502, "jira_protocol", "unknown", "")}
        assert "paused" in replies[0].json()["errorMessages"][0]
    finally:
        turned(fresh.agent, "resume")
        for caller in callers:
            caller.close()
    assert fresh.ask("GET", ISSUE).status == 200


def test_events_wait_on_the_agents_disk_and_go_when_it_resumes(tmp_path):
    with event_site(tmp_path) as site:
        subscriber = site.subscribe("all")
        site.jira.call("add_issue", summary="before")
        subscriber.wait_for(1)
        turned(site.agent, "pause")
        before = len(subscriber.received)
        site.jira.call("storm", count=50, rate=200, kinds=["issue", "comment"])
        wait_until(lambda: not site.jira.call("storm_status", made=False)["running"], "the storm is over", 30)
        wait_until(lambda: not site.jira.call("deliveries", count=True)["pending"], "the agent has everything", 30)
        site.agent.stop()
        site.agent.start()
        wait_until(lambda: b"links up" in page(site.agent.admin_port, "/readyz")[1], "it is back")
        time.sleep(1)  # nothing may come, so there is nothing to wait for
        assert len(subscriber.received) == before
        spooled = status(site.agent)["webhooks"]["spool"]["events"]
        assert spooled >= 50

        turned(site.agent, "resume")
        made = site.jira.call("storm_status")["made"]
        wanted = {site.message_id(one["occurrence"], "all") for one in made}
        assert subscriber.wait_for_ids(wanted, 30) == set()
        assert subscriber.twice == 0


def test_without_a_running_agent_it_is_69_and_without_sense_2(fresh):
    stopped = fresh.stack.agent("nobody")
    assert stopped.command("pause").returncode == 69
    assert fresh.agent.command("pause", "--for", "soon").returncode == 2
    assert fresh.agent.command("pause", "--reason", "a\nb").returncode == 2
    done = fresh.agent.command("resume", "--json")
    assert (done.returncode, json.loads(done.stdout)["mode"]) == (0, "open")
