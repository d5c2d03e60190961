"""What a session refuses from its peer, and what it ignores."""

import pytest

from tests.support.tunnel_pair import Pair, Recorder
from tunnel.budget import Budget
from tunnel.errors import ErrorCode, Progress, RemoteProtocolError
from tunnel.frames import (
    HEADER,
    KIB,
    FrameType,
    GoAway,
    Hello,
    encode_go_away,
    encode_hello,
    encode_window_update,
    frame,
)
from tunnel.heads import NO_BODY, STREAMED, RequestHead, ResponseHead, encode_request, encode_response, share_fields
from tunnel.session import Role, Session

GET = RequestHead(b"GET", b"/", [])
PUT = RequestHead(b"PUT", b"/", [], STREAMED)
HELLO = encode_hello(Hello((1,), 65536, 100))


def refused(session, message):
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive(message)
    return caught.value.code


def data(stream, payload, flags=0):
    return frame(FrameType.DATA, payload, stream=stream, flags=flags)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\4\0\0",
        HEADER.pack(4, 0, 2, 10) + b"short",
        HEADER.pack(4, 0, 2, 65537) + bytes(65537),
        bytes(257 * KIB),
        HELLO,  # a second one
        data(0, b"x"),
        data(2, b"x"),  # never open
        data(1, b"x"),
        data(2, b"x", flags=2),
        data(2, b""),
        frame(FrameType.PING, bytes(7)),
        frame(FrameType.PING, bytes(8), stream=2),
        frame(FrameType.PING, bytes(8), flags=2),
        frame(FrameType.RST_STREAM, b"\0\1\0", stream=0),
        frame(FrameType.WINDOW_UPDATE, bytes(4), stream=2),
        encode_request(GET, 1, 0, end=True),  # the agent's own parity
        encode_request(GET, 2, 2**31, end=True),
        encode_response(ResponseHead(200, []), 1, end=True),  # never asked
        encode_response(ResponseHead(200, []), 2, end=True),  # an answer to itself
    ],
)
def test_a_message_that_breaks_the_protocol_is_refused(message):
    refused(Pair().agent, message)


def test_what_is_unknown_is_skipped():
    pair = Pair()
    pair.agent.receive(HEADER.pack(77, 255, 9, 3) + b"???" + frame(FrameType.PING, bytes(8)))
    assert pair.agent.take_message() == frame(FrameType.PING, bytes(8), flags=1)


@pytest.mark.parametrize("first", [frame(FrameType.PING, bytes(8)), HEADER.pack(77, 0, 0, 0), data(2, b"x")])
def test_hello_comes_first(first):
    refused(Session(Role.AGENT, budget=Budget(), clock=float), first)


def test_without_a_common_version_the_link_is_refused():
    session = Session(Role.AGENT, budget=Budget(), clock=float)
    refused(session, encode_hello(Hello((2, 3), 65536, 100)))
    assert not session.is_usable


def test_the_highest_common_version_is_in_force():
    session = Session(Role.AGENT, budget=Budget(), clock=float)
    session.receive(encode_hello(Hello((9, 1), 65536, 100)))
    assert session.version == 1


def test_ids_must_increase():
    pair = Pair()
    pair.agent.receive(encode_request(GET, 8, 0, end=True))
    refused(pair.agent, encode_request(GET, 8, 0, end=True))
    refused(pair.agent, encode_request(GET, 6, 0, end=True))


def test_frames_for_closed_streams_are_ignored_and_counted():
    pair = Pair()
    stream = pair.open(PUT).stream
    pair.accepted[0].stream.reset(ErrorCode.CANCEL)
    pair.agent.receive(data(stream.id, b"late") + encode_window_update(stream.id, 5))
    assert pair.agent.registry.ignored_frames == 2
    assert pair.accepted[0].calls == []


def test_data_beyond_the_credit_closes_the_link():
    pair = Pair()
    stream = pair.open(PUT).stream
    window = pair.accepted[0].stream.window
    pair.accepted[0].consumes = False
    window.credit = 100
    assert refused(pair.agent, data(stream.id, bytes(101))) is ErrorCode.FLOW_CONTROL


def test_too_much_credit_closes_the_link():
    pair = Pair()
    stream = pair.open(PUT).stream
    assert refused(pair.gateway, encode_window_update(stream.id, 2**31 - 1)) is ErrorCode.FLOW_CONTROL


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (3, data(2, b"four")),
        (3, data(2, b"2", flags=1)),
        (3, frame(FrameType.TRAILERS, b"\0\0", stream=2)),
        (NO_BODY, data(2, b"x")),
    ],
)
def test_a_body_of_another_length_than_promised_ends_the_stream(body, frames):
    pair = Pair()
    pair.agent.receive(encode_request(RequestHead(b"PUT", b"/", [], body), 2, 0, end=False))
    pair.agent.receive(frames)
    assert pair.accepted[0].calls[-1][:2] == ("reset", ErrorCode.PROTOCOL_ERROR)
    assert pair.agent.is_usable
    assert pair.agent.budget.granted == 0


def test_a_request_that_ends_before_its_promised_body_is_turned_away():
    pair = Pair()
    pair.agent.receive(encode_request(RequestHead(b"PUT", b"/", [], 5), 2, 0, end=True))
    assert pair.accepted == []


def test_states_out_of_order_close_the_link():
    pair = Pair()
    stream = pair.open(GET).stream
    refused(pair.gateway, data(stream.id, b"before the head"))
    pair.gateway.receive(encode_response(ResponseHead(200, [], STREAMED), stream.id, end=False))
    refused(pair.gateway, encode_response(ResponseHead(200, [], STREAMED), stream.id, end=False))


def test_a_large_upload_gets_a_wider_window_at_once():
    pair = Pair()
    stream = pair.open(RequestHead(b"PUT", b"/", [], 10**9)).stream
    assert stream.credit == 256 * KIB


def test_a_go_away_may_only_lower_its_last_id():
    pair = Pair()
    pair.gateway.receive(encode_go_away(GoAway(4, ErrorCode.DRAINING, 0, "")))
    pair.gateway.receive(encode_go_away(GoAway(2, ErrorCode.DRAINING, 0, "")))
    refused(pair.gateway, encode_go_away(GoAway(4, ErrorCode.DRAINING, 0, "")))


def test_a_peer_that_never_reads_its_answers_is_cut():
    pair = Pair(max_streams=4)
    ping = frame(FrameType.PING, bytes(8))
    pair.agent.receive(ping * 80)
    refused(pair.agent, ping)


def test_more_streams_than_allowed_are_turned_away():
    pair = Pair(max_streams=1)
    pair.agent.receive(encode_request(PUT, 2, 0, end=False) + encode_request(PUT, 4, 0, end=False))
    assert len(pair.accepted) == 1
    pair.gateway.registry.next_id = 6
    pair.gateway.receive(pair.agent.take_message())  # the answer to an id the gateway does not know any more


def test_a_program_that_fails_on_settings_keeps_its_link():
    pair = Pair()
    faults = []
    pair.gateway.on_fault = lambda stream, error: faults.append((stream, type(error)))
    pair.gateway.on_settings = lambda settings: settings[b"missing"]
    pair.agent.announce({b"a": b"b"})
    pair.settle()
    assert faults == [(None, KeyError)]


def test_a_reset_carries_what_its_sender_knows():
    pair = Pair()
    receiver = pair.open(PUT)
    pair.accepted[0].stream.reset(ErrorCode.JIRA_TIMEOUT, Progress.SENT, "30 s")
    pair.settle()
    assert receiver.calls == [("reset", ErrorCode.JIRA_TIMEOUT, Progress.SENT, "30 s")]


def test_a_gateway_keeps_nothing_of_what_agents_send():
    common = share_fields({b"kind": b"event"}, [(b"A", b"b")])
    for receiving, sending in (("gateway", "agent"), ("agent", "gateway")):
        pair, heads = Pair(), []
        getattr(pair, receiving).accept = lambda stream, head, heads=heads: heads.append(head) or Recorder(stream)
        for number in (b"1", b"2"):
            head = RequestHead(b"GET", b"/", common.headers, meta={b"id": number, **common.meta}, shared=common)
            getattr(pair, sending).open_stream(head, Recorder(consumes=False))
            pair.settle()
        assert [head.shared is None for head in heads] == [receiving == "gateway"] * 2
