"""The gateway's stored things: seen within a second by the running gateway, backed up live, restored elsewhere.

And how both programs refuse to start: one line, status 78, at once.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import ask, basic, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.ports import free_port
from tests.support.stack import PROJECT, Stack, page, wait_until

pytestmark = pytest.mark.slow

SEEN_SECONDS = 1.0
REVOKED_SECONDS = 5.0
BACK_SECONDS = 15.0
SINK = "/rest/api/2/test/sink"


@pytest.fixture
def jira():
    with JiraProcess("9.12", context="/jira") as jira:
        yield jira


@pytest.fixture
def stack(tmp_path, jira):
    with Stack(tmp_path / "stack", jira.url) as stack:
        yield stack.start_gateway()


def status_of(stack, token, connection="hq", method="GET"):
    return ask(f"{stack.url}/jira/{connection}", method, SINK, None, [bearer(token)]).status


def seconds_until(condition, what):
    """How long it takes after a command has ended."""
    began = time.monotonic()
    wait_until(condition, what, 10)
    return time.monotonic() - began


def test_a_running_gateway_sees_every_change_within_a_second(stack):
    stack.enroll("hq", **SERVICE).start_and_wait()
    stack.must("connections", "add", "hq", "--via", "hq", "--credentials", "agent")
    token = json.loads(stack.must("tokens", "create", "t", "--connection", "hq", "--json"))["token"]
    assert seconds_until(lambda: status_of(stack, token) == 200, "the new token") < SEEN_SECONDS

    rotated = json.loads(stack.must("tokens", "rotate", "t", "--json"))["token"]
    assert seconds_until(lambda: status_of(stack, rotated) == 200, "the rotated token") < SEEN_SECONDS

    stack.must("connections", "update", "hq", "--no-rewrite-links")
    url = f"{stack.url}/jira/hq"

    def is_untouched():
        found = ask(url, "GET", "/rest/api/2/myself", None, [bearer(rotated)]).json()["self"]
        return found.startswith(stack.jira_url)

    assert seconds_until(is_untouched, "the updated connection") < SEEN_SECONDS

    stack.must("tokens", "revoke", "t")
    assert seconds_until(lambda: status_of(stack, rotated) == 401, "the revoked token") < SEEN_SECONDS


def test_a_revoked_agent_holds_no_link_five_seconds_later_and_gets_none_again(stack):
    agent = stack.enroll("hq", **SERVICE).start_and_wait()
    token = stack.connect("hq")
    assert status_of(stack, token) == 200

    stack.must("agents", "revoke", "hq")

    assert seconds_until(lambda: status_of(stack, token) == 503, "the end of its links") < REVOKED_SECONDS
    assert stack.links() == []
    agent.stop()
    agent.start()
    wait_until(lambda: b"revoked" in page(agent.admin_port, "/readyz")[1], "the agent says why")
    assert page(agent.admin_port, "/readyz")[0] == 503
    assert agent.is_running  # slow retries, loud status, never an end


def test_a_backup_of_the_live_gateway_is_a_whole_gateway_elsewhere(stack, tmp_path):
    agent = stack.enroll("hq", **SERVICE).start_and_wait()
    token = stack.connect("hq")
    secret = ("--username", "svc.bridge", "--secret-file", "-")
    stack.must(
        "connections",
        "add",
        "sealed",
        "--via",
        "hq",
        "--credentials",
        "gateway",
        *secret,
        stdin="password-of-svc.bridge",
    )
    sealed = stack.token("sealed", "sealed")
    assert status_of(stack, sealed, "sealed") == 200

    stack.must("backup", str(tmp_path / "gateway.backup"))

    assert (tmp_path / "gateway.backup").stat().st_mode & 0o777 == 0o600
    stack.gateway.stop(signal.SIGKILL)
    shutil.rmtree(stack.folder / "gateway")
    stack.must("restore", str(tmp_path / "gateway.backup"))
    stack.start_gateway()

    def is_served():
        return status_of(stack, token) == 200

    assert seconds_until(is_served, "the agent without a new enrolment") < BACK_SECONDS
    answer = ask(f"{stack.url}/jira/sealed", "GET", "/rest/api/2/myself", None, [bearer(sealed)])
    assert answer.json()["name"] == "svc.bridge"  # the sealed password opens with the restored key
    assert agent.output().count("agent_started") == 1
    stack.must("audit", "verify")


def test_a_restore_never_touches_a_running_gateway(stack, tmp_path):
    stack.must("backup", str(tmp_path / "file"))

    done = stack.command("restore", "--force", str(tmp_path / "file"))

    assert done.returncode == 1
    assert one_line(done)
    assert page(stack.admin_port, "/readyz")[0] == 200


def test_everything_survives_a_kill_of_the_gateway(stack):
    stack.enroll("hq", **SERVICE).start_and_wait()
    token = stack.connect("hq")  # acknowledged: it must be on disk
    stack.gateway.stop(signal.SIGKILL)

    stack.start_gateway()

    assert seconds_until(lambda: status_of(stack, token) == 200, "service") < BACK_SECONDS
    reply = ask(f"{stack.url}/jira/hq", "GET", "/rest/api/2/myself", None, [basic("x", token)])
    assert reply.json()["name"] == "svc.bridge"


# How the programs refuse


def start(program, environment, *words):
    """Run a command to its end; return it with the seconds that it took."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", program, *(words or ("run",))], cwd=PROJECT, env={**Stack.clean_environment(), **environment},
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done, time.monotonic() - began


def one_line(done):
    """What a person sees: exactly one line, no traceback."""
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("program", "environment", "named"),
    [
        ("agent", {"JIRA_AGENT_JIRA_ULR": "http://x"}, "JIRA_AGENT_JIRA_URL"),
        ("agent", {"JIRA_AGENT_LINKS": "many"}, "JIRA_AGENT_LINKS"),
        ("agent", {"JIRA_AGENT_POLICY_PROFILE": "everything"}, "JIRA_AGENT_POLICY_PROFILE"),
        ("agent", {"JIRA_AGENT_JIRA_URL": "ftp://jira"}, "JIRA_AGENT_JIRA_URL"),
        ("agent", {"JIRA_AGENT_JIRA_PASSWORD": "canary-x"}, "JIRA_AGENT_JIRA_USERNAME"),
        ("gateway", {"JIRA_GATEWAY_API_LISTNE": "x"}, "JIRA_GATEWAY_API_LISTEN"),
        ("gateway", {"JIRA_GATEWAY_API_LISTEN": "0.0.0.0:8080"}, "JIRA_GATEWAY_API_"),
        ("gateway", {"JIRA_GATEWAY_TUNNEL_LISTEN": "nonsense"}, "JIRA_GATEWAY_TUNNEL_LISTEN"),
        ("gateway", {"JIRA_GATEWAY_SECRET_KEY": "canary-x"}, "JIRA_GATEWAY_SECRET_KEY"),
    ],
)  # fmt: skip
def test_a_configuration_error_is_one_line_and_status_78(tmp_path, program, environment, named):
    usual = {f"JIRA_{program.upper()}_STATE_DIR": str(tmp_path)}
    if program == "gateway":
        usual["JIRA_GATEWAY_TUNNEL_LISTEN"] = f"127.0.0.1:{free_port()}"

    done, _ = start(program, {**usual, **environment})

    assert done.returncode == 78
    assert named in one_line(done)
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.alone
@pytest.mark.parametrize("program", ["agent", "gateway"])
def test_a_configuration_error_is_told_within_a_second(tmp_path, program):
    settings = {f"JIRA_{program.upper()}_STATE_DIR": str(tmp_path), f"JIRA_{program.upper()}_ETAS": "x"}

    assert min(start(program, settings)[1] for _ in range(5)) < 1.0


def test_commands_that_need_the_running_gateway_say_that_it_does_not_run(stack):
    stack.must("agents", "invite", "hq")
    stack.must("connections", "add", "hq", "--via", "hq", "--credentials", "agent")
    stack.gateway.stop()

    done = stack.command("connections", "test", "hq")

    assert done.returncode == 69
    assert one_line(done)


def test_the_agents_status_says_that_it_does_not_run(stack):
    agent = stack.enroll("hq", **SERVICE)

    done = agent.command("status")

    assert done.returncode == 69
    assert one_line(done)


@pytest.mark.parametrize("who", ["agent", "gateway ca", "gateway secret"])
def test_a_key_file_that_others_can_read_refuses_the_start(stack, who):
    agent = stack.enroll("hq", **SERVICE)
    stack.gateway.stop()
    if who == "agent":
        key = agent.state_dir / "agent.pem"  # certificate and key in one file
        program = agent
    else:
        wanted = "ca.key" if who == "gateway ca" else "secret.key"
        [key] = (stack.folder / "gateway").rglob(wanted)
        program = stack.gateway
    key.chmod(0o644)
    program.log.write_text("")

    program.start()

    assert program.process.wait(10) in {1, 78}
    assert re.search(rf"{re.escape(str(key))}.*chmod 600", program.output()), program.output()
    assert "Traceback" not in program.output()


def test_an_agent_waits_quietly_for_its_enrolment_and_starts_when_it_is_there(stack):
    agent = stack.agent("late", **SERVICE)
    agent.start()
    wait_until(lambda: page(agent.admin_port, "/readyz")[0] == 503, "the waiting agent")
    assert b"waiting for enrolment" in page(agent.admin_port, "/readyz")[1]
    code = stack.must("agents", "invite", "late")

    assert agent.command("enroll", "-", stdin=code).returncode == 0

    agent.wait_ready()
    again = agent.command("enroll", "-", stdin=code)
    assert (again.returncode, "Nothing was changed" in again.stdout + again.stderr) == (0, True)
    assert agent.command("enroll", "-", "--force", stdin=code).returncode == 1  # a code is good once
    assert status_of(stack, stack.connect("late"), "late") == 200
