"""Certificates of real processes: renewed under load, denied by either program, and a whole change of CAs."""

import json
import sys
import threading
import time
from datetime import timedelta

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.aging import age_certificate, serial_in
from tests.support.callers import Caller, ask, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack, page, run, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def jira():
    with JiraProcess("9.12", context="/jira") as jira:
        yield jira


@pytest.fixture
def stack(tmp_path, jira):
    with Stack(tmp_path / "stack", jira.url) as stack:
        yield stack.start_gateway()


def links_of(stack, name):
    return json.loads(stack.must("agents", "show", name, "--json"))["links"]


def jira_certs(stack, command, *words, status=0):
    ca = stack.folder / "gateway" / "ca"
    done = run([sys.executable, "-m", "certs", command, str(ca), *words], stack.clean_environment(), None)
    assert done.returncode == status, done.stderr
    return done


class Load:
    """Two callers, one of GET and one of POST, without a pause."""

    def __init__(self, stack, token):
        self.replies = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(stack, token, method)) for method in ("GET", "POST")]

    def _run(self, stack, token, method):
        with Caller(f"{stack.url}/jira/hq", [bearer(token)]) as caller:
            while not self._stop.is_set():
                reply = caller.send(method, "/rest/api/2/test/echo", b"x" if method == "POST" else None).read()
                self.replies.append((method, reply.status, reply.error))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_a_renewal_under_load_fails_nothing_and_what_was_renewed_can_be_denied(stack):
    agent = stack.enroll("hq", **SERVICE, JIRA_AGENT_LINKS="2")
    other = stack.enroll("hq", **SERVICE, JIRA_AGENT_LINKS="1").start_and_wait()
    old = age_certificate(agent.state_dir, stack.folder / "gateway", timedelta(days=5))
    token = stack.connect("hq")
    with Load(stack, token) as load:
        agent.start_and_wait()
        wait_until(lambda: serial_in(agent.state_dir) != old, "a new certificate")
        new = serial_in(agent.state_dir)
        wait_until(lambda: [row["serial"] for row in links_of(stack, "hq")].count(new) == 2, "both links show it")
        wait_until(lambda: old not in [row["serial"] for row in links_of(stack, "hq")], "the old links are gone")

    assert len(load.replies) > 100
    assert {(status, error) for _, status, error in load.replies} == {(200, "")}
    assert {method for method, _, _ in load.replies} == {"GET", "POST"}
    status = json.loads(page(agent.admin_port, "/status")[1])
    assert (status["renewal"]["renewed"], status["renewal"]["problem"]) == (1, None)
    trail = stack.must("audit", "list", "--json")
    assert "agent.renew" in trail

    instance = status["instance"]
    stack.must("agents", "revoke", "hq", "--instance", instance)
    began = time.monotonic()
    wait_until(lambda: page(agent.admin_port, "/readyz")[0] == 503, "no link is left", 5.0)
    assert time.monotonic() - began < 5
    assert {row["instance"] for row in links_of(stack, "hq")} == {
        json.loads(page(other.admin_port, "/status")[1])["instance"]
    }
    assert ask(f"{stack.url}/jira/hq", "GET", "/rest/api/2/test/echo", None, [bearer(token)]).status == 200

    jira_certs(stack, "revoke", "--serial", serial_in(other.state_dir))
    wait_until(lambda: page(other.admin_port, "/readyz")[0] == 503, "no link is left", 5.0)
    assert agent.is_running
    assert other.is_running


def test_a_new_ca_takes_over_under_load_and_after_the_older_one_was_distrusted_all_goes_on(stack):
    agent = stack.enroll("hq", **SERVICE, JIRA_AGENT_LINKS="2").start_and_wait()
    token = stack.connect("hq")
    before = json.loads(jira_certs(stack, "show", "--json").stdout)["certificates"][0]["fingerprint"]
    with Load(stack, token) as load:
        new = json.loads(jira_certs(stack, "renew", "--ca", "--json").stdout)["fingerprint"]
        refused = jira_certs(stack, "revoke", "--ca", before, status=1)
        assert "still needed" in refused.stderr

        def rollover():
            return json.loads(jira_certs(stack, "show", "--json").stdout)["rollover"]

        wait_until(lambda: rollover()["needed_by"] == [], "nobody needs the older CA", 150)
        late = stack.enroll("hq", **SERVICE, JIRA_AGENT_LINKS="1").start_and_wait()  # its code pins the new CA
        wait_until(lambda: rollover()["needed_by"] == [], "nor does a code", 60)
        assert before in rollover()["next"]
        assert "follows the new CA" in stack.command("doctor").stdout
        jira_certs(stack, "revoke", "--ca", before)
        wait_until(lambda: (agent.state_dir / "gateway-ca.pem").read_bytes().count(b"BEGIN") == 1, "it is dropped", 120)

    assert {(status, error) for _, status, error in load.replies} == {(200, "")}
    assert len(load.replies) > 1000
    assert [each["fingerprint"] for each in json.loads(jira_certs(stack, "show", "--json").stdout)["certificates"]] == [
        new
    ]
    for program in (agent, late, stack.gateway):
        program.stop()
    stack.start_gateway()
    for program in (agent, late):
        program.start_and_wait()
    assert ask(f"{stack.url}/jira/hq", "POST", "/rest/api/2/test/echo", b"x", [bearer(token)]).status == 200
