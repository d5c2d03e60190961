"""`make demo` as its reader runs it: a process of its own, its exit status, and the lines that its account promises."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.fake_jira import JiraProcess, Status, make_certificate
from tests.support.stack import PROJECT

PASSWORD = "password-of-svc.bridge"
COMMAND = [sys.executable, "-m", "tests.support.demo"]
SECONDS = 90


@pytest.fixture
def scratch():
    """A folder with a short path: control sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="d-") as folder:
        yield Path(folder)


def environment(scratch: Path, **settings: str) -> dict[str, str]:
    """As bare as a new user's."""
    return {"PATH": os.environ["PATH"], "HOME": str(scratch), "TMPDIR": str(scratch), **settings}


def demo(scratch: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--once"],
        cwd=PROJECT,
        env=environment(scratch, **settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_it_does_the_main_job_against_the_stand_in(scratch):
    done = demo(scratch)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for line in (
        "Create an issue",
        "OPS-61: jira-tunnel demo",
        "Comment on it, and read the comment back",
        "Search until Jira has indexed it",
        "Start work: now In Progress",
        "5,242,880 bytes",
        "equal: SHA-256 ",
        "403 Forbidden, Tunnel-Error: policy_denied, Tunnel-Source: agent",
        "Jira's record of requests shows none of it",
        "curl -s -H 'Authorization: Bearer jtg_",
        "Everything came about",
    ):
        assert line in done.stdout
    assert "FAILED" not in done.stdout
    assert "\x1b" not in done.stdout, "plain text when it is no terminal"
    assert not list(scratch.glob("jira-demo-*")), "nothing is left behind"


def test_it_stays_up_until_ctrl_c_and_its_curl_line_works(scratch):
    process = subprocess.Popen(COMMAND, cwd=PROJECT, env=environment(scratch), stdout=subprocess.PIPE, text=True)
    try:
        seen = ""
        while "stays up until Ctrl-C" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        header, url = re.search(r"curl -s -H '([^']+)' '([^']+)'", seen).groups()
        answer = subprocess.run(
            ["curl", "-s", "-H", "@-", url], input=header, capture_output=True, text=True, check=True
        )
        assert '"key": "OPS-61"' in answer.stdout
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert "Stopping." in process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_only_reads_from_a_real_jira(scratch):
    tls = make_certificate(scratch)
    with JiraProcess("8.20", context="/tracker", tls=tls) as jira:
        settings = {"JIRA_URL": jira.url, "JIRA_CA_FILE": str(tls.ca)}
        done = demo(scratch, JIRA_USERNAME="svc.bridge", JIRA_PASSWORD=PASSWORD, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        requests = jira.requests()
    assert f"{jira.url} (read-only; JIRA_PROJECT would allow writes)" in done.stdout
    assert "Jira 8.20.11; we are Bridge Service (svc.bridge)" in done.stdout
    assert "Tunnel-Error: policy_denied" in done.stdout
    assert PASSWORD not in done.stdout
    assert {request["method"] for request in requests} == {"GET"}
    assert not [request for request in requests if "/rest/plugins" in request["target"]]


def test_it_writes_to_the_named_project_and_cleans_up(scratch):
    with JiraProcess("10.3") as jira:
        done = demo(scratch, JIRA_URL=jira.url, JIRA_TOKEN="pat-10412-of-svc.bridge", JIRA_PROJECT="OPS")
        assert done.returncode == 0, done.stdout + done.stderr
        writes = [(row["method"], row["target"]) for row in jira.requests() if row["method"] != "GET"]
    assert "equal: SHA-256 " in done.stdout
    assert re.search(r"Clean up: delete OPS-61 +ok", done.stdout)
    assert [method for method, _ in writes] == ["POST", "POST", "POST", "POST", "DELETE"]


@pytest.mark.parametrize(
    ("settings", "why", "do"),
    [
        ({"JIRA_PASSWORD": "wrong", "JIRA_USERNAME": "svc.bridge"}, "401", "and the login from this machine"),
        (
            {"JIRA_USERNAME": "readonly", "JIRA_PASSWORD": "password-of-readonly", "JIRA_PROJECT": "OPS"},
            "You do not have permission to create issues",
            "JIRA_PROJECT",
        ),
        ({}, "no login is", "set JIRA_USERNAME and JIRA_PASSWORD, or JIRA_TOKEN"),
        ({"JIRA_TOKEN": "x", "JIRA_URL": "jira.corp.local"}, "JIRA_URL is not an http(s) address", "like https://"),
        ({"JIRA_TOKEN": "x", "JIRA_URL": "http://127.0.0.1:1/jira"}, "cannot be reached", "check JIRA_URL"),
        ({"JIRA_TOKEN": "x", "JIRA_PROJECT": "ops"}, "not a project key", "in capitals"),
    ],
    ids=["wrong password", "no right", "no login", "no address", "nothing there", "no key"],
)
def test_a_step_that_fails_says_why_and_what_to_do(scratch, settings, why, do):
    with JiraProcess("9.12") as jira:
        done = demo(scratch, **{"JIRA_URL": jira.url, **settings})
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"why: .*{re.escape(why)}", done.stdout), done.stdout
    assert re.search(rf"do: .*{re.escape(do)}", done.stdout), done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_failure_after_the_issue_was_made_still_cleans_up(scratch):
    with JiraProcess("9.12") as jira:
        jira.misbehave("/rest/api/2/issue/OPS-61/attachments", Status(413))
        settings = {"JIRA_URL": jira.url, "JIRA_USERNAME": "svc.bridge", "JIRA_PASSWORD": PASSWORD}
        done = demo(scratch, JIRA_PROJECT="OPS", **settings)
        deleted = [row["target"] for row in jira.requests() if row["method"] == "DELETE"]
    assert done.returncode == 1
    assert "why:  Jira answered 413" in done.stdout
    assert "raise Jira's attachment limit" in done.stdout
    assert re.search(r"Clean up: delete OPS-61 +ok", done.stdout)
    assert len(deleted) == 1
