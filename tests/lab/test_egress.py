"""One fixed address, proven: a Jira that admits a single address sees that one and no other.

The near host has three addresses on one interface and runs the gateway and an agent; the far host runs Jira behind
a doorman that closes every connection of another address. Everything happens in namespaces of this test's own.
"""

import json
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import SERVICE
from tests.lab.namespaces import LabUnavailable, inside, two_hosts
from tests.support.callers import ask, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.stack import PROJECT, Stack, page, wait_until

DEFAULT, GATEWAY, AGENT = "198.51.100.10", "198.51.100.11", "198.51.100.12"
FAR = "198.51.100.1"
DIRECT_PORT, AGENT_PORT, SUBSCRIBER_PORT, ECHO_PORT = 20080, 20081, 20082, 20090
ECHO = f"http://{FAR}:{ECHO_PORT}/"
EGRESS = {"JIRA_GATEWAY_EGRESS_IP": GATEWAY, "JIRA_GATEWAY_ALLOW_NETWORKS": "198.51.100.0/24"}

pytestmark = pytest.mark.timeout(120)


@contextmanager
def doorman(*words):
    """Run a doorman until the end of the block; it listens when this returns."""
    command = [sys.executable, "-m", "tests.lab.doorman", FAR, *map(str, words)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


@contextmanager
def subscriber():
    """Run a subscriber until the end of the block, and yield its port."""
    command = [sys.executable, "-m", "tests.support.subscriber"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield urlsplit(json.loads(process.stdout.readline())["url"]).port
        finally:
            process.kill()


class Far:
    """The far host: a Jira with one door for the gateway and one for the agent, a subscriber, and an echo service."""

    def __init__(self, folder, near):
        self.near = near
        names = {DIRECT_PORT: "direct", AGENT_PORT: "agent", SUBSCRIBER_PORT: "subscriber"}
        self._doors = {port: folder / f"{name}.log" for port, name in names.items()}
        for log in self._doors.values():
            log.touch()

    def start(self, stack):
        """Start everything in the current namespace."""
        jira = stack.enter_context(JiraProcess("9.12", context="/jira"))
        for port, admitted in ((DIRECT_PORT, GATEWAY), (AGENT_PORT, AGENT)):
            stack.enter_context(doorman(port, jira.port, admitted, self._doors[port]))
        stack.enter_context(doorman(ECHO_PORT, "echo"))
        port = stack.enter_context(subscriber())
        stack.enter_context(doorman(SUBSCRIBER_PORT, port, GATEWAY, self._doors[SUBSCRIBER_PORT]))

    def seen(self, port):
        """Whether somebody has knocked since the last time."""
        return self._doors[port].stat().st_size > 0

    def peers(self, port):
        """Return the addresses that have knocked at a door since the last time."""
        log = self._doors[port]
        seen = log.read_text().split()
        log.write_text("")
        return seen


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    with ExitStack() as stack:
        try:
            near, far = stack.enter_context(two_hosts([DEFAULT, GATEWAY, AGENT], FAR))
        except LabUnavailable as reason:
            pytest.skip(f"no lab here: {reason}")
        host = Far(tmp_path_factory.mktemp("far"), near)
        with inside(far):
            host.start(stack)
        yield host


@pytest.fixture
def near(far):
    for port in (DIRECT_PORT, AGENT_PORT, SUBSCRIBER_PORT):
        far.peers(port)
    with inside(far.near):
        yield


def test_without_a_chosen_address_the_door_stays_shut(far, near):
    with (
        suppress(ConnectionError),  # reset, or closed
        socket.create_connection((FAR, DIRECT_PORT), timeout=5) as knock,
    ):
        assert knock.recv(1) == b""
    wait_until(lambda: far.seen(DIRECT_PORT), "the doorman has noted it")
    assert far.peers(DIRECT_PORT) == [DEFAULT]


def test_every_connection_to_jira_leaves_from_the_egress_address(far, near, tmp_path):
    url = f"http://{FAR}:{DIRECT_PORT}/jira"
    secret = tmp_path / "password"
    secret.write_text(SERVICE["JIRA_AGENT_JIRA_PASSWORD"])
    flags = ("--base-url", url, "--username", "svc.bridge", "--secret-file", str(secret))
    with Stack(tmp_path / "stack", url, settings=EGRESS) as stack:
        stack.start_gateway()
        for name in ("one", "two"):  # each has sockets of its own
            token = stack.connect(name, credentials="gateway", via="direct", flags=flags)
            base = f"{stack.url}/jira/{name}"
            assert ask(base, "GET", "/rest/api/2/myself", None, [bearer(token)]).status == 200
            comment = b'{"body": "from one address"}'
            headers = [bearer(token), ("Content-Type", "application/json")]
            assert ask(base, "POST", "/rest/api/2/issue/OPS-1/comment", comment, headers).status == 201
        assert stack.command("connections", "test", "two").returncode == 0
        doctor = stack.command("doctor")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    peers = far.peers(DIRECT_PORT)
    assert len(peers) >= 2
    assert set(peers) == {GATEWAY}


def test_webhooks_are_registered_and_events_delivered_from_the_egress_address(far, near, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("password-of-admin")
    flags = ("--base-url", f"http://{FAR}:{DIRECT_PORT}/jira", "--username", "admin", "--secret-file", str(secret))
    deliver_to = ("--deliver-to", f"http://{FAR}:{SUBSCRIBER_PORT}/hook")
    public = {"JIRA_GATEWAY_PUBLIC_URL": "https://gateway.example.com"}  # where this Jira would post webhooks
    with Stack(tmp_path / "stack", "", settings=EGRESS | public) as stack:
        stack.start_gateway()
        token = stack.connect("one", credentials="gateway", via="direct", flags=flags)
        add = ("triggers", "add", "--connection", "one", "--events", "jira:issue_created", "--json")
        registered = json.loads(stack.must(*add, "--name", "kept", "--kind", "registered", "--way", "internet"))
        assert (registered["kind"], registered["problem"]) == ("registered", None)
        polled = ("--kind", "polled", "--poll-interval", "1s")
        assert json.loads(stack.must(*add, "--name", "sent", *polled, *deliver_to))["kind"] == "polled"
        issue = {"fields": {"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "one address"}}
        headers = [bearer(token), ("Content-Type", "application/json")]
        created = ask(f"{stack.url}/jira/one", "POST", "/rest/api/2/issue", json.dumps(issue).encode(), headers)
        assert created.status == 201
        wait_until(
            lambda: json.loads(stack.must("triggers", "show", "sent", "--json"))["counts"]["delivered"], "it came"
        )
    assert set(far.peers(SUBSCRIBER_PORT)) == {GATEWAY}
    assert set(far.peers(DIRECT_PORT)) == {GATEWAY}


def test_the_agents_source_address_is_the_one_that_jira_sees(far, near, tmp_path):
    url = f"http://{FAR}:{AGENT_PORT}/jira"
    with Stack(tmp_path / "stack", url) as stack:
        stack.start_gateway()
        stack.enroll("hq", JIRA_AGENT_SOURCE_IP=AGENT, **SERVICE).start_and_wait()
        token = stack.connect("hq")
        base = f"{stack.url}/jira/hq"
        for method, target in (("GET", "/rest/api/2/myself"), ("GET", "/rest/webhooks/1.0/webhook")):
            ask(base, method, target, None, [bearer(token)])
        assert ask(base, "GET", "/rest/api/2/myself", None, [bearer(token)]).status == 200
    assert set(far.peers(AGENT_PORT)) == {AGENT}


def test_the_echo_service_proves_the_address(far, near, tmp_path):
    with Stack(tmp_path / "stack", ECHO, settings={**EGRESS, "JIRA_GATEWAY_EGRESS_CHECK_URL": ECHO}) as stack:
        stack.start_gateway()
        assert page(stack.admin_port, "/readyz")[0] == 200
        doctor = stack.command("doctor")
        assert f"the world sees {GATEWAY}, as declared" in doctor.stdout
        assert doctor.returncode == 0


def test_an_address_that_differs_makes_the_gateway_unready_and_names_both(far, near, tmp_path):
    declared = {"JIRA_GATEWAY_EGRESS_CHECK_URL": ECHO, "JIRA_GATEWAY_EGRESS_PUBLIC_IP": "198.51.100.99"}
    with Stack(tmp_path / "stack", ECHO, settings={**EGRESS, **declared}) as stack:
        stack.gateway.start()
        wait_until(lambda: b"the world sees" in page(stack.admin_port, "/readyz")[1], "the proof has failed")
        status, text = page(stack.admin_port, "/readyz")
        assert status == 503
        assert f"the world sees {GATEWAY}, but 198.51.100.99 is declared".encode() in text
        doctor = stack.command("doctor")
        assert doctor.returncode == 1
        assert "198.51.100.99" in doctor.stdout
    log = stack.gateway.output()
    assert log.count("egress_checked") == 1
    assert GATEWAY in log
    assert "198.51.100.99" in log
