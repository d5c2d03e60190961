"""Unchanged clients do everything an integration does: only base URL and credentials differ.

Five clients, four versions of Jira behind agents and Jira Cloud directly, each by path and by host address. What a
client is told is docs/clients.md; what it does is clients/errand.py and the module or script named after it.
"""

import dataclasses
import hashlib
import json
import shutil
import socket
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.clients import atlassian_api, curl, pycontribs
from tests.e2e.clients.errand import EDITED, FOUND, NEIGHBOUR, REMARK, Errand, Report
from tests.e2e.conftest import SERVICE
from tests.support.fake_jira import JiraProcess, pattern_bytes
from tests.support.npm import require_packages, run_script
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "clients"
DATA = pattern_bytes(300_000, start=11)
CLOUD = "cloud"
CONTEXTS = {"7.13": "", "8.20": "/jira", "9.12": "/tracker", "10.3": "/jira", CLOUD: ""}
CLOUD_URL = "https://corpexample.atlassian.net"
ISSUES = 302  # OPS-13 is not visible to the account, and the summary of OPS-42 differs: the search finds 300


def node(script: str) -> Callable[[Errand], Report]:
    """A client that is a node script."""

    def run(errand: Errand) -> Report:
        require_packages(SCRIPTS)
        return run_script(SCRIPTS / script, dataclasses.asdict(errand), preload=SCRIPTS / "localhost_names.cjs")

    return run


CLIENTS: dict[str, Callable[[Errand], Report]] = {
    "atlassian-python-api": atlassian_api.run,
    "jira": pycontribs.run,
    "curl": curl.run,
    "jira.js": node("jira_js.mjs"),
    "jira-client": node("jira_client.mjs"),
}
NOT_OFFERED = {("jira-client", CLOUD): {"found"}}
"""What a client cannot do on this Jira, gateway or not (docs/clients.md)."""


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
        return self.version == CLOUD

    def url(self, address: str) -> str:
        """The base URL for a client."""
        if address == "path":
            return f"{self.stack.url}/jira/{self.name}"
        return f"http://{self.name}.localhost:{self.stack.api_port}{CONTEXTS[self.version]}"

    def knows_its_links(self) -> bool:
        """Whether the gateway has learned how this Jira calls itself."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url('path')}/rest/api/2/serverInfo", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)["baseUrl"] == self.url("path")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    settings = {"JIRA_GATEWAY_CONNECTION_DOMAIN": "localhost", "JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.0/8"}
    with Stack(tmp_path_factory.mktemp("clients"), "", settings=settings) as stack:
        yield stack.start_gateway()


@pytest.fixture(scope="module", params=CONTEXTS)
def place(request, gateway):
    version, context = request.param, CONTEXTS[request.param]
    own_address = CLOUD_URL if version == CLOUD else f"https://jira.corp.example{context}"
    with JiraProcess(version, context=context, base_url=own_address, issues=ISSUES) as jira:
        name = "cloud" if version == CLOUD else f"v{version.replace('.', '-')}"
        token = (connect_directly if version == CLOUD else connect_by_agent)(gateway, name, jira)
        here = Place(version, jira, gateway, name, token)
        wait_until(here.knows_its_links, "the gateway knows Jira's own address")
        yield here
        assert jira.info()["crashes"] == []
        while gateway.agents:
            gateway.agents.pop().stop()


def connect_directly(gateway, name, jira):
    login = ["--credentials", "gateway", "--username", "svc.bridge@corp.example", "--secret-file", "-"]
    gateway.must(
        "connections", "add", name, "--via", "direct", "--base-url", jira.url, *login, stdin="pat-10412-of-svc.bridge"
    )
    return gateway.token(f"token-{name}", name)


def connect_by_agent(gateway, name, jira):
    gateway.enroll(name, JIRA_AGENT_JIRA_URL=jira.url, **SERVICE).start_and_wait()
    return gateway.connect(name)


@pytest.fixture(autouse=True)
def localhost_names(monkeypatch):
    """Resolve *.localhost to loopback as browsers and curl do; not every libc does."""
    resolve = socket.getaddrinfo

    def patched(host, *arguments, **options):
        is_local = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if is_local else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", patched)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "Prüfbericht №3 (final).bin"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize(("address", "login"), [("path", "basic"), ("host", "bearer")])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_unchanged_client_does_everything(place, client, address, login, file):
    if client == "curl" and shutil.which("curl") is None:
        pytest.skip("needs curl")
    base = place.url(address)
    place.jira.call("clear")
    errand = Errand(
        url=base,
        token=place.token,
        login=login,
        is_cloud=place.is_cloud,
        me=account(place, "svc.bridge", 10412),
        assignee=account(place, "omar.haddad", 10208),
        assignee_name="omar.haddad",
        file=str(file),
    )
    report = CLIENTS[client](errand)

    assert report["me"] == errand.me
    assert report["projects"] == ["OPS"]
    assert report["self"].startswith(f"{base}/rest/api/2/issue/")
    assert (report["summary"], report["assignee"]) == (EDITED, errand.assignee)
    assert report["before"] != report["after"]
    assert report["comment"]["body"] == REMARK
    assert report["comment"]["self"].startswith(base)
    assert (report["linked"], report["watchers"]) == ([NEIGHBOUR], [errand.me])
    assert report["content"].startswith(
        f"{base}/rest/api/2/attachment/content/" if place.is_cloud else f"{base}/secure/"
    )
    assert report["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert (report["left"], report["gone"]) == (0, True)
    if "found" in NOT_OFFERED.get((client, place.version), ()):
        assert report["found"] is None
    else:
        assert len(set(report["found"])) == len(report["found"]) == FOUND
        assert sum("/search" in request["target"] for request in place.jira.requests()) >= 3
    check_what_jira_saw(place)


def account(place, name, number):
    """How this Jira names an account."""
    return f"5f00aa11bb22cc33dd4{number:05d}" if place.is_cloud else name


def check_what_jira_saw(place):
    """Its own login and never the gateway's token; and the host of Cloud's media no login at all."""
    requests = place.jira.requests()
    media = [request for request in requests if request["target"].startswith("/media/")]
    assert all(place.token not in request["raw_head"] for request in requests)
    assert all(request["user"] == "svc.bridge" for request in requests if request not in media)
    assert len(media) == (1 if place.is_cloud else 0)
    for request in media:
        names = {name.lower(): value for name, value in request["headers"]}
        assert "authorization" not in names
        assert names["host"] == f"localhost:{place.jira.port}"
