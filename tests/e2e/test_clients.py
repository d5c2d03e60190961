"""Unchanged Jira clients: only base URL and credentials differ from talking to Jira itself.

The PyPI client `jira` and `curl` do the work of an integration against every on-premise version, with and without
a context path, by path and by host address, with Basic and bearer.
"""

import hashlib
import json
import shutil
import socket
import subprocess
from dataclasses import dataclass
from io import BytesIO

import pytest
from jira import JIRA
from jira.exceptions import JIRAError

from tests.e2e.conftest import SERVICE
from tests.support.fake_jira import ON_PREMISE, JiraProcess, pattern_bytes
from tests.support.stack import Stack

pytestmark = pytest.mark.slow

DATA = pattern_bytes(300_000, start=11)
NAME = "Prüfbericht №3 (final).bin"


@dataclass
class Place:
    """One Jira behind its own agent, as callers address it."""

    jira: JiraProcess
    stack: Stack
    name: str
    token: str
    context: str

    @property
    def by_path(self):
        return f"{self.stack.url}/jira/{self.name}"

    @property
    def by_host(self):
        return f"http://{self.name}.localhost:{self.stack.api_port}{self.context}"


@pytest.fixture(scope="module", params=["", "/jira"], ids=["root", "context"])
def context(request):
    return request.param


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, context):
    settings = {"JIRA_GATEWAY_CONNECTION_DOMAIN": "localhost"}
    with Stack(tmp_path_factory.mktemp("clients"), "", settings=settings) as stack:
        yield stack.start_gateway()


@pytest.fixture(scope="module", params=ON_PREMISE)
def place(request, gateway, context):
    name = f"v{request.param.replace('.', '-')}"
    with JiraProcess(request.param, context=context) as jira:
        agent = gateway.enroll(name, JIRA_AGENT_JIRA_URL=jira.url, **SERVICE).start_and_wait()
        yield Place(jira, gateway, name, gateway.connect(name), context)
        agent.stop()
        gateway.agents.remove(agent)
        assert jira.info()["crashes"] == []


@pytest.fixture(autouse=True)
def localhost_names(monkeypatch):
    """Resolve *.localhost to loopback as browsers and curl do; not every libc does."""
    resolve = socket.getaddrinfo

    def patched(host, *arguments, **options):
        is_local = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if is_local else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", patched)


def client_of(place, address, login, token=None):
    token = token or place.token
    credentials = {"basic_auth": ("svc.bridge", token)} if login == "basic" else {"token_auth": token}
    return JIRA(getattr(place, address), **credentials, max_retries=0, timeout=20)


@pytest.mark.parametrize(("address", "login"), [("by_path", "basic"), ("by_host", "bearer")])
def test_the_python_client_does_a_days_work(place, address, login):
    client = client_of(place, address, login)
    base = getattr(place, address)
    assert client.server_info()["baseUrl"] == base
    assert client.myself()["name"] == "svc.bridge"

    issue = client.create_issue(project="OPS", summary="Büro: valve leaks", issuetype={"name": "Task"})
    assert issue.self.startswith(f"{base}/rest/api/2/issue/")
    client.add_comment(issue, f"See {place.jira.base_url}/browse/OPS-1 — as before")
    comment = client.comments(issue)[0]
    assert comment.body == f"See {place.jira.base_url}/browse/OPS-1 — as before"  # people's text is never rewritten
    assert comment.self.startswith(base)

    found = client.search_issues('project = OPS AND summary ~ "valve" ORDER BY key DESC', maxResults=5)
    assert issue.key in [each.key for each in found]
    transition = client.transitions(issue)[0]
    client.transition_issue(issue, transition["id"])
    client.assign_issue(issue, "svc.bridge")
    fresh = client.issue(issue.key)
    assert fresh.fields.assignee.name == "svc.bridge"
    assert fresh.fields.status.name != issue.fields.status.name

    client.add_attachment(issue, BytesIO(DATA), filename=NAME)
    [attachment] = client.issue(issue.key).fields.attachment
    assert attachment.filename == NAME
    assert attachment.content.startswith(f"{base}/secure/attachment/")
    assert hashlib.sha256(attachment.get()).digest() == hashlib.sha256(DATA).digest()

    client.delete_attachment(attachment.id)
    assert client.issue(issue.key).fields.attachment == []
    issue.delete()
    with pytest.raises(JIRAError) as gone:
        client.issue(issue.key)
    assert gone.value.status_code == 404
    assert "Tunnel-Error" not in gone.value.response.headers  # Jira's own answer


def test_the_python_client_sees_our_refusal_as_a_clear_error(place):
    with pytest.raises(JIRAError) as refused:
        client_of(place, "by_path", "basic", token="jtg_wrong").myself()

    assert refused.value.status_code == 401
    assert refused.value.response.headers["Tunnel-Error"] == "unauthenticated"
    assert "gateway token" in refused.value.text


def curl(*arguments, token=None, login="bearer"):
    """Run curl; the login goes through a configuration on standard input, never on the command line."""
    line = f'header = "Authorization: Bearer {token}"' if login == "bearer" else f'user = "svc.bridge:{token}"'
    command = ["curl", "-sS", "--fail-with-body", "-K", "-", *arguments]
    done = subprocess.run(command, input=line.encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode(errors="replace")
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("address", "login"), [("by_path", "bearer"), ("by_host", "basic")])
def test_curl_does_a_days_work(place, address, login, tmp_path):
    base = getattr(place, address)
    local = ["--resolve", f"{place.name}.localhost:{place.stack.api_port}:127.0.0.1"]
    as_json = [*local, "-H", "Content-Type: application/json"]
    who = {"token": place.token, "login": login}

    fields = {"fields": {"project": {"key": "OPS"}, "summary": "from curl", "issuetype": {"name": "Task"}}}
    issue = json.loads(curl(*as_json, "-d", json.dumps(fields), f"{base}/rest/api/2/issue", **who))
    assert issue["self"].startswith(base)
    comment = json.loads(curl(*as_json, "-d", '{"body":"hello"}', f"{issue['self']}/comment", **who))
    assert comment["body"] == "hello"
    query = ["-G", "--data-urlencode", 'jql=project = OPS AND text ~ "from curl" ORDER BY created DESC']
    found = json.loads(curl(*local, *query, f"{base}/rest/api/2/search", **who))
    assert issue["key"] in [each["key"] for each in found["issues"]]
    transitions = json.loads(curl(*local, f"{issue['self']}/transitions", **who))["transitions"]
    move = json.dumps({"transition": {"id": transitions[0]["id"]}})
    assert curl(*as_json, "-d", move, f"{issue['self']}/transitions", **who) == b""
    assert curl(*as_json, "-X", "PUT", "-d", '{"name":"svc.bridge"}', f"{issue['self']}/assignee", **who) == b""

    file = tmp_path / "report.bin"
    file.write_bytes(DATA)
    upload = [*local, "-H", "X-Atlassian-Token: no-check", "-F", f"file=@{file}", f"{issue['self']}/attachments"]
    [attachment] = json.loads(curl(*upload, **who))
    assert attachment["content"].startswith(f"{base}/secure/attachment/")
    assert curl(*local, attachment["content"], **who) == DATA
    assert curl(*local, "-r", "0-9", attachment["content"], **who)[:10] == DATA[:10]
    assert curl(*local, "-X", "DELETE", f"{base}/rest/api/2/attachment/{attachment['id']}", **who) == b""
    assert b"HTTP/1.1 200" in curl(*local, "-I", f"{base}/rest/api/2/serverInfo", **who)


def test_jira_sees_its_own_credentials_and_none_of_the_callers(place):
    client_of(place, "by_path", "basic").myself()

    requests = place.jira.requests("/rest/api/2/myself")
    assert requests
    for seen in requests:
        assert place.token not in seen["raw_head"]
        assert seen["user"] == "svc.bridge"
        assert "python-requests" not in seen["raw_head"]
