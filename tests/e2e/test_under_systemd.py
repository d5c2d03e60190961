"""Both programs as systemd starts them: what they tell it, and the sockets it holds for them. Real processes.

With systemd itself: tests/lab/test_systemd.py.
"""

import signal
import socket
import threading
import time

import pytest

from tests.support.callers import ask
from tests.support.service_manager import ServiceManager
from tests.support.stack import Stack

NO_JIRA = "http://127.0.0.1:9"


@pytest.fixture
def stack(tmp_path):
    with Stack(tmp_path / "stack", NO_JIRA) as stack:
        yield stack


@pytest.fixture
def manager(tmp_path):
    with ServiceManager(tmp_path) as manager:
        yield manager


def test_an_agent_without_network_and_enrolment_is_ready_and_says_what_it_waits_for(stack, tmp_path):
    agent = stack.agent("hq")
    with ServiceManager(tmp_path, WATCHDOG_USEC="600000") as manager:
        agent._base |= manager.put_under(agent).environment
        agent.start()
        manager.wait_for("READY=1")
        manager.wait_for("STATUS=waiting for enrolment")
        manager.wait_for("WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1")
        count = len(manager.hear())
        agent.send(signal.SIGHUP)
        count = manager.wait_for("RELOADING=1", "READY=1", after=count)
        agent.send(signal.SIGTERM)
        manager.wait_for("STOPPING=1", after=count)
        assert agent.process.wait(15) == 0


def test_a_gateway_is_ready_when_all_of_it_listens(stack, manager):
    gateway = manager.put_under(stack.gateway).start()
    manager.wait_for("READY=1")
    for port in (stack.api_port, stack.tunnel_port, stack.admin_port):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    manager.wait_for("STATUS=0 agents connected by 0 links, 0 requests in flight")
    gateway.send(signal.SIGHUP)
    manager.wait_for("RELOADING=1", "READY=1")
    assert any(line.startswith("MONOTONIC_USEC=") for message in manager.messages for line in message)
    assert stack.gateway.stop() == 0
    manager.wait_for("STOPPING=1")


def test_sockets_where_no_setting_wants_them_are_a_configuration_error(stack, manager):
    manager.hold(("127.0.0.1", 0))
    gateway = manager.put_under(stack.gateway).start()
    assert gateway.process.wait(20) == 78
    assert "where the socket unit listens; make ListenStream= of the unit and this setting agree" in gateway.output()
    assert "READY=1" not in str(manager.hear())


class Callers:
    """One request after the other, each on a socket of its own, until told to stop."""

    def __init__(self, url):
        self.replies = []
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        while not self._over.is_set():
            self.replies.append(ask(self._url, "GET", "/jira/hq/rest/api/2/myself", timeout=30))
            time.sleep(0.01)


def test_a_restart_with_sockets_of_systemd_refuses_nobody(stack, manager):
    manager.hold(("127.0.0.1", stack.api_port))
    manager.hold(("127.0.0.1", stack.tunnel_port))
    manager.put_under(stack.gateway).start()
    stack.wait_gateway()
    with Callers(stack.url) as callers:
        before = wait_for_more(callers, 20)
        assert stack.gateway.stop() == 0
        stack.gateway.start()
        stack.wait_gateway()
        wait_for_more(callers, before)
    assert {(reply.status, reply.problem) for reply in callers.replies} == {(401, "")}


def wait_for_more(callers, count):
    wanted = len(callers.replies) + count
    deadline = time.monotonic() + 20
    while len(callers.replies) < wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(callers.replies) >= wanted
    return count
