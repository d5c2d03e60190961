"""Both programs as services of a systemd that was booted for real: Debian 12 (systemd 252) and 13 (257).

One machine per release; the tests leave their units stopped. `-k bookworm` or `-k trixie` takes one of them.
"""

import json
import sys
import time
from collections import Counter

import pytest

from tests.lab import programs
from tests.lab.machine import machine
from tests.lab.namespaces import LabUnavailable
from tests.support.stack import PROJECT

AGENT, GATEWAY = "jira-agent.service", "jira-gateway.service"
UNITS = [path.name for path in (PROJECT / "systemd").glob("*.service")]
QUICK = "[Service]\nWatchdogSec=3\nRestartSec=100ms\n"
GATEWAY_ENV = "JIRA_GATEWAY_TUNNEL_URL=wss://127.0.0.1:8443\n"
AGENT_ENV = "JIRA_AGENT_JIRA_URL=http://127.0.0.1:9/jira\nJIRA_AGENT_LINKS=1\n"
BUSY_SECONDS = 60.0
"""For what takes two seconds on a machine that does nothing else."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def booted(request):
    try:
        with machine(request.param, binds=programs.binds(request.param)) as debian:
            programs.install(debian)
            yield debian
    except LabUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def debian(booted):
    """The machine without settings, state and drop-ins of an earlier test."""
    yield booted
    booted.run("systemctl stop jira-gateway.socket 'jira-*' && systemctl reset-failed")
    booted.must(
        "rm -rf /etc/jira-agent/* /etc/jira-gateway/* /etc/credstore/* /etc/credstore.encrypted/* /var/lib/jira-*/* "
        "/etc/systemd/system/jira-*; systemctl daemon-reload; journalctl --rotate --vacuum-time=1s -q"
    )


def drop_in(debian, unit, text):
    debian.write(f"/etc/systemd/system/{unit}.d/lab.conf", text)
    debian.must("systemctl daemon-reload")


def wait_status(debian, unit, text):
    debian.wait(
        f"systemctl show {unit} -p StatusText | grep -F '{text}'", f"the status '{text}' of {unit}", BUSY_SECONDS
    )


def start_gateway(debian):
    debian.write("/etc/jira-gateway/gateway.env", GATEWAY_ENV)
    debian.must("systemctl start jira-gateway")


def enroll(debian, *words):
    """Enroll as an administrator does: as root, with the code on standard input."""
    code = debian.must("jira-gateway agents invite hq")
    debian.must(["jira-agent", "enroll", *words, "-"], stdin=code)


def main_pid(debian, unit):
    return int(debian.show(unit, "MainPID")["MainPID"])


def test_it_is_active_without_network_and_enrolment_and_says_what_it_waits_for(debian):
    debian.must("systemctl start jira-agent")
    wait_status(debian, AGENT, "waiting for enrolment")
    assert debian.show(AGENT, "ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}
    assert debian.must("jira-agent status").startswith("waiting for enrolment")  # root acts as the owner


def test_enrolled_before_its_first_start_it_connects_and_root_leaves_nothing_behind(debian):
    start_gateway(debian)
    wait_status(debian, GATEWAY, "0 agents connected")
    debian.write("/etc/jira-agent/agent.env", AGENT_ENV)
    enroll(debian)
    owners = debian.must("find /var/lib/jira-agent /var/lib/jira-gateway -printf '%u\\n' | sort -u").split()
    assert owners == ["jira-agent", "jira-gateway"]
    debian.must("systemctl start jira-agent")
    wait_status(debian, AGENT, "1 of 1 links up, Jira does not answer")
    wait_status(debian, GATEWAY, "1 agents connected by 1 links")
    debian.must("systemctl stop jira-gateway")
    wait_status(debian, AGENT, "no link: ")


def test_a_process_that_hangs_is_killed_and_started_again(debian):
    drop_in(debian, AGENT, QUICK)
    debian.must("systemctl start jira-agent")
    pid = main_pid(debian, AGENT)
    time.sleep(4)  # longer than the watchdog's time: the loop feeds it
    assert main_pid(debian, AGENT) == pid
    debian.must(f"kill -STOP {pid}")
    debian.wait("test $(systemctl show jira-agent -p NRestarts --value) = 1", "the restart", BUSY_SECONDS)
    wait_status(debian, AGENT, "waiting for enrolment")
    assert main_pid(debian, AGENT) not in {0, pid}
    assert "Watchdog timeout (limit 3s)" in debian.journal(AGENT)


@pytest.mark.parametrize("unit", [AGENT, GATEWAY])
def test_a_process_that_is_killed_is_started_again(debian, unit):
    drop_in(debian, unit, "[Service]\nRestartSec=100ms\n")
    debian.write("/etc/jira-gateway/gateway.env", GATEWAY_ENV)
    debian.must(f"systemctl start {unit}")
    for count in range(1, 8):  # more than systemd's own limit of 5 in 10 s
        debian.must(f"kill -KILL {main_pid(debian, unit)}")
        debian.wait(
            f"test $(systemctl show {unit} -p NRestarts --value) -ge {count} && systemctl is-active {unit}",
            "the restart",
            BUSY_SECONDS,
        )


@pytest.mark.parametrize(
    ("unit", "path", "line"),
    [
        (AGENT, "/etc/jira-agent/agent.env", "JIRA_AGENT_JIRA_ULR=x"),
        (GATEWAY, "/etc/jira-gateway/gateway.env", "JIRA_GATEWAY_PUBLIC_ULR=x"),
    ],
)
def test_a_configuration_error_waits_for_a_person(debian, unit, path, line):
    drop_in(debian, unit, QUICK)
    debian.write(path, line + "\n")
    assert debian.run(f"systemctl start {unit}").returncode != 0
    time.sleep(1.5)
    shown = debian.show(unit, "ActiveState", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    assert f"{line[:-2]}: is not a variable of this program; did you mean" in debian.journal(unit)


def test_secrets_come_as_credentials_plain_and_encrypted(debian):
    start_gateway(debian)
    debian.write("/etc/jira-agent/agent.env", AGENT_ENV + "JIRA_AGENT_JIRA_USERNAME=svc\n")
    debian.write("/etc/credstore/jira_agent_jira_password", "plain-canary\n", 0o600)
    enroll(debian)  # a command by hand finds the password too, and the settings are whole
    debian.must("systemctl start jira-agent")
    assert agent_credentials(debian) == "basic"
    assert_nowhere(debian, "plain-canary")
    debian.must("rm /etc/credstore/jira_agent_jira_password")
    encrypted = "/etc/credstore.encrypted/jira_agent_jira_password"
    debian.must(f"systemd-creds encrypt --name=jira_agent_jira_password - {encrypted}", stdin="secret-canary")
    drop_in(debian, AGENT, "[Service]\nLoadCredentialEncrypted=jira_agent_jira_password\n")
    debian.must("systemctl restart jira-agent")
    assert agent_credentials(debian) == "basic"
    assert_nowhere(debian, "secret-canary")
    assert b"secret-canary" not in debian.outside(encrypted).read_bytes()
    debian.must("systemctl stop jira-agent")
    assert debian.run("ls /run/credentials/jira-agent.service").returncode != 0


def agent_credentials(debian):
    """Return which kind of Jira login the running agent has."""
    wait_status(debian, AGENT, "1 of 1 links up")
    return json.loads(debian.must("jira-agent status --json"))["jira"]["credentials"]


def assert_nowhere(debian, secret):
    shown = debian.must(
        f"cat /proc/{main_pid(debian, AGENT)}/environ /proc/{main_pid(debian, AGENT)}/cmdline | tr '\\0' ' '"
    )
    shown += debian.journal(AGENT) + debian.must("systemctl show jira-agent; jira-agent status --json")
    assert "CREDENTIALS_DIRECTORY" in shown
    assert secret not in shown


def test_a_reload_uses_the_changed_env_file_and_a_bad_one_changes_nothing(debian):
    start_gateway(debian)
    debian.write("/etc/jira-agent/agent.env", AGENT_ENV + "JIRA_AGENT_POLICY_PROFILE=read-only\n")
    enroll(debian)
    debian.must("systemctl start jira-agent")
    wait_status(debian, AGENT, "1 of 1 links up")
    pid, rules = main_pid(debian, AGENT), rules_of(debian)
    debian.write("/etc/jira-agent/agent.env", AGENT_ENV + "JIRA_AGENT_POLICY_PROFILE=read-only,issues\n")
    debian.must("systemctl reload jira-agent jira-gateway")
    debian.wait("jira-agent status --json | grep -q issues || journalctl -u jira-agent | grep -q agent_reloaded", "it")
    assert rules_of(debian) > rules
    debian.write("/etc/jira-agent/agent.env", AGENT_ENV + "JIRA_AGENT_POLICY_PROFILE=everything\n")
    debian.must("systemctl reload jira-agent")
    wait_status(debian, AGENT, "the last reload changed nothing: JIRA_AGENT_POLICY_PROFILE")
    assert main_pid(debian, AGENT) == pid
    assert debian.must("systemctl is-active jira-agent jira-gateway") == "active\nactive\n"
    assert "gateway_reloaded" in debian.journal(GATEWAY)


def rules_of(debian):
    return json.loads(debian.must("jira-agent status --json"))["policy"]["rules"]


def test_instances_have_settings_and_state_of_their_own(debian):
    start_gateway(debian)
    for number, name in enumerate(("north", "south")):
        state = f"/var/lib/jira-agent/{name}"
        own = f"JIRA_AGENT_STATE_DIR={state}\nJIRA_AGENT_ADMIN_LISTEN=127.0.0.1:{9101 + number}\n"
        debian.write(f"/etc/jira-agent/{name}.env", AGENT_ENV + own)
    debian.must("systemctl start jira-agent@north jira-agent@south")
    for name in ("north", "south"):
        wait_status(debian, f"jira-agent@{name}", "waiting for enrolment")
        enroll(debian, "--env-file", f"/etc/jira-agent/{name}.env")
        wait_status(debian, f"jira-agent@{name}", "1 of 1 links up")
        pid = main_pid(debian, f"jira-agent@{name}")
        assert debian.must(f"ls /proc/{pid}/root/var/lib/jira-agent") == f"{name}\n"  # and not the other's key
    wait_status(debian, GATEWAY, "connected by 2 links")
    debian.write("/etc/jira-agent/lost.env", AGENT_ENV)
    assert debian.run("systemctl start jira-agent@lost").returncode != 0
    assert "set it to /var/lib/jira-agent/lost in the env file" in debian.journal("jira-agent@lost")


_CALL = """
import http.client, json, sys, threading, time
over, seen, longest = time.monotonic() + 12, [], [0.0]
def call():
    while time.monotonic() < over:
        began = time.monotonic()
        try:
            caller = http.client.HTTPConnection("127.0.0.1", 8080, timeout=20)
            caller.request("GET", "/jira/hq/rest/api/2/myself")
            seen.append(str(caller.getresponse().status))
            caller.close()
        except Exception as error:
            seen.append(repr(error))
        longest[0] = max(longest[0], time.monotonic() - began)
        time.sleep(0.02)
threads = [threading.Thread(target=call) for _ in range(4)]
[each.start() for each in threads]; [each.join() for each in threads]
print(json.dumps([seen, longest[0]]))
"""


def test_with_the_socket_unit_a_restart_refuses_nobody(debian):
    debian.write("/etc/jira-gateway/gateway.env", GATEWAY_ENV)
    debian.must("systemctl start jira-gateway.socket && systemctl start jira-gateway")
    debian.write("/etc/jira-agent/agent.env", AGENT_ENV)
    enroll(debian)
    debian.must("systemctl start jira-agent")
    wait_status(debian, AGENT, "1 of 1 links up")
    callers = debian.popen(["python3", "-c", _CALL])
    for _ in range(2):
        time.sleep(2)
        debian.must("systemctl restart jira-gateway")
        wait_status(debian, GATEWAY, "1 agents connected")
    seen, longest = json.loads(callers.communicate(timeout=60)[0])
    assert Counter(seen).keys() == {"401"}, Counter(seen)  # the gateway's own answer to a stranger
    assert len(seen) > 100
    sys.stdout.write(f"longest {longest:.2f} s\n")
    assert longest < 5, "a caller hung while the gateway was restarted"


def test_sockets_and_settings_that_disagree_are_told(debian):
    debian.write("/etc/jira-gateway/gateway.env", GATEWAY_ENV + "JIRA_GATEWAY_API_LISTEN=127.0.0.1:8081\n")
    debian.must("systemctl start jira-gateway.socket")
    assert debian.run("systemctl start jira-gateway").returncode != 0
    told = "JIRA_GATEWAY_API_LISTEN: does not name 127.0.0.1:8080, where the socket unit listens"
    assert told in debian.journal(GATEWAY)


def test_a_port_below_1024_needs_no_more_than_the_unit_has(debian):
    debian.write("/etc/jira-gateway/gateway.env", GATEWAY_ENV + "JIRA_GATEWAY_API_LISTEN=127.0.0.1:443\n")
    debian.must("systemctl start jira-gateway")
    assert "127.0.0.1:443" in debian.must("ss -ltn")


@pytest.mark.parametrize("unit", UNITS)
def test_the_sandbox_is_closed(debian, unit):
    instance = unit.replace("@", "@north")
    debian.must(["systemd-analyze", "security", "--threshold=15", "--no-pager", instance])
    assert debian.must(["systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{unit}"]) == ""
