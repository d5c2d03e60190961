"""Two agents of one name are restarted in turn under load, for a few seconds; `make soak` does it for minutes."""

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack, wait_until
from tests.support.steady_load import SteadyLoad

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_no_request_fails_while_two_agents_are_restarted_in_turn(tmp_path):
    with JiraProcess("9.12", context="/jira") as jira, Stack(tmp_path / "stack", jira.url) as stack:
        stack.start_gateway()
        agents = [stack.enroll("hq", **SERVICE) for _ in range(2)]
        for agent in agents:
            agent.start_and_wait()
        token = stack.connect("hq")
        with SteadyLoad(stack.api_port, token) as load:
            for agent in agents:
                assert agent.stop() == 0
                agent.start_and_wait()
                wait_until(lambda: stack.count_links("hq") >= 4, "all links")

        assert load.sent > 50
        assert load.failed() == []
        load.check_arrivals(jira)
