"""Two agents of one name are restarted and reloaded in turn under load, for a few seconds; `make soak` does it for minutes."""

import signal

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import ask, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack, wait_until
from tests.support.steady_load import SteadyLoad

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WRITES = '[[allow]]\nid = "all"\nmethods = ["GET", "POST", "DELETE"]\npath = "/rest/api/2/test/**"\n'
NO_DELETE = WRITES.replace(', "DELETE"', "")


@pytest.fixture
def policy(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(WRITES)
    return file


def test_no_request_fails_while_two_agents_are_restarted_and_reloaded_in_turn(tmp_path, policy):
    with JiraProcess("9.12", context="/jira") as jira, Stack(tmp_path / "stack", jira.url) as stack:
        stack.start_gateway()
        agents = [stack.enroll("hq", **SERVICE, JIRA_AGENT_POLICY_FILE=str(policy)) for _ in range(2)]
        for agent in agents:
            del agent.settings["JIRA_AGENT_POLICY_PROFILE"]
            agent.start_and_wait()
        token = stack.connect("hq")

        def deletes():
            url, target = f"{stack.url}/jira/hq", "/rest/api/2/test/echo"
            seen = [ask(url, "DELETE", target, None, [bearer(token)]) for _ in range(4)]
            return {reply.error or str(reply.status) for reply in seen}

        with SteadyLoad(stack.api_port, token) as load:
            for agent in agents:
                assert agent.stop() == 0
                agent.start_and_wait()
                wait_until(lambda: stack.count_links("hq") >= 4, "all links")
            assert deletes() == {"200"}
            for text in (NO_DELETE, "[[allow]"):  # a file that is wrong changes nothing
                policy.write_text(text)
                for agent in agents:
                    count = agent.output().count("agent_reload")
                    agent.send(signal.SIGHUP)
                    wait_until(lambda agent=agent, count=count: agent.output().count("agent_reload") > count, "news")
                assert deletes() == {"policy_denied"}

        assert load.sent > 50
        assert load.failed() == []
        load.check_arrivals(jira)
