"""Ten thousand requests while two agents are restarted in turn, and a gateway that is restarted under load.

Minutes long, so not part of `make test`: run by `make soak`. Real processes, on loopback only.
"""

import signal
import sys
import time

import pytest

from tests.support.fake_jira import JiraProcess
from tests.support.fleet import Fleet
from tests.support.held_sockets import HeldGateway
from tests.support.stack import Stack, wait_until
from tests.support.steady_load import REFUSED, SteadyLoad

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REQUESTS = 10_000
PER_SECOND = 50.0
BACK_SECONDS = 15.0
LONGEST_SECONDS = 5.0
FLEET = 100
SERVICE = {"JIRA_AGENT_JIRA_USERNAME": "svc.bridge", "JIRA_AGENT_JIRA_PASSWORD": "password-of-svc.bridge"}


@pytest.fixture
def jira():
    with JiraProcess("9.12", context="/jira") as jira:
        yield jira
        assert jira.info()["crashes"] == []


@pytest.fixture
def stack(tmp_path, jira):
    with Stack(tmp_path / "stack", jira.url) as stack:
        yield stack.start_gateway()


@pytest.fixture
def tell(capsys):
    """Print what was measured, whatever becomes of the test."""

    def tell(load, what):
        longest = max(each.seconds for each in load.outcomes)
        with capsys.disabled():
            sys.stdout.write(f"\n{what}: {load.sent} requests, longest {longest:.2f} s, {load.summary()}\n")

    return tell


def test_ten_thousand_requests_while_two_agents_are_restarted_in_turn(stack, jira, tell):
    agents = [stack.enroll("hq", **SERVICE) for _ in range(2)]
    for agent in agents:
        agent.start_and_wait()
    token = stack.connect("hq")
    restarts = 0
    with SteadyLoad(stack.api_port, token, per_second=PER_SECOND) as load:
        while load.sent < REQUESTS:
            agent = agents[restarts % 2]
            assert agent.stop() == 0
            agent.start_and_wait()
            wait_until(lambda: stack.count_links("hq") >= 4, "all links", BACK_SECONDS)
            restarts += 1

    tell(load, f"{restarts} restarts of agents")
    assert restarts >= 10
    assert load.failed() == []
    load.check_arrivals(jira)


# The gateway


NOT_NOW = {(503, "draining", "no"), (503, "agent_offline", "no")}


def check_refusals(load, allowed):
    """Nobody waited for long, and whoever was refused was told so, and when to come back."""
    for each in load.outcomes:
        assert each.is_fine or each.saw in allowed, each
        assert each.has_retry_after == (each.saw in NOT_NOW), each
        assert each.seconds < LONGEST_SECONDS, each


def test_a_gateway_is_restarted_without_a_socket_that_outlives_it(stack, jira, tell):
    stack.enroll("hq", **SERVICE).start_and_wait()
    token = stack.connect("hq")
    with SteadyLoad(stack.api_port, token, per_second=PER_SECOND) as load:
        for _ in range(5):
            before = load.sent
            wait_until(lambda before=before: load.sent > before + 100, "some requests")
            assert stack.gateway.stop() == 0
            stack.start_gateway()
            wait_until(lambda: stack.count_links("hq"), "the agent is back", BACK_SECONDS)

    tell(load, "5 restarts of the gateway")
    check_refusals(load, NOT_NOW | {REFUSED})
    assert {each.saw for each in load.outcomes} & NOT_NOW
    load.check_arrivals(jira)


def test_a_gateway_is_restarted_while_the_kernel_holds_its_callers(tmp_path, jira, tell):
    with Stack(tmp_path / "held", jira.url) as stack:
        held = stack.gateway = HeldGateway(stack)
        try:
            stack.start_gateway()
            stack.enroll("hq", **SERVICE).start_and_wait()
            token = stack.connect("hq")
            with SteadyLoad(stack.api_port, token, per_second=PER_SECOND) as load:
                for _ in range(5):
                    before = load.sent
                    wait_until(lambda before=before: load.sent > before + 100, "some requests")
                    assert held.stop() == 0
                    stack.start_gateway()
                    wait_until(lambda: stack.count_links("hq"), "the agent is back", BACK_SECONDS)
        finally:
            held.stop()
            held.close()

    tell(load, "5 restarts of the gateway behind held sockets")
    check_refusals(load, NOT_NOW)
    load.check_arrivals(jira)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_hundred_agents_are_back_within_fifteen_seconds(stack, tmp_path, number, capsys):
    stack.must("agents", "invite", "hq")
    with Fleet(tmp_path / "fleet", stack, FLEET) as fleet:
        wait_until(lambda: fleet.up == FLEET, "all of them", 60)
        stack.gateway.stop(number)
        wait_until(lambda: fleet.up == 0, "none of them")
        stack.start_gateway()
        began = time.monotonic()
        wait_until(lambda: fleet.up == FLEET, "all are back", BACK_SECONDS)

        with capsys.disabled():
            sys.stdout.write(f"\n{FLEET} agents were back {time.monotonic() - began:.1f} s after the listener\n")
