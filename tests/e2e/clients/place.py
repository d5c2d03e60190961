"""Where clients are sent: one Jira of each version behind its own agent, and Cloud directly, all at one gateway."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.conftest import SERVICE
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack, wait_until

CLOUD = "cloud"
CONTEXTS = {"7.13": "", "8.20": "/jira", "9.12": "/tracker", "10.3": "/jira", CLOUD: ""}
"""The context path of each version's Jira."""
CLOUD_URL = "https://corpexample.atlassian.net"
ISSUES = 302  # OPS-13 is not visible to the account, and the summary of OPS-42 differs: the search finds 300
GATEWAY_SETTINGS = {"JIRA_GATEWAY_CONNECTION_DOMAIN": "localhost", "JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.0/8"}


@dataclass
class Place:
    """One Jira and its connection."""

    version: str
    jira: JiraProcess
    stack: Stack
    name: str
    token: str

    @property
    def is_cloud(self) -> bool:
        """Whether the gateway reaches it directly, and people are account ids."""
        return self.version == CLOUD

    def url(self, address: str) -> str:
        """The base URL for a client: by `path` or by `host`."""
        if address == "path":
            return f"{self.stack.url}/jira/{self.name}"
        return f"http://{self.name}.localhost:{self.stack.api_port}{CONTEXTS[self.version]}"

    def account(self, name: str, number: int) -> str:
        """How this Jira names an account."""
        return f"5f00aa11bb22cc33dd4{number:05d}" if self.is_cloud else name

    def knows_its_links(self) -> bool:
        """Whether the gateway has learned how this Jira calls itself."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url('path')}/rest/api/2/serverInfo", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(json.load(answer)["baseUrl"] == self.url("path"))


@contextmanager
def a_place(stack: Stack, version: str) -> Iterator[Place]:
    """A Jira of this version, whose own address is not the one that it is reached at, and a connection to it."""
    context = CONTEXTS[version]
    own_address = CLOUD_URL if version == CLOUD else f"https://jira.corp.example{context}"
    with JiraProcess(version, context=context, base_url=own_address, issues=ISSUES) as jira:
        name = version if version == CLOUD else f"v{version.replace('.', '-')}"
        token = (_connect_directly if version == CLOUD else _connect_by_agent)(stack, name, jira)
        place = Place(version, jira, stack, name, token)
        wait_until(place.knows_its_links, "the gateway knows Jira's own address")
        yield place
        assert jira.info()["crashes"] == []
        while stack.agents:
            stack.agents.pop().stop()


def _connect_directly(stack: Stack, name: str, jira: JiraProcess) -> str:
    login = ["--credentials", "gateway", "--username", "svc.bridge@corp.example", "--secret-file", "-"]
    api_token = "pat-10412-of-svc.bridge"
    stack.must("connections", "add", name, "--via", "direct", "--base-url", jira.url, *login, stdin=api_token)
    return stack.token(f"token-{name}", name)


def _connect_by_agent(stack: Stack, name: str, jira: JiraProcess) -> str:
    stack.enroll(name, JIRA_AGENT_JIRA_URL=jira.url, **SERVICE).start_and_wait()
    return stack.connect(name)
