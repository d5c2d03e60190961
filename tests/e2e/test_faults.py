"""A hundred GET and a hundred POST in flight when something dies.

No POST reaches Jira twice, every caller gets exactly one outcome that says what is known, and service is back
within 15 s of the cause ending. Each test makes its own installation, because it breaks it.
"""

import random
import select
import signal
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import Caller, all_at_once, ask, bearer
from tests.support.fake_jira import CloseAfterRequestHead, JiraProcess
from tests.support.relay import Relay
from tests.support.stack import Stack, page, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

COUNT = 100
BACK_SECONDS = 15.0
ROOMY = {"JIRA_AGENT_MAX_CONCURRENCY": "256", "JIRA_AGENT_LINKS": "2"}
OK = (200, "", "")
LOST = (502, "tunnel_lost", "unknown")
CLOSED = (0, "", "")


@pytest.fixture
def jira():
    with JiraProcess("9.12", context="/jira") as jira:
        yield jira
        assert not jira.is_running or jira.info()["crashes"] == []


@pytest.fixture
def stack(tmp_path, jira):
    with Stack(tmp_path / "stack", jira.url) as stack:
        yield stack.start_gateway()


class Load:
    """COUNT GET and COUNT POST at once, each on a socket of its own, each with its marker."""

    def __init__(self, stack, jira, token, seconds=2.0):
        self.jira = jira
        self.target = f"/rest/api/2/test/sleep/{seconds:g}"
        self.callers = [Caller(f"{stack.url}/jira/hq", [bearer(token)], timeout=60) for _ in range(2 * COUNT)]
        self.outcomes = {"GET": Counter(), "POST": Counter()}
        self.replies = []

    @contextmanager
    def in_flight(self):
        """Inside, all of them have reached Jira; afterwards each caller has its outcome."""
        pending = []
        methods = ["GET", "POST"] * COUNT
        random.Random(COUNT).shuffle(methods)  # links take turns: no method may always meet the same one
        for number, (method, caller) in enumerate(zip(methods, self.callers, strict=True)):
            body = f"marker-{number}.".encode() if method == "POST" else None
            pending.append((method, caller.send(method, f"{self.target}?marker={number}.", body)))
        self.jira.wait_for(lambda jira: jira.info()["active"] == 2 * COUNT, 20)
        yield
        for (method, _), reply in zip(pending, all_at_once(lambda each: each[1].read(), pending, 50), strict=True):
            self.outcomes[method][reply.status, reply.error, reply.processed] += 1
            self.replies.append(reply)
        self._check()

    def _check(self):
        for reply in self.replies:
            assert reply.whole or not reply.status, f"an answer was broken off: {reply}"
            assert reply.header("X-Request-ID") or not reply.status
            if reply.processed == "unknown":
                assert not reply.header("Retry-After"), "an invitation to send twice what Jira may have done"
        for caller in self.callers:
            if caller.socket is not None:
                readable, _, _ = select.select([caller.socket], [], [], 0)
                assert not readable or caller.socket.recv(100) == b"", "a caller got a second outcome"
            caller.close()
        arrived = Counter((seen["method"], seen["target"]) for seen in self.jira.requests("/rest/api/2/test/sleep"))
        times = {method: [arrived[each] for each in arrived if each[0] == method] for method in ("GET", "POST")}
        assert max(times["POST"]) == 1, "a POST reached Jira twice"
        assert max(times["GET"]) <= 2, "a GET was sent again more than once"


def is_served(stack, token):
    return ask(f"{stack.url}/jira/hq", "POST", "/rest/api/2/test/sink", b"x", [bearer(token)]).status == 200


def back_in_service(stack, token):
    """Seconds until a request succeeds again."""
    began = time.monotonic()
    wait_until(lambda: is_served(stack, token), "service is back", BACK_SECONDS)
    return time.monotonic() - began


def test_the_agent_is_killed(stack, jira):
    agent = stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    token = stack.connect("hq")
    load = Load(stack, jira, token)

    with load.in_flight():
        agent.stop(signal.SIGKILL)

    assert load.outcomes == {"GET": {LOST: COUNT}, "POST": {LOST: COUNT}}
    offline = ask(f"{stack.url}/jira/hq", "POST", "/rest/api/2/test/sink", b"x", [bearer(token)])
    assert (offline.status, offline.error, offline.processed) == (503, "agent_offline", "no")
    assert int(offline.header("Retry-After")) > 0
    agent.start()
    assert back_in_service(stack, token) < BACK_SECONDS


def test_one_of_two_links_is_cut(stack, jira):
    with Relay(stack.tunnel_port) as relay:
        address = f"wss://127.0.0.1:{relay.port}"
        stack.enroll("hq", JIRA_AGENT_GATEWAY_URL=address, **SERVICE, **ROOMY).start_and_wait()
        token = stack.connect("hq")
        wait_until(lambda: stack.links()[0]["links"] == 2, "both links")
        load = Load(stack, jira, token)

        with load.in_flight():
            relay.open[0].cut()

        assert load.outcomes["GET"] == {OK: COUNT}  # they went again on the other link
        assert set(load.outcomes["POST"]) == {OK, LOST}
        assert load.outcomes["POST"][LOST] >= COUNT // 5  # the links shared the work
        wait_until(lambda: stack.links()[0]["links"] == 2, "the second link is back", BACK_SECONDS)


def test_all_links_are_cut(stack, jira):
    with Relay(stack.tunnel_port) as relay:
        address = f"wss://127.0.0.1:{relay.port}"
        stack.enroll("hq", JIRA_AGENT_GATEWAY_URL=address, **SERVICE, **ROOMY).start_and_wait()
        token = stack.connect("hq")
        load = Load(stack, jira, token)

        with load.in_flight():
            relay.refuse()
            relay.cut()

        assert load.outcomes == {"GET": {LOST: COUNT}, "POST": {LOST: COUNT}}
        relay.refuse(False)
        assert back_in_service(stack, token) < BACK_SECONDS


def test_the_line_becomes_a_black_hole(stack, jira):
    """Nothing is reset, bytes just stop: the dead links are noticed, and new ones carry on."""
    with Relay(stack.tunnel_port) as relay:
        address = f"wss://127.0.0.1:{relay.port}"
        stack.enroll("hq", JIRA_AGENT_GATEWAY_URL=address, **SERVICE, **ROOMY).start_and_wait()
        token = stack.connect("hq")
        load = Load(stack, jira, token, seconds=30)

        began = time.monotonic()
        with load.in_flight():
            relay.freeze()

        assert time.monotonic() - began < 16 + 10
        assert load.outcomes["POST"] == {LOST: COUNT}
        assert set(load.outcomes["GET"]) <= {OK, LOST}
        assert back_in_service(stack, token) < BACK_SECONDS
        wait_until(lambda: jira.info()["active"] == 0, "Jira is freed", BACK_SECONDS)


def test_the_gateway_is_killed(stack, jira):
    stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    token = stack.connect("hq")
    load = Load(stack, jira, token)

    with load.in_flight():
        stack.gateway.stop(signal.SIGKILL)

    assert load.outcomes == {"GET": {CLOSED: COUNT}, "POST": {CLOSED: COUNT}}
    stack.start_gateway()
    assert back_in_service(stack, token) < BACK_SECONDS
    wait_until(lambda: jira.info()["active"] == 0, "Jira is freed")


def test_the_gateways_caller_socket_dies(stack, jira):
    """A load balancer between callers and gateway is cut: the callers know nothing, Jira is freed."""
    stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    token = stack.connect("hq")
    with Relay(stack.api_port) as relay:
        load = Load(stack, jira, token, seconds=5)
        for caller in load.callers:
            caller.port = relay.port

        with load.in_flight():
            relay.cut()
            jira.wait_for(lambda jira: jira.info()["active"] == 0, 1.0)

    assert load.outcomes == {"GET": {CLOSED: COUNT}, "POST": {CLOSED: COUNT}}
    assert is_served(stack, token)


def test_one_of_two_agents_is_killed(stack, jira):
    killed = stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    token = stack.connect("hq")
    load = Load(stack, jira, token)

    with load.in_flight():
        killed.stop(signal.SIGKILL)
        assert is_served(stack, token), "the other agent carries on without a pause"

    assert load.outcomes["GET"] == {OK: COUNT}
    assert set(load.outcomes["POST"]) == {OK, LOST}
    assert load.outcomes["POST"][LOST] >= COUNT // 5


def test_jira_drops_every_connection(stack, jira):
    stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    token = stack.connect("hq")
    load = Load(stack, jira, token)

    with load.in_flight():
        jira.call("drop_connections", reset=True)

    assert load.outcomes == {"GET": {OK: COUNT}, "POST": {(502, "jira_protocol", "unknown"): COUNT}}
    assert is_served(stack, token)


def test_jira_restarts(stack, jira):
    stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    token = stack.connect("hq")
    jira.stop(kill=True)

    refused = ask(f"{stack.url}/jira/hq", "POST", "/rest/api/2/test/sink", b"x", [bearer(token)])

    assert (refused.status, refused.error, refused.processed) == (502, "jira_unreachable", "no"), refused
    with JiraProcess("9.12", context="/jira", port=jira.port) as again:
        assert back_in_service(stack, token) < BACK_SECONDS
        assert len(again.requests(marker="/test/sink")) == 1


@pytest.mark.parametrize("who", ["agent", "gateway"])
def test_a_stop_in_good_order_lets_everything_finish(stack, jira, who):
    agent = stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    load = Load(stack, jira, stack.connect("hq"))

    program = agent if who == "agent" else stack.gateway

    with load.in_flight():
        program.send(signal.SIGTERM)

    assert load.outcomes == {"GET": {OK: COUNT}, "POST": {OK: COUNT}}
    assert program.process.wait(BACK_SECONDS) == 0


def test_a_refused_stream_goes_to_the_other_agent_whatever_its_method(stack, jira):
    """One agent takes a single request at a time: what it refuses surely did not reach Jira."""
    for limit in ("1", "256"):
        stack.enroll("hq", JIRA_AGENT_MAX_CONCURRENCY=limit, JIRA_AGENT_LINKS="1", **SERVICE).start_and_wait()
    load = Load(stack, jira, stack.connect("hq"), seconds=0.5)

    pending = [caller.send("POST", f"{load.target}?marker={n}.", b"x") for n, caller in enumerate(load.callers)]
    replies = all_at_once(lambda each: each.read(), pending, 50)

    assert Counter(reply.status for reply in replies) == {200: 2 * COUNT}
    assert len(jira.requests("/rest/api/2/test/sleep")) == 2 * COUNT
    for caller in load.callers:
        caller.close()


def test_a_post_that_jira_hung_up_on_is_never_sent_again(stack, jira):
    stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    token = stack.connect("hq")
    jira.misbehave("/rest/api/2/test/sink", CloseAfterRequestHead(reset=True))

    replies = all_at_once(
        lambda n: ask(f"{stack.url}/jira/hq", "POST", f"/rest/api/2/test/sink?n={n}.", b"x", [bearer(token)]),
        range(20),
        10,
    )

    assert {(reply.status, reply.error, reply.processed) for reply in replies} == {(502, "jira_protocol", "unknown")}
    assert Counter(seen["target"] for seen in jira.requests(marker="/test/sink")).most_common(1)[0][1] == 1


def test_readiness_follows_the_links(stack):
    agent = stack.enroll("hq", **SERVICE, **ROOMY).start_and_wait()
    stack.gateway.stop(signal.SIGKILL)

    wait_until(lambda: page(agent.admin_port, "/readyz")[0] == 503, "the agent says that it has no link")
    assert page(agent.admin_port, "/healthz")[0] == 200
    stack.start_gateway()
    wait_until(lambda: page(agent.admin_port, "/readyz")[0] == 200, "it is ready again", BACK_SECONDS)
