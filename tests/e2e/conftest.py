"""What the end-to-end tests share: one installation of real processes for tests that leave it as they found it."""

from dataclasses import dataclass

import pytest

from tests.support.callers import Caller, Reply, ask, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Agent, Stack

SERVICE = {"JIRA_AGENT_JIRA_USERNAME": "svc.bridge", "JIRA_AGENT_JIRA_PASSWORD": "password-of-svc.bridge"}


@dataclass
class Site:
    """A Jira, a gateway, one agent and a token: the usual installation."""

    jira: JiraProcess
    stack: Stack
    agent: Agent
    token: str

    @property
    def url(self) -> str:
        """The connection's base URL for callers."""
        return f"{self.stack.url}/jira/hq"

    def caller(self, **options) -> Caller:
        """A caller with the token and a socket of its own."""
        return Caller(self.url, [bearer(self.token)], **options)

    def ask(self, method, target, body=None, headers=(), **options) -> Reply:
        """One request with the token."""
        return ask(self.url, method, target, body, [bearer(self.token), *headers], **options)

    def arrived(self, marker) -> list[dict]:
        """The requests that Jira got with this text in head or body, whatever became of them."""
        return self.jira.requests(marker=marker)

    def all_run(self) -> bool:
        """Whether both programs still run."""
        return self.stack.gateway.is_running and self.agent.is_running


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The installation that tests share; a test that breaks something makes its own with `make_site`."""
    with (
        JiraProcess("9.12", context="/jira") as jira,
        Stack(
            tmp_path_factory.mktemp("site"), jira.url, settings={"JIRA_GATEWAY_CONNECTION_DOMAIN": "localhost"}
        ) as stack,
    ):
        stack.start_gateway()
        agent = stack.enroll("hq", **SERVICE).start_and_wait()
        yield Site(jira, stack, agent, stack.connect("hq"))


@pytest.fixture
def fresh(site):
    """The shared installation with nothing recorded at Jira and no faults, before and after."""
    for command in ("behave", "clear"):
        site.jira.call(command)
    yield site
    site.jira.call("behave")
    assert site.jira.info()["crashes"] == []
