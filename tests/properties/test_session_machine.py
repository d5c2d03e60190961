"""Two sessions back to back under random interleavings, and one session under random bytes.

Checked after every step: no window is exceeded, the books of the windows add up to the budget. Checked at the end of every run:
bytes arrived in order and complete, every stream ended exactly once on both sides, the budgets are empty, nothing is left.
"""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.tunnel_pair import Recorder
from tunnel.budget import Budget
from tunnel.errors import ErrorCode, Progress, RemoteProtocolError, StreamRefused
from tunnel.frames import HEADER, KIB, FrameType, Hello, encode_hello
from tunnel.heads import NO_BODY, STREAMED, RequestHead, ResponseHead
from tunnel.session import Role, Session

PATTERN = bytes(range(251)) * 2100  # 515 KiB, no power of two: a shifted byte is seen
HEADERS = [(b"Accept", b"*/*"), (b"X-Repeated", b"1"), (b"X-Repeated", b"2")]
TRAILERS = [(b"Checksum", b"abc")]


class End:
    """One side of one stream: receives, checks order, keeps what it has not consumed."""

    def __init__(self, stream=None):
        self.stream = stream
        self.received = 0
        self.unread = 0
        self.sent = 0
        self.left = None  # bytes that the sending half still may send; None: streamed
        self.is_answered = False
        self.can_send = False
        self.has_reset = False
        self.ends = []
        self.other = None

    def on_response(self, head):
        assert not self.is_answered
        assert head.headers == HEADERS
        self.is_answered = True

    def on_data(self, data):
        assert not self.ends
        assert not self.has_reset
        start = self.received % 251
        assert data == PATTERN[start : start + len(data)]
        self.received += len(data)
        self.unread += len(data)

    def on_end(self, trailers):
        assert trailers in ([], TRAILERS)
        assert not self.has_reset
        self.ends.append("end")

    def on_reset(self, code, progress, detail):
        assert not self.has_reset
        assert "reset" not in self.ends
        assert isinstance(code, ErrorCode)
        assert isinstance(progress, Progress)
        self.ends.append("reset")

    def on_writable(self):
        assert self.stream.queued_bytes <= 64 * KIB

    def promise(self, body):
        self.can_send = True
        self.left = None if body == STREAMED else max(body, 0)

    def consume(self, size):
        size = min(size, self.unread)
        self.unread -= size
        if "reset" not in self.ends and not self.has_reset:
            self.stream.consume(size)


class SessionMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now = 0.0
        # Small budgets on purpose: narrow windows and refusals happen.
        self.budgets = Budget(600 * KIB), Budget(600 * KIB)
        roles = (Role.GATEWAY, Role.AGENT)
        self.sessions = [
            Session(role, budget=budget, clock=lambda: self.now, max_streams=4)
            for role, budget in zip(roles, self.budgets, strict=True)
        ]
        self.ends = []
        self.refusals = []
        for session in self.sessions:
            session.accept = self._accept
        self._settle()

    def _accept(self, stream, head):
        end = End(stream)
        end.opener = self.by_target[head.target]
        end.opener.other = end
        end.other = end.opener
        end.is_acceptor = True
        self.ends.append(end)
        return end

    by_target: dict

    @property
    def live(self):
        return [end for end in self.ends if end.stream is not None and not end.stream.is_closed]

    @rule(side=st.integers(0, 1), body=st.sampled_from([NO_BODY, 0, 1, 1000, 70 * KIB, 300 * KIB, STREAMED]))
    def open(self, side, body):
        end = End()
        end.is_acceptor = False
        self.by_target = getattr(self, "by_target", {})
        target = b"/%d" % len(self.ends)
        self.by_target[target] = end
        try:
            end.stream = self.sessions[side].open_stream(RequestHead(b"PUT", target, HEADERS, body), end)
        except StreamRefused as refusal:
            self.refusals.append(refusal.code)
            return
        end.promise(body)
        self.ends.append(end)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), body=st.sampled_from([NO_BODY, 1000, 300 * KIB, STREAMED]))
    def respond(self, data, body):
        candidates = [end for end in self.live if end.is_acceptor and end.stream.sending == 0]
        if candidates:
            end = data.draw(st.sampled_from(candidates))
            end.stream.respond(ResponseHead(200, HEADERS, body))
            end.promise(body)

    @precondition(lambda self: self.live)
    @rule(
        data=st.data(),
        size=st.sampled_from([1, 100, 20 * KIB, 200 * KIB]),
        end_now=st.booleans(),
        trailers=st.booleans(),
    )
    def send(self, data, size, end_now, trailers):
        candidates = [end for end in self.live if end.can_send and end.stream.queued_bytes < 256 * KIB]
        if not candidates:
            return
        end = data.draw(st.sampled_from(candidates))
        size = size if end.left is None else min(size, end.left)
        start = end.sent % 251
        end.stream.send_data(PATTERN[start : start + size])
        end.sent += size
        if end.left is not None:
            end.left -= size
        if (end_now and end.left is None) or end.left == 0:
            end.stream.send_end(TRAILERS if trailers and not end.stream.is_over else [])
            end.can_send = False

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def reset(self, data):
        end = data.draw(st.sampled_from(self.live))
        end.has_reset = True
        end.stream.reset(ErrorCode.CANCEL)

    @rule(data=st.data(), size=st.sampled_from([1, 10 * KIB, 600 * KIB]))
    def consume(self, data, size):
        candidates = [end for end in self.ends if end.unread]
        if candidates:
            data.draw(st.sampled_from(candidates)).consume(size)

    @rule(side=st.integers(0, 1), limit=st.sampled_from([70 * KIB, 256 * KIB]))
    def deliver(self, side, limit):
        message = self.sessions[side].take_message(limit)
        assert len(message) <= limit
        if message:
            self.sessions[1 - side].receive(message)

    @rule(seconds=st.sampled_from([0.001, 0.1, 5.0]))
    def wait(self, seconds):
        self.now += seconds
        for session in self.sessions:
            session.ping()

    @invariant()
    def windows_add_up_to_the_budget(self):
        for session, budget in zip(self.sessions, self.budgets, strict=True):
            held = {id(end.stream): end.stream for end in self.ends if end.stream and end.stream.window}.values()
            windows = [stream.window for stream in held if stream._session is session]
            assert all(w.size == w.credit + w.unread + w.owed and w.credit >= 0 for w in windows)
            assert sum(window.size for window in windows) == budget.granted <= budget.total_bytes
            assert budget.waiting == session.outbox.queued_bytes

    @invariant()
    def nobody_sends_more_than_the_peer_granted(self):
        for end in self.ends:
            if end.other and end.other.stream and end.other.stream.window and end.stream and not end.stream.is_closed:
                usable = min(end.stream.credit, end.stream.send_left + end.stream.queued_bytes)
                assert 0 <= usable <= end.other.stream.window.size

    def _settle(self):
        """Deliver everything, consuming as we go."""
        for _ in range(1000):
            messages = [session.take_message() for session in self.sessions]
            for session, message in zip(reversed(self.sessions), messages, strict=True):
                if message:
                    session.receive(message)
            for end in self.ends:
                if end.unread:
                    end.consume(end.unread)
            if not any(messages) and not any(end.unread for end in self.ends):
                return
        raise AssertionError("the sessions never come to rest")

    def teardown(self):
        self._settle()
        for end in self.live:  # finish whatever still waits for the program
            if end.is_acceptor and not end.can_send and end.stream.sending == 0:
                end.stream.respond(ResponseHead(204, HEADERS), end=True)
        for end in self.live:
            if end.can_send and end.stream.sending == 1:
                rest = end.left or 0
                start = end.sent % 251
                end.stream.send_data(PATTERN[start : start + rest])
                end.sent += rest
                end.stream.send_end()
        self._settle()
        assert set(self.refusals) <= {ErrorCode.OVERLOADED}
        for session, budget in zip(self.sessions, self.budgets, strict=True):
            assert not session.streams, session
            assert not list(session.registry)
            assert not session.outbox.queued_bytes
            assert not session.outbox.head_bytes
            assert not budget.granted
            assert not budget.waiting
        for end in self.ends:
            self._check_ended_once(end)

    @staticmethod
    def _check_ended_once(end):
        assert end.stream.is_closed
        if end.has_reset:
            assert end.ends in ([], ["end"])
        else:
            assert end.ends in (["end"], ["reset"], ["end", "reset"])
        if end.ends == ["end"] and not end.has_reset and end.other is not None:
            assert end.received == end.other.sent


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def greeted(role=Role.AGENT):
    session = Session(role, budget=Budget(), clock=lambda: 0.0)
    session.accept = lambda stream, _head: End(stream)
    session.receive(encode_hello(Hello((1,), 65536, 100)))
    return session


frames = st.builds(
    lambda kind, flags, stream, payload: HEADER.pack(kind, flags, stream, len(payload)) + payload,
    st.integers(0, 11),
    st.sampled_from([0, 0, 1, 2, 255]),
    st.sampled_from([0, 1, 2, 3, 4, 2**32 - 1]),
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda credit: b"\1" + b"\xff" * 8 + bytes(4) + credit.to_bytes(4) + bytes(4) + b"GET\n/x",
            st.integers(0, 2**32 - 1),
        ),
        st.just(b"\0\0\0\1"),
        st.just(bytes(8)),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(frames, max_size=12).map(b"".join)))
def test_no_message_raises_anything_but_the_protocol_error(message):
    for role in Role:
        session = greeted(role)
        session.accept = lambda stream, _: Recorder(stream)  # takes whatever comes: an End knows what it is to get
        with suppress(RemoteProtocolError):
            session.receive(message)
        session.lose("over")
        assert not session.streams
        assert session.budget.granted == 0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_nothing_but_hello_is_accepted_first(message):
    session = Session(Role.AGENT, budget=Budget(), clock=lambda: 0.0)
    try:
        session.receive(message)
    except RemoteProtocolError:
        return
    assert message[0] == FrameType.HELLO
