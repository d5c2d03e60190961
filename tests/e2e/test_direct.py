"""Direct connections through a real gateway process: Cloud, a Jira with a known address, and changes while it runs."""

import hashlib
import json
import signal
import threading
from io import BytesIO

import pytest
import requests
from jira import JIRA

from tests.e2e.conftest import SERVICE
from tests.support.callers import ask, bearer
from tests.support.fake_jira import JiraProcess, Slow, pattern_bytes
from tests.support.stack import Stack, page, wait_until

LOCAL = {"JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.0/8"}
DATA = pattern_bytes(300_000, start=3)
EMAIL, API_TOKEN = "svc.bridge@corp.example", "pat-10412-of-svc.bridge"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("direct"), "", settings=LOCAL) as stack:
        yield stack.start_gateway()


@pytest.fixture
def connect(gateway, tmp_path):
    """Add a direct connection with stored credentials; return its base URL and a token."""

    def add(name, jira, username="svc.bridge", secret=SERVICE["JIRA_AGENT_JIRA_PASSWORD"]):
        path = tmp_path / f"secret-{name}"
        path.write_text(secret)
        flags = ("--base-url", jira.url, "--username", username, "--secret-file", str(path))
        token = gateway.connect(name, credentials="gateway", via="direct", flags=flags)
        return f"{gateway.url}/jira/{name}", token

    return add


def test_an_unchanged_client_works_with_a_jira_that_is_reached_directly(connect):
    with JiraProcess("9.12", context="/jira", base_url="https://jira.corp.example/jira") as jira:
        url, token = connect("onprem", jira)
        client = JIRA(server=url, token_auth=token, max_retries=0, timeout=20)
        issue = client.create_issue(project="OPS", summary="Direct", issuetype={"name": "Task"})
        client.add_comment(issue, "over one address")
        attachment = client.add_attachment(issue, BytesIO(DATA), filename="direct.bin")
        content = client.attachment(attachment.id).content
        assert content.startswith(url + "/secure/attachment/")
        assert client.attachment(attachment.id).get() == DATA
        assert issue.key in {found.key for found in client.search_issues(f"key = {issue.key}")}
        assert jira.info()["crashes"] == []


def test_a_cloud_attachment_is_fetched_from_the_media_host_without_our_token_or_jiras_login(connect):
    with JiraProcess("cloud") as jira:
        url, token = connect("cloud", jira, EMAIL, API_TOKEN)
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        upload = session.post(
            f"{url}/rest/api/3/issue/OPS-1/attachments",
            files={"file": ("cloud.bin", DATA)},
            headers={"X-Atlassian-Token": "no-check"},
            timeout=20,
        )
        assert upload.status_code == 200, upload.text
        [made] = upload.json()
        jira.call("clear")
        answer = session.get(f"{url}/rest/api/3/attachment/content/{made['id']}", timeout=20)

        assert hashlib.sha256(answer.content).digest() == hashlib.sha256(DATA).digest()
        assert [step.status_code for step in answer.history] == [303]
        media = json.dumps(jira.requests("/media/"))
        assert answer.url.startswith(f"http://localhost:{jira.port}/media/")
        assert "uthorization" not in media
        assert token not in json.dumps(jira.requests())


def test_a_changed_address_is_in_force_within_a_second(gateway, connect):
    with JiraProcess("9.12") as old, JiraProcess("9.12") as new:
        url, token = connect("moving", old)
        assert ask(url, "GET", "/rest/api/2/myself", None, [bearer(token)]).status == 200
        old.call("clear")
        gateway.must("connections", "update", "moving", "--base-url", new.url)

        def moved():
            return ask(url, "GET", "/rest/api/2/myself", None, [bearer(token)]).status == 200 and new.requests(
                "/rest/api/2/myself"
            )

        wait_until(moved, "requests go to the new address", 1.5)


def test_an_address_that_is_not_allowed_is_warned_of_and_refused(gateway):
    done = gateway.command(
        *("connections", "add", "inward", "--via", "direct", "--credentials", "caller"),
        *("--base-url", "http://169.254.169.254"),
    )
    assert done.returncode == 0
    assert "Warning: 169.254.169.254: its address is not public (link-local or cloud metadata" in done.stderr
    token = gateway.token("inward", "inward")
    answer = ask(
        f"{gateway.url}/jira/inward", "GET", "/rest/api/2/myself", None, [("Tunnel-Authorization", f"Bearer {token}")]
    )
    assert answer.status == 502
    assert json.loads(answer.body)["tunnel"] | {"request_id": ""} == {
        "error": "jira_unreachable",
        "source": "gateway",
        "processed": "no",
        "request_id": "",
    }


def test_a_stop_lets_a_direct_request_finish(tmp_path):
    with JiraProcess("9.12") as jira, Stack(tmp_path, "", settings=LOCAL) as stack:
        stack.start_gateway()
        token = stack.connect("hq", credentials="caller", via="direct", flags=("--base-url", jira.url))
        jira.misbehave("/rest/api/2/serverInfo", Slow(1.0))
        jira.call("clear")
        answers = []

        def slow():
            headers = [("Tunnel-Authorization", f"Bearer {token}")]
            answers.append(ask(f"{stack.url}/jira/hq", "GET", "/rest/api/2/serverInfo?x=1", None, headers).status)

        caller = threading.Thread(target=slow)
        caller.start()
        jira.wait_for(lambda jira: jira.requests(marker="x=1"))
        assert stack.gateway.stop(signal.SIGTERM) == 0
        caller.join(10)
        assert answers == [200]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"JIRA_GATEWAY_EGRESS_IP": "203.0.113.9"}, "JIRA_GATEWAY_EGRESS_IP: 203.0.113.9 cannot be bound"),
        ({"JIRA_GATEWAY_EGRESS_IP": "127.0.0.1,127.0.0.2"}, "JIRA_GATEWAY_EGRESS_IP: names two IPv4 addresses"),
        ({"JIRA_GATEWAY_CA_FILE": "/dev/null"}, "JIRA_GATEWAY_CA_FILE: /dev/null holds no certificates"),
        ({"JIRA_GATEWAY_EGRESS_CHECK_URL": "ftp://x"}, "JIRA_GATEWAY_EGRESS_CHECK_URL: is no http(s) URL"),
    ],
)
def test_a_wrong_way_out_is_one_line_and_status_78(tmp_path, settings, line):
    with Stack(tmp_path, "", settings=settings) as stack:
        done = stack.command("run")
    assert done.returncode == 78
    assert done.stderr.splitlines()[-1].startswith(f"jira-gateway: {line}")


def test_the_status_page_says_from_where_we_dial(tmp_path):
    with Stack(tmp_path, "", settings={"JIRA_GATEWAY_EGRESS_IP": "127.0.0.1"}) as stack:
        stack.start_gateway()
        status = json.loads(page(stack.admin_port, "/status")[1])
    assert status["egress"]["source"] == {"ipv4": "127.0.0.1"}
