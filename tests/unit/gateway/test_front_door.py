"""The front door: what is admitted goes on its way, everything else is answered here."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from gateway.directory import Directory
from gateway.forward import Forward
from gateway.front_door import FrontDoor
from gateway.outcomes import OutcomeLog
from gateway.registry import Registry
from gateway.sealing import SecretKey
from gateway.store import Connection, Credentials, Snapshot, Token
from gateway.tokens import hash_token
from http1.errors import Rejection, RequestRejected
from http1.sweep import Sweeper
from tests.support.fake_link import FakeExchange, agent_link

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = SecretKey(SecretStr("k" * 40))
LOGIN = (b"Authorization", b"Bearer jtg_canary")


def directory(version=1, *, tokens=True):
    token = Token("ci", hash_token(b"jtg_canary"), NOW, frozenset({"hq"}))
    connection = Connection("hq", "hq", Credentials.AGENT)
    return Directory(Snapshot(version, (), (), (connection,), (token,) if tokens else ()), KEY)


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def outcomes():
    return OutcomeLog()


@pytest.fixture
def door(registry, outcomes):
    return FrontDoor(
        directory(), registry, Sweeper(), outcomes, public_url="https://gw", domain="gw.example", wall_clock=lambda: NOW
    )


def exchange(*headers, target=b"/jira/hq/rest/x", method=b"GET", host=b"gw"):
    return FakeExchange(method, target, headers or [LOGIN], host=host)


def test_an_admitted_request_is_handed_to_its_agent(door, registry):
    link = agent_link()
    registry.add(link)
    receiver = door.begin(exchange())

    assert isinstance(receiver, Forward)
    assert [stream.head.target for stream in link.link.opened] == [b"/rest/x"]


def test_ids_are_never_the_same(door, registry):
    link = agent_link()
    registry.add(link)
    for _ in range(100):
        door.begin(exchange())
    assert len({stream.head.meta[b"request-id"] for stream in link.link.opened}) == 100


def test_the_context_path_of_the_agents_jira_is_taken_off_host_addresses(door, registry):
    link = agent_link(context_path=b"/jira")
    registry.add(link)
    door.begin(exchange(target=b"/jira/rest/x", host=b"hq.gw.example"))
    assert link.link.opened[0].head.target == b"/rest/x"


def test_an_answer_on_the_spot_needs_no_receiver(door, outcomes):
    caller = exchange()
    assert door.begin(caller) is None
    assert (caller.status, caller.state) == (503, "finished")
    assert outcomes.by_slug == {"agent_offline": 1}


def test_a_refusal_is_answered_counted_and_logged_without_the_login(door, outcomes):
    caller = exchange((b"Authorization", b"Bearer jtg_canary-wrong"))
    with capture_logs() as lines:
        assert door.begin(caller) is None

    assert (caller.status, caller.state) == (401, "finished")
    assert json.loads(caller.written)["tunnel"]["error"] == "unauthenticated"
    assert outcomes.by_status == {401: 1}
    assert "canary" not in str(lines)


def test_a_changed_directory_counts_for_the_next_request(door):
    door.use(directory(2, tokens=False))
    caller = exchange()
    door.begin(caller)
    assert caller.status == 401


def test_a_draining_gateway_takes_nothing_new_but_still_asks_for_the_token(door, registry):
    registry.add(agent_link())
    door.is_draining = True
    caller, stranger = exchange(), exchange((b"X", b"y"))
    assert door.begin(caller) is None
    assert door.begin(stranger) is None
    assert (caller.status, caller.headers[b"Tunnel-Error"]) == (503, b"draining")
    assert b"Retry-After" in caller.headers
    assert stranger.status == 401


@pytest.mark.parametrize("rejection", Rejection)
@pytest.mark.parametrize("has_head", [True, False])
def test_what_breaks_http_gets_its_documented_answer(door, outcomes, rejection, has_head):
    head = exchange().request if has_head else None
    status, headers, body = door.reject("10.0.0.1", RequestRejected(rejection, "A reason.", head), head)

    content = json.loads(body)
    assert content["errorMessages"] == ["A reason."]
    assert content["tunnel"]["error"] == rejection.name.lower()
    assert dict(headers)[b"Tunnel-Processed"] == b"no"
    assert outcomes.by_status == {status: 1}


def test_a_bug_is_an_internal_error_with_its_traceback_in_the_log(door, monkeypatch):
    def crash(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.front_door.admit", crash)
    caller = exchange()
    with capture_logs() as lines:
        assert door.begin(caller) is None
    assert (caller.status, caller.headers[b"Tunnel-Processed"]) == (500, b"unknown")
    [crashed] = [line for line in lines if line["event"] == "request_crashed"]
    assert crashed["request_id"].encode() == caller.headers[b"X-Request-ID"]
    assert crashed["exc_info"]


def test_a_bug_after_the_answer_has_begun_adds_nothing_to_it(door, monkeypatch):
    caller = exchange()

    def crash(*_):
        caller.respond(200, [], 5)
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.front_door.admit", crash)
    with capture_logs():
        assert door.begin(caller) is None
    assert (caller.status, caller.written) == (200, b"")
