"""What the relay to the management API lets in at a time and for how long: usual requests, and readers of events."""

import pytest

from gateway import local_relay
from gateway.local_relay import ANSWER_SECONDS, GOODBYE_SECONDS, MAX_READERS, MAX_REQUESTS, LocalRelay, reads_events
from http1.exchange import Exchange
from http1.messages import NO_BODY, STREAMED, RequestHead, ResponseHead
from http1.sweep import Sweeper

EVENTS = b"/api/v1/triggers/tickets/events?wait=30"
TOKENS = b"/api/v1/tokens"


class FakeCall:
    """A request towards the other side."""

    writable = True

    def __init__(self, head, receiver):
        self.head = head
        self.receiver = receiver
        self.aborted = False

    def abort(self):
        self.aborted = True

    def finish(self):
        pass


class FakePool:
    """Takes every request and answers none."""

    def __init__(self):
        self.calls = []

    def start(self, head, receiver):
        self.calls.append(FakeCall(head, receiver))
        return self.calls[-1]


class FakeSocket:
    """What a caller's socket was given."""

    def __init__(self):
        self.sent = b""
        self.broken = False

    def is_last_answer(self, exchange):
        return False

    def send(self, pieces):
        self.sent += b"".join(pieces)

    def answer_done(self, exchange):
        pass

    def answer_broken(self, *, reset):
        self.broken = True


class Outcomes:
    def __init__(self):
        self.refusals = []

    def refused(self, peer, request, problem, request_id, *, caller, exchange):
        self.refusals.append(problem.slug.name)

    def relayed(self, visit):
        pass


class World:
    def __init__(self):
        self.sweeper = Sweeper()
        self.sweeper.now = 1000.0
        self.outcomes = Outcomes()
        self.relay = LocalRelay("api.sock", self.sweeper, self.outcomes)
        self.pool = self.relay._pool = FakePool()

    def ask(self, target, method=b"GET", headers=()):
        self.socket = FakeSocket()
        exchange = Exchange(self.socket, RequestHead(method, target, list(headers), NO_BODY), "10.0.0.1", 0.0)
        return self.relay.begin(exchange, "id-1")

    def pass_time(self, seconds):
        self.sweeper.sweep(self.sweeper.now + seconds)


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"GET", b"/api/v1/triggers/tickets/events", True),
        (b"GET", b"/api/v1/triggers/tickets/events?wait=30&after=1", True),
        (b"POST", b"/api/v1/triggers/tickets/events", False),
        (b"GET", b"/api/v1/triggers/tickets/events/", False),
        (b"GET", b"/api/v1/triggers/tickets/eventsx", False),
        (b"GET", b"/api/v1/triggers/events", False),
        (b"GET", b"/api/v1/triggers/a/b/events", False),
        (b"GET", b"/api/v1/tokens?x=/api/v1/triggers/tickets/events", False),
    ],
)
def test_who_reads_events_is_known_by_the_path(method, target, expected):
    assert reads_events(RequestHead(method, target, [], NO_BODY)) is expected


def test_readers_and_others_have_bounds_of_their_own(world, monkeypatch):
    monkeypatch.setattr(local_relay, "MAX_READERS", 3)
    assert all(world.ask(EVENTS) for _ in range(3))
    assert world.ask(EVENTS) is None
    assert b" 503 " in world.socket.sent
    usual = [world.ask(TOKENS) for _ in range(MAX_REQUESTS)]
    assert all(usual)
    assert world.ask(TOKENS) is None
    usual[0].end()
    assert world.ask(EVENTS) is None
    assert world.ask(TOKENS)
    assert (world.relay.readers, world.relay.active) == (3, 3 + MAX_REQUESTS)
    assert MAX_READERS == 256


def test_a_reader_has_as_long_again_with_each_byte_and_others_have_not(world):
    reader, usual = world.ask(EVENTS), world.ask(TOKENS)
    for call in world.pool.calls:
        call.receiver.on_response(ResponseHead(200, [], STREAMED))
    world.sweeper.now += 60
    for call in world.pool.calls:
        call.receiver.on_body(b"x")
    assert reader.deadline == 1060 + ANSWER_SECONDS
    assert usual.deadline == 1000 + ANSWER_SECONDS


def test_a_reader_for_whom_nothing_passes_is_given_up(world):
    reader = world.ask(EVENTS)
    world.pass_time(ANSWER_SECONDS + 1)
    assert b" 500 " in world.socket.sent
    assert world.pool.calls[0].aborted
    assert world.relay.active == 0
    assert reader.call is None


def test_when_the_gateway_stops_readers_get_a_moment_and_no_more(world):
    silent, silent_socket = world.ask(EVENTS), world.socket
    streaming, streaming_socket = world.ask(EVENTS), world.socket
    usual = world.ask(TOKENS)
    world.pool.calls[1].receiver.on_response(ResponseHead(200, [], STREAMED))

    world.relay.drain()
    world.pool.calls[1].receiver.on_body(b"last")
    assert {silent.deadline, streaming.deadline} == {1000 + GOODBYE_SECONDS}
    world.pass_time(GOODBYE_SECONDS)

    assert b" 503 " in silent_socket.sent
    assert b"draining" in silent_socket.sent
    assert streaming_socket.broken
    assert usual.deadline == 1000 + ANSWER_SECONDS
    assert (world.relay.readers, world.relay.active) == (0, 1)


def test_while_the_gateway_stops_no_reader_begins_and_others_do(world):
    world.relay.drain()
    assert world.ask(EVENTS) is None
    assert b"draining" in world.socket.sent
    usual = world.ask(TOKENS)
    assert usual.deadline == 1000 + ANSWER_SECONDS


def test_only_what_matters_there_is_passed_on(world):
    given = [
        (b"Last-Event-ID", b"7"),
        (b"Accept", b"text/event-stream"),
        (b"Cookie", b"x"),
        (b"Tunnel-Peer", b"forged"),
    ]
    world.ask(EVENTS, headers=given)
    passed = dict(world.pool.calls[0].head.headers)
    assert passed == {
        b"Last-Event-ID": b"7",
        b"Accept": b"text/event-stream",
        b"X-Request-ID": b"id-1",
        b"Tunnel-Peer": b"10.0.0.1",
    }
