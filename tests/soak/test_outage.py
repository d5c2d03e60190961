"""A thousand agents whose gateway is away for a minute: how soon they are back, how many come at once, who is served."""

import signal
import sys
import time
from itertools import pairwise

import pytest

from tests.soak.test_wedged import SERVICE
from tests.support.callers import ask, bearer
from tests.support.crowd import Crowd
from tests.support.fake_jira import JiraProcess
from tests.support.metrics_page import samples
from tests.support.stack import Stack, page, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

AGENTS = 1000
AWAY_SECONDS = 60.0
BACK_SECONDS = 75.0
OPENS_PER_SECOND = 100
FIRST_SECONDS = 20.0
SLOWEST = 2.0


def _opened(stack):
    found = samples(page(stack.admin_port, "/metrics")[1].decode())
    return sum(value for name, value in found.items() if name.startswith("jira_gateway_links_opened_total"))


def _served(stack, token):
    try:
        return ask(f"{stack.url}/jira/hq", "GET", "/rest/api/2/serverInfo", None, [bearer(token)], timeout=10)
    except OSError:
        return None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_thousand_agents_are_back_75_seconds_after_a_minute_without_their_gateway(tmp_path, capsys, number):
    with JiraProcess("9.12", context="/jira") as jira, Stack(tmp_path / "stack", jira.url, log_level="error") as stack:
        stack.start_gateway()
        stack.enroll("hq", **SERVICE).start_and_wait()
        token = stack.connect("hq")
        with Crowd(tmp_path / "crowd", stack, AGENTS) as crowd:
            crowd.wait()
            stack.gateway.stop(number)
            wait_until(lambda: crowd.up == 0, "nobody has a link", 20)
            time.sleep(AWAY_SECONDS)
            stack.start_gateway()
            began = time.monotonic()
            opens, replies = [(began, began, 0.0)], []  # when a count was asked for, when it was there, and the count
            while crowd.up < AGENTS and time.monotonic() - began < BACK_SECONDS + 15:
                replies.append((time.monotonic() - began, _served(stack, token)))
                asked = time.monotonic()
                if asked - opens[-1][1] >= 1.0:
                    opened = _opened(stack)
                    opens.append((asked, time.monotonic(), opened))
                time.sleep(0.05)
            back, there = time.monotonic() - began, crowd.up
    # An answer may take a tenth of a second: between two counts there were at most so many seconds.
    rates = [(after[2] - before[2]) / (after[1] - before[0]) for before, after in pairwise(opens)]
    fine = [at for at, reply in replies if reply is not None and reply.status == 200]
    late = [reply for at, reply in replies if fine and at > fine[0]]
    slowest = max(reply.seconds for reply in late if reply is not None)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{number.name}: {there} of {AGENTS} agents back after {back:.1f} s, at most {max(rates):.0f} opened in a second; "
            f"first answer after {fine[0]:.1f} s, then {len(late)} requests, the slowest {slowest:.2f} s\n"
        )
    assert there == AGENTS
    assert back <= BACK_SECONDS
    assert max(rates) <= OPENS_PER_SECOND
    assert fine[0] <= FIRST_SECONDS
    assert all(reply is not None and reply.status == 200 for reply in late)
    assert slowest <= SLOWEST
