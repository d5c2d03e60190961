"""Jira protected, with real processes: one caller cannot starve another, a refused password is tried once, a Jira that
hangs is left alone and found again, and the verdict on each login is told.
"""

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import Caller, all_at_once, basic, bearer
from tests.support.fake_jira import Hang, JiraProcess, Status
from tests.support.stack import Stack, page, wait_until

pytestmark = pytest.mark.timeout(180)

MYSELF = "/rest/api/2/myself"
THINK = 0.1
SLEEP = f"/rest/api/2/test/sleep/{THINK}"
CROWD = 500
WAYS = ("hq", "cloud")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A Jira that is reached through an agent and directly, and two tokens for both."""
    settings = {"JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.1/32"}
    with (
        JiraProcess("9.12", context="/jira") as jira,
        Stack(tmp_path_factory.mktemp("guarded"), jira.url, settings=settings) as stack,
    ):
        stack.start_gateway()
        stack.enroll("hq", **SERVICE).start_and_wait()
        stack.connect("hq")
        login = ("--base-url", jira.url, "--username", "svc.bridge", "--secret-file", "-")
        stack.must(
            "connections", "add", "cloud", "--via", "direct", "--credentials", "gateway", *login,
            stdin="password-of-svc.bridge",
        )  # fmt: skip
        yield jira, stack, stack.token("greedy", *WAYS), stack.token("modest", *WAYS)


@pytest.fixture
def calm(guarded):
    """The same with no faults, before and after."""
    guarded[0].call("behave")
    guarded[0].call("clear")
    yield guarded
    guarded[0].call("behave")


def worst_of(url, token, count):
    """The slowest of some requests one after the other, in seconds; all must succeed."""
    times = []
    with Caller(url, [bearer(token)]) as caller:
        for _ in range(count):
            began = time.monotonic()
            reply = caller.ask("GET", SLEEP)
            times.append(time.monotonic() - began)
            assert reply.status == 200, reply
    return max(times)


def crowd(url, token, seconds):
    """Keep 500 requests going for some seconds, in a process of its own; return the kinds of outcomes."""
    end = time.monotonic() + seconds

    def member(_):
        outcomes = set()
        with Caller(url, [bearer(token)], timeout=60) as caller:
            while time.monotonic() < end:
                reply = caller.ask("GET", SLEEP)
                outcomes.add((reply.status, reply.error))
                if reply.status != 200:
                    time.sleep(0.5)  # as a caller does that reads Retry-After, nearly
        return outcomes

    return set().union(*all_at_once(member, range(CROWD), CROWD))


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("way", WAYS)
def test_a_caller_with_500_requests_at_once_does_not_hold_up_another(calm, way):
    _, stack, greedy, modest = calm
    url = f"{stack.url}/jira/{way}"
    idle = worst_of(url, modest, 10)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        others = pool.submit(crowd, url, greedy, 6.0)
        time.sleep(2.5)  # until the crowd is there: that is what is measured
        busy = worst_of(url, modest, 15)
        outcomes = others.result()

    assert (200, "") in outcomes
    assert outcomes <= {(200, ""), (503, "overloaded")}
    # Twice idle and one Jira answer, and what a crowd on the same two cores adds to any measurement.
    assert busy <= 2 * idle + THINK + 1.0, f"{busy:.2f} s beside a crowd, {idle:.2f} s alone"


@pytest.mark.parametrize("way", ["agent", "gateway", "direct"])
def test_a_wrong_password_is_tried_once_and_works_as_soon_as_it_is_right(tmp_path, way):
    file = tmp_path / "password"
    file.write_text("wrong")
    settings = {"JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.1/32"}
    with JiraProcess("9.12") as jira, Stack(tmp_path / "stack", jira.url, settings=settings) as stack:
        stack.start_gateway()
        if way != "direct":
            own = {"JIRA_AGENT_JIRA_USERNAME": "svc.bridge", "JIRA_AGENT_JIRA_PASSWORD_FILE": str(file)}
            stack.enroll("hq", **(own if way == "agent" else {})).start_and_wait()
        where = ("--via", "direct", "--base-url", jira.url) if way == "direct" else ("--via", "hq")
        login = ("--username", "svc.bridge", "--secret-file", str(file))
        kind = "agent" if way == "agent" else "gateway"
        stack.must("connections", "add", "hq", *where, "--credentials", kind, *(() if way == "agent" else login))
        token = stack.token("t", "hq")

        def ask(_=None):
            with Caller(f"{stack.url}/jira/hq", [bearer(token)]) as caller:
                return caller.ask("GET", MYSELF)

        replies = all_at_once(ask, range(20), 20)
        refused = [reply for reply in replies if reply.error == "jira_login_rejected"]
        tried = [reply for reply in replies if reply.status == 401]
        failed = jira.call("set_user", name="svc.bridge", attributes={})["failed_logins"]

        file.write_text("password-of-svc.bridge")
        if way != "agent":
            stack.must("connections", "update", "hq", *login)
        wait_until(lambda: ask().status == 200, "the new password counts", 10)

    # One is tried; a second one only when this machine takes half a second for the first. Three would lock the account.
    assert 1 <= len(tried) == failed <= 2
    assert len(tried) + len(refused) == 20
    assert tried[0].header("Tunnel-Jira-Login") == "wrong_password"
    assert {(reply.status, reply.processed, bool(reply.header("Retry-After"))) for reply in refused} == {
        (503, "no", True)
    }


def test_a_callers_own_wrong_password_is_never_held_back(calm):
    jira, stack, *_ = calm
    stack.must("connections", "add", "own", "--via", "hq", "--credentials", "caller")
    token = stack.token("own", "own")
    headers = [("Tunnel-Authorization", f"Bearer {token}"), basic("readonly", "wrong")]
    with Caller(f"{stack.url}/jira/own", headers) as caller:
        replies = [caller.ask("GET", MYSELF) for _ in range(2)]

    assert [(reply.status, reply.header("Tunnel-Jira-Login")) for reply in replies] == [(401, "wrong_password")] * 2
    jira.call("set_user", name="readonly", attributes={"failed_logins": 0})


@pytest.mark.parametrize("way", WAYS)
def test_a_rate_limit_is_honoured_for_everybody_and_told(calm, way):
    jira, stack, greedy, modest = calm
    jira.misbehave("/rest/api/2/test/echo", Status(429, (("Retry-After", "6"),)), times=1)
    with Caller(f"{stack.url}/jira/{way}", [bearer(greedy)]) as caller:
        first = caller.ask("POST", "/rest/api/2/test/echo", b"x")
    with Caller(f"{stack.url}/jira/{way}", [bearer(modest)]) as caller:
        second = caller.ask("GET", MYSELF)
        time.sleep(1.5)  # what is left is short enough now to be waited for
        third = caller.ask("GET", MYSELF)

    assert (first.status, first.error, first.header("Retry-After")) == (429, "", "6")
    assert (second.status, second.error, second.processed) == (429, "rate_limited", "no")
    assert 5 <= int(second.header("Retry-After")) <= 6
    assert third.status == 200
    assert len(jira.requests(MYSELF)) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_jira_that_hangs_is_left_alone_and_found_again(calm, way):
    jira, stack, token, _ = calm
    jira.misbehave("/", Hang())

    def ask(_=None):
        with Caller(f"{stack.url}/jira/{way}", [bearer(token), ("Tunnel-Timeout", "1.2")]) as caller:
            return caller.ask("POST", "/rest/api/2/test/echo", b"x")

    hung = all_at_once(ask, range(8), 8)
    refused = ask()
    shown = _shown(stack, way)
    jira.call("behave")
    wait_until(lambda: _shown(stack, way)["unavailable_since"] is None, "the probe finds Jira again", 20)
    writes = [record for record in jira.requests() if record["method"] == "POST"]
    after = ask()

    assert {reply.error for reply in hung} == {"jira_timeout"}
    assert (refused.error, refused.processed, bool(refused.header("Retry-After"))) == ("jira_unavailable", "no", True)
    assert shown["unavailable_since"].startswith("20")
    assert shown["unavailable_reason"]
    assert len(writes) <= 8, "a caller's write was used as the probe, or repeated"
    assert after.status == 200


def _shown(stack, way):
    """What the status page of whoever protects this Jira says of it."""
    if way == "hq":
        return json.loads(page(stack.agents[0].admin_port, "/status")[1])["jira"]
    rows = json.loads(page(stack.admin_port, "/status")[1])["direct"]
    return next(row for row in rows if row["connection"] == way)
