"""A healthy Jira never causes a 502: writes after pauses of any length, while Jira closes idle sockets after a second."""

import random
import threading
import time
from collections import Counter

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import Caller, all_at_once, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CALLERS = 40
# Seconds; most lie around the moments at which the agent's pool (0.5) or Jira (1.0) gives an idle socket up.
PAUSES = (
    0.0, 0.2, 0.44, 0.46, 0.48, 0.49, 0.5, 0.52, 0.6, 0.8, 0.92, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.04,
    1.1, 1.3, 1.7, 2.1, 2.5,
)  # fmt: skip
SPREAD = 0.03
TARGET = "/rest/api/2/test/sink"
TOGETHER = "/rest/api/2/test/sleep/0.1"  # long enough that every caller has a socket of its own towards Jira


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """An installation whose Jira closes a kept-alive socket after one second."""
    with (
        JiraProcess("9.12", idle_timeout=1.0) as jira,
        Stack(tmp_path_factory.mktemp("hasty"), jira.url) as stack,
    ):
        stack.start_gateway()
        stack.enroll("hq", **SERVICE).start_and_wait()
        yield jira, stack, stack.connect("hq")


def test_a_thousand_writes_after_pauses_never_meet_a_502_and_none_arrives_twice(hasty):
    jira, stack, token = hasty
    together = threading.Barrier(CALLERS, timeout=30)

    def work(number):
        outcomes = []
        dice = random.Random(number)
        with Caller(f"{stack.url}/jira/hq", [bearer(token)]) as caller:
            for turn, pause in enumerate(PAUSES):
                together.wait()
                time.sleep(pause + dice.uniform(0, SPREAD))  # the pause is what is tested
                reply = caller.ask("POST", TOGETHER, f"marker-{number}-{turn}.".encode())
                outcomes.append((reply.status, reply.error, reply.whole))
        return outcomes

    outcomes = Counter(each for some in all_at_once(work, range(CALLERS), CALLERS) for each in some)

    assert outcomes == {(200, "", True): CALLERS * len(PAUSES)}
    arrived = Counter(seen["body"] for seen in jira.requests(TOGETHER))
    assert len(arrived) == CALLERS * len(PAUSES) == 1000
    assert max(arrived.values()) == 1
    assert jira.info()["connections"] > 10 * CALLERS, "few sockets were ever idle for long: the test proves nothing"


def test_a_lone_write_after_every_critical_pause_succeeds(hasty):
    """One caller alone: its socket towards Jira is the one that just became idle."""
    _, stack, token = hasty

    with Caller(f"{stack.url}/jira/hq", [bearer(token)]) as caller:
        for pause in (0.4, 0.49, 0.5, 0.51, 0.9, 0.97, 0.99, 1.0, 1.003, 1.01, 1.03, 1.1, 1.3):
            time.sleep(pause)  # the pause is what is tested
            for method in ("POST", "GET"):
                reply = caller.ask(method, TARGET, b"lone" if method == "POST" else None)
                assert (reply.status, reply.whole) == (200, True), f"{method} after {pause} s: {reply}"
