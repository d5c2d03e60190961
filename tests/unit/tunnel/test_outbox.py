"""In which order a session speaks, and how much at a time."""

from tests.support.tunnel_pair import Pair, Recorder
from tunnel.budget import HIGH_WATER, NARROW_WINDOW, Budget
from tunnel.errors import ErrorCode
from tunnel.frames import HEADER, HEADER_BYTES, KIB, FrameType
from tunnel.heads import STREAMED, RequestHead
from tunnel.outbox import BULK_AFTER, SHARED_CHUNK

MEMORY = 2048 * KIB
PUT = RequestHead(b"PUT", b"/", [], STREAMED)


def frames(message):
    """(type, stream, length) of each frame of a message."""
    found, at = [], 0
    while at < len(message):
        kind, _flags, stream, length = HEADER.unpack_from(message, at)
        found.append((FrameType(kind).name, stream, length))
        at += HEADER_BYTES + length
    assert at == len(message)
    return found


def data_of(message):
    return [(stream, length) for kind, stream, length in frames(message) if kind == "DATA"]


def uploads(count):
    pair = Pair()
    return pair, [pair.open(PUT).stream for _ in range(count)]


def test_everything_said_in_one_turn_leaves_in_one_message():
    pair, streams = uploads(10)
    for stream in streams:
        stream.send_data(b"x" * 100, end=True)
    message = pair.gateway.take_message()
    assert len(data_of(message)) == 10
    assert pair.gateway.take_message() == b""


def test_control_leaves_before_heads_and_heads_before_data():
    pair, (stream,) = uploads(1)
    stream.send_data(b"x")
    pair.gateway.open_stream(PUT, Recorder())
    pair.gateway.ping()
    assert [frame[0] for frame in frames(pair.gateway.take_message())] == ["PING", "HEADERS", "DATA"]


def test_a_lone_stream_sends_64_kib_frames():
    pair, (stream,) = uploads(1)
    stream.send_data(b"x" * 200 * KIB)
    assert data_of(pair.gateway.take_message())[0] == (stream.id, 64 * KIB)


def test_several_streams_take_turns_with_16_kib():
    pair, (one, two) = uploads(2)
    for stream in (one, two):
        stream.send_data(b"x" * 40 * KIB)
    turns = data_of(pair.gateway.take_message())
    assert turns[:4] == [(one.id, SHARED_CHUNK), (two.id, SHARED_CHUNK)] * 2


def test_a_stream_that_sent_64_kib_waits_for_small_ones_but_never_starves():
    pair, (bulk, *small) = uploads(20)
    bulk.credit = 10**6
    bulk.send_data(b"x" * BULK_AFTER)
    pair.gateway.take_message()
    bulk.send_data(b"x" * 100 * KIB)
    for stream in small:
        stream.send_data(b"y" * 32 * KIB)
    turns = data_of(pair.gateway.take_message())
    assert turns[0][0] != bulk.id
    assert turns[-1] == (bulk.id, SHARED_CHUNK)


def test_small_chunks_share_a_frame():
    pair, (stream,) = uploads(1)
    for _ in range(10):
        stream.send_data(b"x" * 10)
    assert data_of(pair.gateway.take_message()) == [(stream.id, 100)]


def test_a_message_never_exceeds_its_limit():
    pair, streams = uploads(5)
    for stream in streams:
        stream.send_data(b"x" * 64 * KIB, end=True)
    while message := pair.gateway.take_message(70 * KIB):
        assert len(message) <= 70 * KIB


def test_no_more_leaves_than_the_peer_granted():
    pair, (stream,) = uploads(1)
    stream.credit = 1000
    stream.send_data(b"x" * 5000)
    assert data_of(pair.gateway.take_message()) == [(stream.id, 1000)]
    assert pair.gateway.take_message() == b""
    assert stream.queued_bytes == 4000


def test_the_writer_hears_once_that_it_may_go_on():
    pair = Pair()
    receiver = pair.open(PUT)
    receiver.stream.send_data(b"x" * (HIGH_WATER + 1))
    receiver.stream.credit = HIGH_WATER // 2
    pair.gateway.take_message()
    assert receiver.calls == []
    receiver.stream.credit = HIGH_WATER
    pair.gateway.outbox.offer(receiver.stream)
    while pair.gateway.take_message():
        pass
    assert receiver.calls == [("writable",)]


def test_the_less_memory_there_is_the_less_of_a_stream_waits():
    """At half of the budget a stream may hold 64 KiB, and near its end 16: all are choked before it is full."""
    budget = Budget(MEMORY)
    pair = Pair(budget=budget)
    streams = [pair.open(PUT).stream for _ in range(32)]
    budget.granted, held = 0, []
    for stream in streams:
        while not stream.is_choked:
            stream.send_data(b"x" * 8 * KIB)
        held.append(stream.queued_bytes // KIB)
    assert sorted(set(held), reverse=True) == [*held[:1], 72, 24]
    assert held[0] == HIGH_WATER // KIB + 8
    assert held == sorted(held, reverse=True)
    assert budget.waiting == sum(held) * KIB < MEMORY


def test_a_stream_goes_on_at_half_of_what_may_wait_now():
    budget = Budget(MEMORY)
    pair = Pair(budget=budget)
    receiver = pair.open(PUT)
    receiver.stream.credit = 0
    receiver.stream.send_data(b"x" * (HIGH_WATER + 1))
    budget.waiting += MEMORY  # others came
    for credit in (HIGH_WATER - NARROW_WINDOW // 2, 1):
        assert receiver.calls == []
        receiver.stream.credit = credit
        pair.gateway.outbox.offer(receiver.stream)
        while pair.gateway.take_message():
            pass
    assert receiver.calls == [("writable",)]


def test_what_waited_is_not_counted_any_more_when_its_stream_or_link_ends():
    pair, (one, other) = uploads(2)
    for stream in (one, other):
        stream.send_data(b"x" * 100 * KIB)
    budget = pair.gateway.budget
    assert budget.waiting == 200 * KIB
    one.reset(ErrorCode.CANCEL)
    assert budget.waiting == 100 * KIB
    pair.gateway.lose("gone")
    assert budget.waiting == 0


def test_trailers_follow_the_last_byte():
    pair, (stream,) = uploads(1)
    stream.send_data(b"x" * 100)
    stream.send_end([(b"a", b"b")])
    assert [frame[0] for frame in frames(pair.gateway.take_message())] == ["DATA", "TRAILERS"]


def test_output_is_announced_once_until_it_was_taken():
    pair, (stream,) = uploads(1)
    calls = []
    pair.gateway.outbox.on_output = lambda: calls.append(1)
    stream.send_data(b"x")
    stream.send_data(b"y")
    pair.gateway.ping()
    assert len(calls) == 1
    while pair.gateway.take_message():
        pass
    stream.send_data(b"z")
    assert len(calls) == 2


def test_a_reset_stream_leaves_nothing_behind():
    pair, (stream,) = uploads(1)
    stream.send_data(b"x" * 1000)
    stream.reset(ErrorCode.CANCEL)
    assert [frame[0] for frame in frames(pair.gateway.take_message())] == ["RST_STREAM"]
    assert repr(pair.gateway.outbox) == "<Outbox 0/0/0/0 queued=0>"


def without_credit(pair):
    """A stream that has sent its whole first window, and has 10 bytes more."""
    stream = pair.open(PUT, consumes=False).stream
    pair.settle()
    stream.send_data(b"x" * (stream.credit + 10))
    while pair.gateway.take_message():
        pass
    return stream


def test_time_without_credit_is_counted_while_it_lasts_and_afterwards():
    pair = Pair()
    assert pair.gateway.outbox.blocked_seconds == 0
    one = without_credit(pair)
    pair.now += 2
    without_credit(pair)
    pair.now += 3
    assert pair.gateway.outbox.blocked_seconds == 8
    assert pair.gateway.outbox.waiting_bytes() == (0, 0, 0, 0, 20)
    one.credit += 10
    pair.gateway.outbox.offer(one)
    pair.now += 1
    assert pair.gateway.outbox.blocked_seconds == 9
    assert pair.gateway.outbox.waiting_bytes() == (0, 0, 0, 10, 10), "one is bulk by now"
    pair.gateway.lose("gone")
    pair.now += 100
    assert pair.gateway.outbox.blocked_seconds == 9
    assert pair.gateway.outbox.waiting_bytes() == (0, 0, 0, 0, 0)


def test_a_stream_that_waits_for_its_turn_is_not_blocked():
    pair, (stream,) = uploads(1)
    pair.gateway.ping()
    stream.send_data(b"x" * 100)
    pair.now += 5
    assert pair.gateway.outbox.blocked_seconds == 0
    control, heads, small, bulk, blocked = pair.gateway.outbox.waiting_bytes()
    assert (small, bulk, blocked) == (100, 0, 0)
    assert control > 0
    assert heads == 0


def test_on_a_slow_line_a_message_holds_little_data_and_all_that_is_urgent():
    pair, (one, two) = uploads(2)
    pair.gateway.outbox.limit_data(16 * KIB)
    for stream in (one, two):
        stream.send_data(b"x" * 40 * KIB)
    pair.gateway.open_stream(PUT, Recorder())
    pair.gateway.ping()

    first = frames(pair.gateway.take_message())
    second = frames(pair.gateway.take_message())

    assert [frame[0] for frame in first] == ["PING", "HEADERS", "DATA"]
    assert first[-1][1:] == (one.id, 16 * KIB)
    assert second == [("DATA", two.id, 16 * KIB)]


def test_on_a_slow_line_small_streams_go_first_and_bulk_goes_on():
    pair, (bulk, small) = uploads(2)
    bulk.credit = 10**6
    bulk.send_data(b"x" * BULK_AFTER)
    pair.gateway.take_message()
    pair.gateway.outbox.limit_data(16 * KIB)
    bulk.send_data(b"x" * 100 * KIB)
    small.send_data(b"y" * 40 * KIB)

    assert data_of(pair.gateway.take_message()) == [(small.id, 16 * KIB), (bulk.id, 16 * KIB)]


def test_trailers_larger_than_what_a_slow_line_takes_at_once_leave_all_the_same():
    pair, (stream,) = uploads(1)
    pair.gateway.outbox.limit_data(16 * KIB)
    stream.send_data(b"x" * 20 * KIB)
    stream.send_end([(b"Checksum", b"y" * 30 * KIB)])

    kinds = []
    while message := pair.gateway.take_message():
        kinds += [kind for kind, _, _ in frames(message)]
    assert kinds == ["DATA", "DATA", "TRAILERS"]
