"""One link's canary: at most one is out, and whatever comes back is life."""

import pytest

from gateway.canary import Canary
from tests.support.fake_link import FakeLink
from tests.support.tunnel_pair import Pair
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, ResponseHead


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def sent(clock):
    canary, link = Canary(clock), FakeLink()
    canary.send(link, clock.now, 9.0)
    return canary, link.opened[-1]


def test_it_asks_for_nothing_that_could_go_to_jira(clock):
    canary, stream = sent(clock)

    assert canary.is_out
    assert (stream.head.method, stream.head.target, stream.head.body) == (b"HEAD", b"/v1/canary", NO_BODY)
    assert stream.head.meta == {b"canary": b""}  # no credentials: who does not know it refuses it
    assert stream.head.timeout_ms == 9000


def test_an_answer_brings_it_back_and_tells_how_long_it_took(clock):
    canary, stream = sent(clock)
    clock.now += 0.25
    stream.respond(ResponseHead(204, []))
    stream.end()

    assert not canary.is_out
    assert canary.took == 0.25


def test_an_answer_that_does_not_end_is_ended(clock):
    pair = Pair()
    canary = Canary(clock)
    for _ in range(3):
        canary.send(pair.gateway, clock.now, 9.0)
        pair.settle()
        pair.accepted[-1].stream.respond(ResponseHead(200, [], 5))
        pair.settle()
        assert not canary.is_out

    assert pair.gateway.streams == pair.agent.streams == 0


def test_one_that_was_answered_well_sends_nothing_more(clock):
    pair = Pair()
    canary = Canary(clock)
    canary.send(pair.gateway, clock.now, 9.0)
    pair.settle()
    accepted = pair.accepted[-1]
    accepted.stream.respond(ResponseHead(204, []), end=True)
    pair.settle()

    assert accepted.calls == [("end", [])]
    assert pair.gateway.streams == pair.agent.streams == 0


@pytest.mark.parametrize("code", [ErrorCode.BAD_REQUEST, ErrorCode.OVERLOADED, ErrorCode.PAUSED, ErrorCode.INTERNAL])
def test_a_refusal_is_an_answer(clock, code):
    canary, stream = sent(clock)
    clock.now += 1.0
    stream.lose(code, Progress.NOT_SENT)

    assert (canary.is_out, canary.took) == (False, 1.0)


def test_a_lost_link_is_no_answer(clock):
    canary, stream = sent(clock)
    stream.lose(ErrorCode.LINK_LOST, Progress.SENT)

    assert (canary.is_out, canary.took) == (False, None)


@pytest.mark.parametrize("code", [ErrorCode.OVERLOADED, ErrorCode.DRAINING, ErrorCode.LINK_LOST])
def test_where_no_stream_can_be_opened_none_is_out(clock, code):
    canary, link = Canary(clock), FakeLink()
    link.refuses = code
    canary.send(link, clock.now, 9.0)

    assert not canary.is_out
