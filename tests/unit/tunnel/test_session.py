"""What a session promises to its program."""

import pytest

from tests.support.tunnel_pair import Pair, Recorder
from tunnel.budget import Budget
from tunnel.errors import ErrorCode, Progress, StreamRefused
from tunnel.frames import KIB, MAX_STREAM_ID
from tunnel.heads import STREAMED, RequestHead, ResponseHead
from tunnel.session import BULK_LOAD, Role, Session

GET = RequestHead(
    b"GET", b"/rest/api/2/issue/A-1", [(b"Accept", b"*/*")], timeout_ms=60_000, meta={b"request-id": b"r1"}
)
PUT = RequestHead(b"PUT", b"/", [], STREAMED)


def refused(session, head=GET):
    with pytest.raises(StreamRefused) as caught:
        session.open_stream(head, Recorder())
    return caught.value.code


def test_an_exchange_arrives_as_it_was_sent():
    pair = Pair()
    heads = []
    pair.agent.accept = lambda stream, head: heads.append(head) or pair._accept(stream, head)
    receiver = pair.open(GET)
    assert heads == [GET]
    answer = ResponseHead(200, [(b"Content-Type", b"application/json")], 4, {b"jira-us": b"1200"})
    stream = pair.accepted[0].stream
    stream.respond(answer)
    stream.send_data(b"null", end=True)
    pair.settle()
    assert receiver.calls == [("response", answer), ("data", b"null"), ("end", [])]
    assert pair.gateway.streams == pair.agent.streams == 0
    assert pair.gateway.budget.granted == 0


def test_both_sides_open_streams():
    pair = Pair()
    pair.gateway.accept = lambda stream, _head: Recorder(stream)
    theirs = pair.agent.open_stream(GET, Recorder())
    pair.settle()
    ours = pair.open(GET).stream
    assert (theirs.id, ours.id) == (1, 2)


def test_nothing_is_opened_before_hello():
    assert refused(Session(Role.GATEWAY, budget=Budget(), clock=float)) is ErrorCode.DRAINING


def test_the_peers_limit_on_streams_is_kept():
    pair = Pair(max_streams=2)
    pair.open(PUT)
    first = pair.open(PUT)
    assert refused(pair.gateway) is ErrorCode.OVERLOADED
    first.stream.reset(ErrorCode.CANCEL)
    pair.open(GET)


def test_without_budget_nothing_is_opened():
    pair = Pair(budget=Budget(300 * KIB))
    for _ in range(3):  # 256 + 16 + 16 KiB
        pair.open(GET)
    assert refused(pair.gateway) is ErrorCode.OVERLOADED


def test_an_acceptor_without_budget_turns_the_stream_away_unsent():
    pair = Pair()
    pair.agent.budget.reserve(pair.agent.budget.total_bytes)
    receiver = pair.open(PUT)
    assert receiver.calls == [("reset", ErrorCode.OVERLOADED, Progress.NOT_SENT, "")]
    bodiless = pair.open(GET)
    assert bodiless.calls == []


def test_a_head_too_large_is_refused_and_reserves_nothing():
    pair = Pair()
    assert refused(pair.gateway, RequestHead(b"GET", b"/" * 70_000, [])) is ErrorCode.BAD_REQUEST
    assert pair.gateway.budget.granted == 0


def test_after_going_away_open_streams_finish_and_new_ones_are_refused():
    pair = Pair()
    receiver = pair.open(GET)
    pair.gateway.go_away()
    pair.settle()
    assert refused(pair.gateway) is ErrorCode.DRAINING
    assert refused(pair.agent) is ErrorCode.DRAINING
    pair.accepted[0].stream.respond(ResponseHead(204, []), end=True)
    pair.settle()
    assert [call[0] for call in receiver.calls] == ["response", "end"]


def test_a_stream_that_crosses_a_go_away_was_not_processed():
    pair = Pair()
    receiver = Recorder()
    pair.gateway.open_stream(PUT, receiver)
    pair.agent.go_away(ErrorCode.DRAINING, 2000, "restart")
    pair.settle()
    assert receiver.calls == [("reset", ErrorCode.DRAINING, Progress.NOT_SENT, "restart")]
    assert pair.gateway.go_away_received.retry_after_ms == 2000
    assert pair.accepted == []


def test_when_ids_run_out_the_session_goes_away():
    pair = Pair()
    pair.gateway.registry.next_id = MAX_STREAM_ID - 1
    pair.open(GET)
    assert refused(pair.gateway) is ErrorCode.DRAINING
    pair.settle()
    assert pair.agent.is_draining


def test_a_lost_link_ends_every_stream_with_what_is_known():
    pair = Pair()
    sent, answered = pair.open(GET), pair.open(GET)
    pair.accepted[1].stream.respond(ResponseHead(200, [], STREAMED))
    pair.settle()
    unsent = Recorder()
    pair.gateway.open_stream(GET, unsent)
    pair.gateway.lose("cut")
    outcomes = [receiver.calls[-1] for receiver in (unsent, sent, answered)]
    assert outcomes == [("reset", ErrorCode.LINK_LOST, progress, "cut") for progress in Progress]
    assert refused(pair.gateway) is ErrorCode.LINK_LOST
    assert pair.gateway.budget.granted == 0


def test_a_receiver_may_end_other_streams_while_the_link_is_lost():
    pair = Pair()
    one, two = pair.open(GET), pair.open(GET)
    one.on_reset = lambda *_: two.stream.reset(ErrorCode.CANCEL)
    pair.gateway.lose("cut")
    assert two.calls == []
    assert pair.gateway.streams == 0


@pytest.mark.parametrize("callback", ["on_response", "on_data", "on_end", "on_reset", "on_writable"])
def test_a_receiver_that_raises_loses_its_stream_and_nothing_else(callback):
    pair = Pair()
    faults = []
    pair.gateway.on_fault = lambda stream, error: faults.append((stream.id, str(error)))
    receiver, other = pair.open(PUT), pair.open(GET)

    def fail(*_):
        raise ValueError(callback)

    setattr(receiver, callback, fail)
    receiver.stream.send_data(b"x" * 300 * KIB)
    accepted = pair.accepted[0].stream
    pair.settle()
    accepted.respond(ResponseHead(200, [], STREAMED))
    accepted.send_data(b"x")
    pair.settle()
    if callback == "on_end":
        accepted.send_end()
    if callback == "on_reset":
        accepted.reset(ErrorCode.INTERNAL)
    pair.settle()
    assert faults == [(receiver.stream.id, callback)]
    assert receiver.stream.is_closed
    assert not other.stream.is_closed
    assert pair.gateway.is_usable


def test_an_acceptor_that_raises_resets_the_stream():
    pair = Pair()
    faults = []
    pair.agent.on_fault = lambda _stream, error: faults.append(error)
    pair.agent.accept = lambda _stream, _head: 1 / 0
    receiver = pair.open(GET)
    assert receiver.calls[0][1] is ErrorCode.INTERNAL
    assert isinstance(faults[0], ZeroDivisionError)


def test_settings_reach_the_peer():
    pair = Pair()
    heard = []
    pair.gateway.on_settings = heard.append
    pair.agent.announce({b"jira-url": b"https://jira.corp.local", b"unknown": b""})
    pair.settle()
    assert heard == [{b"jira-url": b"https://jira.corp.local", b"unknown": b""}]


def test_load_counts_streams_and_queued_bytes():
    pair = Pair()
    stream = pair.open(PUT).stream
    stream.credit = 0
    stream.send_data(b"x" * 1000)
    assert pair.gateway.load == 16 * KIB + 1000


def test_a_download_that_goes_on_weighs_as_much_as_what_it_queues_at_the_peer():
    pair = Pair()
    pair.open(GET)
    stream = pair.accepted[0].stream
    stream.respond(ResponseHead(200, [], STREAMED))
    stream.send_data(b"x" * 4 * KIB)
    pair.settle()
    before = pair.gateway.load

    stream.send_data(b"x" * 100 * KIB)
    pair.settle()
    during = pair.gateway.load
    stream.send_end()
    pair.settle()

    assert (before, during, pair.gateway.load) == (16 * KIB, 16 * KIB + BULK_LOAD, 0)


def test_the_round_trip_is_measured_after_hello():
    pair = Pair()
    pair.gateway.ping()
    message = pair.gateway.take_message()
    pair.now = 0.04
    pair.agent.receive(message)
    pair.gateway.receive(pair.agent.take_message())
    assert pair.gateway.pings.latest == 0.04


def test_a_receiver_that_does_not_consume_holds_at_most_its_window():
    pair = Pair()
    receiver = pair.open(GET, consumes=False)
    accepted = pair.accepted[0].stream
    accepted.respond(ResponseHead(200, [], STREAMED))
    accepted.send_data(b"x" * 1024 * KIB)
    pair.settle()
    assert len(receiver.body) == 256 * KIB == pair.gateway.budget.granted


def test_the_state_is_visible():
    assert repr(Pair().gateway).startswith("<Session GATEWAY streams=0 usable=True <Outbox")
