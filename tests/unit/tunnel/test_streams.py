"""The state table and what the program may do with a stream; the wire behind it is real (two sessions)."""

import pytest

from tests.support.tunnel_pair import Pair, Recorder
from tunnel.errors import ErrorCode, LocalProtocolError, Progress
from tunnel.heads import NO_BODY, STREAMED, RequestHead, ResponseHead
from tunnel.streams import AT_HEAD, DATA, DONE, END, HEAD, ILLEGAL, IN_BODY, NEXT

GET = RequestHead(b"GET", b"/", [])
PUT = RequestHead(b"PUT", b"/", [], STREAMED)


def test_the_table_has_exactly_three_legal_steps():
    legal = {(i // 3, i % 3): state for i, state in enumerate(NEXT) if state != ILLEGAL}
    assert legal == {(AT_HEAD, HEAD): IN_BODY, (IN_BODY, DATA): IN_BODY, (IN_BODY, END): DONE}


def test_data_before_the_answers_head_is_our_bug():
    pair = Pair()
    pair.open(PUT)
    stream = pair.accepted[0].stream
    for step in (lambda: stream.send_data(b"x"), lambda: stream.send_data(b"", end=True), stream.send_end):
        with pytest.raises(LocalProtocolError):
            step()


def test_a_second_answer_is_our_bug():
    pair = Pair()
    pair.open(PUT)
    stream = pair.accepted[0].stream
    stream.respond(ResponseHead(200, []))
    with pytest.raises(LocalProtocolError):
        stream.respond(ResponseHead(200, []))


def test_data_after_the_end_is_our_bug():
    pair = Pair()
    stream = pair.open(PUT).stream
    stream.send_end()
    with pytest.raises(LocalProtocolError):
        stream.send_data(b"late")


def test_more_or_fewer_bytes_than_promised_are_our_bug():
    pair = Pair()
    stream = pair.open(RequestHead(b"PUT", b"/", [], 3)).stream
    with pytest.raises(LocalProtocolError):
        stream.send_data(b"four")
    with pytest.raises(LocalProtocolError):
        stream.send_data(b"two"[:2], end=True)


def test_ending_an_empty_request_again_is_harmless():
    pair = Pair()
    for body in (NO_BODY, 0):
        receiver = pair.open(RequestHead(b"GET", b"/", [], body))
        receiver.stream.send_end()
        receiver.stream.send_data(b"")
        pair.settle()
        assert pair.accepted[-1].calls == [("end", [])]


def test_an_answer_to_head_and_a_304_may_name_a_length_that_is_not_sent():
    pair = Pair()
    for method, status in ((b"HEAD", 200), (b"GET", 304)):
        receiver = pair.open(RequestHead(method, b"/", []))
        pair.accepted[-1].stream.respond(ResponseHead(status, [], 1234), end=True)
        pair.settle()
        assert receiver.calls[-1] == ("end", [])
        assert receiver.stream.is_closed


def test_everything_is_a_no_op_on_a_closed_stream():
    pair = Pair()
    receiver = pair.open(PUT)
    accepted = pair.accepted[0]
    accepted.stream.reset(ErrorCode.POLICY_DENIED, Progress.NOT_SENT, "rule 7")
    pair.settle()
    assert receiver.calls == [("reset", ErrorCode.POLICY_DENIED, Progress.NOT_SENT, "rule 7")]
    stream = receiver.stream
    stream.send_data(b"x")
    stream.send_end([(b"a", b"b")])
    stream.respond(ResponseHead(200, []))
    stream.consume(5)
    stream.reset(ErrorCode.CANCEL)
    assert not pair.settle()


def test_a_receiver_hears_nothing_after_its_own_reset():
    pair = Pair()
    receiver = pair.open(PUT)
    accepted = pair.accepted[0].stream
    accepted.respond(ResponseHead(200, [], STREAMED))
    accepted.send_data(b"x", end=True)
    receiver.stream.reset(ErrorCode.CANCEL)
    pair.settle()
    assert receiver.calls == []
    assert pair.accepted[0].calls == [("reset", ErrorCode.CANCEL, Progress.SENT, "")]


def test_opening_and_resetting_before_the_head_left_says_nothing_to_the_peer():
    pair = Pair()
    receiver = Recorder()
    receiver.stream = pair.gateway.open_stream(GET, receiver)
    receiver.stream.reset(ErrorCode.CANCEL)
    assert not pair.settle()
    assert pair.accepted == []
    pair.open(GET)  # the skipped id is no obstacle
    assert len(pair.accepted) == 1


def test_a_reset_follows_its_head():
    pair = Pair()
    receiver = pair.open(PUT)
    accepted = pair.accepted[0].stream
    accepted.respond(ResponseHead(200, [], STREAMED))
    pair.settle()
    accepted.reset(ErrorCode.JIRA_PROTOCOL, Progress.ANSWERED)
    pair.settle()
    assert [call[0] for call in receiver.calls] == ["response", "reset"]


def test_unread_bytes_stay_reserved_after_the_end_until_consumed_or_reset():
    for finish in (lambda stream: stream.consume(5), lambda stream: stream.reset(ErrorCode.CANCEL)):
        pair = Pair()
        receiver = pair.open(GET, consumes=False)
        pair.accepted[0].stream.respond(ResponseHead(200, [], 5))
        pair.accepted[0].stream.send_data(b"hello", end=True)
        pair.settle()
        assert receiver.stream.is_closed
        assert pair.gateway.budget.granted == 5
        finish(receiver.stream)
        assert pair.gateway.budget.granted == 0


def test_consuming_more_than_was_delivered_is_our_bug():
    pair = Pair()
    receiver = pair.open(GET)
    with pytest.raises(LocalProtocolError):
        receiver.stream.consume(1)


def test_progress_follows_the_request():
    pair = Pair()
    receiver = Recorder()
    receiver.stream = pair.gateway.open_stream(GET, receiver)
    assert receiver.stream.progress is Progress.NOT_SENT
    pair.settle()
    assert receiver.stream.progress is Progress.SENT
    pair.accepted[0].stream.respond(ResponseHead(200, [], STREAMED))
    pair.settle()
    assert receiver.stream.progress is Progress.ANSWERED


def test_the_state_is_visible():
    pair = Pair()
    assert repr(pair.open(PUT).stream) == "<Stream 2 1/0 queued=0 closed=False>"
