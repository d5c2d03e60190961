"""What is up and does nothing: agents, lines, the gateway, Jira. Real processes with the timings of a real installation.

Minutes long, so not part of `make test`: run by `make soak`.
"""

import os
import signal
import sys
import time
from contextlib import contextmanager

import pytest

from tests.support.fake_jira import JiraProcess
from tests.support.relay import Relay
from tests.support.stack import Stack, wait_until
from tests.support.steady_load import SteadyLoad

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OUT_OF_USE_SECONDS = 16.0
BACK_SECONDS = 15.0
LOST = (502, "tunnel_lost", "unknown")
SERVICE = {
    "JIRA_AGENT_JIRA_USERNAME": "svc.bridge",
    "JIRA_AGENT_JIRA_PASSWORD": "password-of-svc.bridge",
    "JIRA_AGENT_LINKS": "2",
}


@pytest.fixture
def jira():
    with JiraProcess("9.12", context="/jira") as jira:
        yield jira
        assert jira.info()["crashes"] == []


@pytest.fixture
def stack(tmp_path, jira):
    with Stack(tmp_path / "stack", jira.url) as stack:
        yield stack.start_gateway()


@contextmanager
def stopped(agent):
    agent.send(signal.SIGSTOP)
    try:
        yield
    finally:
        agent.send(signal.SIGCONT)


@contextmanager
def black_hole(relay):
    relay.freeze()
    try:
        yield
    finally:
        relay.cut()


@contextmanager
def jammed(file):
    file.touch()
    try:
        yield
    finally:
        file.unlink()


@pytest.mark.parametrize("fault", ["stopped", "black hole", "jammed"])
def test_a_wedged_agent_is_out_of_use_in_16_seconds_and_the_other_one_carries_on(stack, jira, tmp_path, capsys, fault):
    stack.enroll("hq", **SERVICE).start_and_wait()
    with Relay(stack.tunnel_port) as relay:
        agent = stack.enroll("hq", **SERVICE, JIRA_AGENT_GATEWAY_URL=f"wss://127.0.0.1:{relay.port}")
        file = tmp_path / "jam"
        if fault == "jammed":
            agent.arguments = [sys.executable, "-m", "tests.support.jammed_agent", str(file), "run"]
        agent.start_and_wait()
        wait_until(lambda: stack.count_links("hq") == 4, "all links")
        token = stack.connect("hq")
        broken = {"stopped": lambda: stopped(agent), "black hole": lambda: black_hole(relay)}
        with SteadyLoad(stack.api_port, token, jira_seconds=0.2) as load:
            wait_until(lambda: load.sent > 100, "some requests")
            with broken.get(fault, lambda: jammed(file))():
                began = time.monotonic()
                wait_until(lambda: stack.count_links("hq") == 2, "its links are out of use", 20)
                gone = time.monotonic()
                before = load.sent
                wait_until(lambda: load.sent > before + 100, "some requests more")
                healed = time.monotonic()
            wait_until(lambda: stack.count_links("hq") == 4, "all links again", BACK_SECONDS + 20)

    failed = load.failed()
    with capsys.disabled():
        sys.stdout.write(f"\n{fault}: out of use after {gone - began:.1f} s; {load.summary()}\n")
    assert gone - began <= OUT_OF_USE_SECONDS
    assert {(each.method, each.saw) for each in failed} <= {("POST", LOST)}
    assert len(failed) < 50, "new requests went to links that gave no answers"
    assert not [each for each in failed if gone < each.sent_at < healed]
    load.check_arrivals(jira)
    if fault == "jammed":
        assert stack.gateway.output().count("link_wedged") >= 2


def test_time_in_which_the_gateway_stood_still_costs_nobody_a_link(stack, jira):
    stack.enroll("hq", **SERVICE).start_and_wait()
    token = stack.connect("hq")
    with SteadyLoad(stack.api_port, token, per_second=10) as load:
        wait_until(lambda: load.sent > 20, "some requests")
        with stopped(stack.gateway):
            time.sleep(12)  # longer than a canary's patience, shorter than a link's
        before = load.sent
        wait_until(lambda: load.sent > before + 150, "the late ones and new ones", 30)

    assert load.failed() == []
    assert "link_wedged" not in stack.gateway.output()
    assert stack.gateway.output().count("link_down") == 0
    load.check_arrivals(jira)


def test_a_gateway_that_stood_still_for_long_is_back_by_itself(stack, jira):
    stack.enroll("hq", **SERVICE).start_and_wait()
    token = stack.connect("hq")
    with SteadyLoad(stack.api_port, token, per_second=5) as load:
        wait_until(lambda: load.sent > 10, "some requests")
        with stopped(stack.gateway):
            time.sleep(20)
        healed = time.monotonic()
        wait_until(
            lambda: any(each.is_fine and each.sent_at > healed for each in load.outcomes), "service", BACK_SECONDS
        )
        before = load.sent
        wait_until(lambda: load.sent > before + 30, "some requests more", 30)

    assert [each for each in load.outcomes if each.sent_at > healed + BACK_SECONDS and not each.is_fine] == []
    load.check_arrivals(jira)


def test_a_jira_that_stood_still_costs_nothing_but_time(stack, jira):
    stack.enroll("hq", **SERVICE).start_and_wait()
    token = stack.connect("hq")
    with SteadyLoad(stack.api_port, token, per_second=10) as load:
        wait_until(lambda: load.sent > 20, "some requests")
        os.kill(jira.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(jira.pid, signal.SIGCONT)
        before = load.sent
        wait_until(lambda: load.sent > before + 60, "the late ones and new ones", 30)

    assert load.failed() == []
    load.check_arrivals(jira)
