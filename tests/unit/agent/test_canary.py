"""The agent's answer to a canary: from the sweeper, before all rules, and not while its own queue is stuck."""

from types import SimpleNamespace

import pytest

from agent.canary import Canary
from agent.carrier import Carrier
from agent.screening import Refused
from agent.switch import Switch
from agent.tally import Tally
from http1.sweep import Sweeper
from jira_api.protection.protection import Admission, Protection
from tests.support.tunnel_pair import Pair
from tunnel.errors import ErrorCode
from tunnel.heads import STREAMED, RequestHead


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Waiter:
    caller, method, authorization, account = b"ci", b"GET", None, None

    def __init__(self):
        self.is_admitted = False

    def admitted(self):
        self.is_admitted = True


@pytest.fixture
def jira():
    return SimpleNamespace(
        sweeper=Sweeper(),
        protection=Protection(1, Clock()),
        tally=Tally(),
        report=lambda *what: None,
        audit=SimpleNamespace(request=lambda *what: None),
    )


@pytest.fixture
def pair(jira, tmp_path):
    """Two sessions; the agent's carrier refuses every request."""
    pair = Pair()
    screening = SimpleNamespace(screen=lambda head: Refused(ErrorCode.POLICY_DENIED, "no"))
    pair.agent.accept = Carrier(screening, jira, Switch(tmp_path, lambda: 0)).accept
    return pair


def canary(**fields):
    return RequestHead(
        **{"method": b"HEAD", "target": b"/v1/canary", "headers": [], "meta": {b"canary": b""}, **fields}
    )


def outcome(pair, heard):
    pair.settle()
    return [call[0] if call[0] != "response" else call[1].status for call in heard.calls]


def test_it_is_answered_at_the_next_sweep_and_not_before(pair, jira):
    heard = pair.open(canary())
    assert outcome(pair, heard) == []

    jira.sweeper.sweep(0.1)

    assert outcome(pair, heard) == [204, "end"]
    assert len(jira.sweeper) == 0
    assert pair.agent.streams == pair.gateway.streams == 0
    assert not jira.tally.outcomes  # it is no request


def test_it_costs_no_credit(pair):
    pair.open(canary())

    assert pair.gateway.budget.granted == 0


def test_it_is_not_answered_while_a_request_waits_that_could_go(pair, jira):
    first, second = Waiter(), Waiter()
    assert jira.protection.enter(first) is Admission.ADMITTED
    assert jira.protection.enter(second) is Admission.QUEUED
    heard = pair.open(canary())
    jira.sweeper.sweep(0.1)
    assert outcome(pair, heard) == [204, "end"]  # a full house is no fault

    jira.protection._is_dispatching = True  # what a bug would look like: nobody is let go any more
    jira.protection.release(first)
    heard = pair.open(canary())
    for now in (0.2, 0.3, 9.0):
        jira.sweeper.sweep(now)
    assert outcome(pair, heard) == []
    assert jira.protection.is_stuck

    jira.protection._is_dispatching = False
    jira.protection.expire(9.1)
    jira.sweeper.sweep(9.1)
    assert second.is_admitted
    assert outcome(pair, heard) == [204, "end"]


def test_one_that_is_taken_back_is_forgotten(pair, jira):
    heard = pair.open(canary())
    heard.stream.reset(ErrorCode.CANCEL)
    pair.settle()

    assert len(jira.sweeper) == 0
    jira.sweeper.sweep(1.0)


def test_a_lost_link_takes_its_canary_along(pair, jira):
    pair.open(canary())
    pair.agent.lose("cut")

    assert len(jira.sweeper) == 0


@pytest.mark.parametrize(
    "fields", [{"method": b"GET"}, {"method": b"POST"}, {"meta": {b"credentials": b"agent"}}, {"body": STREAMED}]
)
def test_what_only_looks_like_one_is_a_request(pair, jira, fields):
    heard = pair.open(canary(**fields))

    assert outcome(pair, heard) == ["reset"]
    assert jira.tally.denials == 1


def test_its_receiver_takes_whatever_a_hostile_gateway_sends(jira):
    receiver = Canary(SimpleNamespace(respond=lambda *_, **__: None), jira)
    receiver.on_end([])
    receiver.on_writable()
    receiver.on_data(b"x")
    receiver.on_reset(ErrorCode.CANCEL, None, "")
    receiver.on_reset(ErrorCode.CANCEL, None, "")
