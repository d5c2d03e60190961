"""What agents bring: whose it is, what is refused, and that nothing is said to be stored before it is."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from certs.csr import MAX_CSR_BYTES
from certs.identity import AgentIdentity
from gateway.agent_streams import (
    AGENT_BYTES,
    BODY_SECONDS,
    GAPS_AT_ONCE,
    LATER,
    MAX_EVENT_BYTES,
    SLOWEST_LINE,
    STORED,
    AgentStreams,
)
from gateway.store import Cause, Way
from http1.sweep import Sweeper
from tests.support.subscriptions import NOW, make_directory, make_hook
from tests.support.tunnel_pair import Pair, Recorder
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, STREAMED, RequestHead

HASH = make_hook().id_hash
META = {b"event-id": b"ab" * 16, b"received-at": b"1", b"sent-at": b"2", b"query": b"user_id=ines"}
NOW_MS = int(NOW.timestamp() * 1000)


class FakeDesk:
    def __init__(self):
        self.subscriptions = make_directory(make_hook()).subscriptions
        self.events = []
        self.gaps = []

    def hook_of(self, agent, id_hash):
        hook = self.subscriptions.hook(id_hash)
        return hook if hook is not None and hook.agent == agent else None

    def take_event(self, hook, head, body, event_id, done):
        self.events.append((hook, head, body, event_id, done))

    def take_gap(self, agent, gap, done):
        self.gaps.append((agent, gap("hq"), done))


class World:
    def __init__(self, agent="headquarters"):
        self.desk = FakeDesk()
        self.sweeper = Sweeper()
        self.petitions = []
        self.streams = AgentStreams(lambda: NOW, self.sweeper, self)
        self.streams.desk = self.desk
        self.pair = self.connect(agent)

    def take(self, identity, csr, done):
        self.petitions.append((identity, csr, done))

    def connect(self, agent):
        pair = Pair()
        pair.gateway.accept = self.streams.of(AgentIdentity(agent, "a1"))
        return pair

    def post(self, target=f"/v1/events/{HASH}", body=b"{}", meta=META, method=b"POST", size=None, pair=None):
        receiver, pair = Recorder(), pair or self.pair
        size = (len(body) if body else NO_BODY) if size is None else size
        head = RequestHead(method, target.encode(), [], size, meta=dict(meta))
        receiver.stream = pair.agent.open_stream(head, receiver)
        if body:
            receiver.stream.send_data(body, end=size == len(body))
        pair.settle()
        return receiver


def status(receiver):
    return next((call[1].status for call in receiver.calls if call[0] == "response"), None)


def test_an_event_is_answered_when_it_is_stored():
    world = World()
    receiver = world.post(body=b'{"webhookEvent":"x"}')
    [(hook, head, body, event_id, done)] = world.desk.events
    assert (hook.id, body, event_id) == (1, b'{"webhookEvent":"x"}', "ab" * 16)
    assert head.meta[b"query"] == b"user_id=ines"
    assert status(receiver) is None

    done(STORED)
    world.pair.settle()
    assert status(receiver) == 204
    assert (world.pair.gateway.streams, world.pair.agent.streams) == (0, 0)
    assert world.pair.gateway.budget.granted == 0


def test_an_event_without_a_body_is_one_too():
    world = World()
    world.post(body=b"")
    assert [body for _, _, body, _, _ in world.desk.events] == [b""]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"target": "/v1/events/" + "0" * 64}, 404),
        ({"target": "/v1/events/short"}, 400),
        ({"target": "/hooks/x"}, 400),
        ({"method": b"GET"}, 400),
        ({"meta": {}}, 400),
        ({"meta": {b"event-id": b"no hex digits at all, but long"}}, 400),
        ({"size": STREAMED}, 400),
        ({"size": MAX_EVENT_BYTES + 1, "body": b""}, 413),
    ],
)
def test_what_cannot_be_taken_is_refused_and_the_link_lives(changes, expected):
    world = World()
    assert status(world.post(**changes)) == expected
    assert world.desk.events == []
    assert world.pair.gateway.is_usable


def test_a_hook_counts_only_for_the_agent_of_its_connection():
    world = World(agent="branch")
    assert status(world.post()) == 404
    assert world.desk.events == []


def test_an_agent_has_a_share_of_the_room_and_what_does_not_fit_comes_later():
    world = World()
    held = [world.post(size=MAX_EVENT_BYTES, body=b""), world.post(size=AGENT_BYTES - MAX_EVENT_BYTES, body=b"")]
    assert [status(receiver) for receiver in held] == [None, None]
    assert status(world.post()) == LATER

    held[0].stream.reset(ErrorCode.CANCEL, Progress.SENT)
    world.pair.settle()
    assert status(world.post(size=MAX_EVENT_BYTES, body=b"")) is None


def test_an_agent_that_holds_bodies_back_does_not_shut_out_the_others():
    world = World(agent="branch")
    world.desk.hook_of = lambda agent, id_hash: world.desk.subscriptions.hook(id_hash)
    for _ in range(10):
        world.post(size=MAX_EVENT_BYTES, body=b"")
    world.post(pair=world.connect("headquarters"))
    assert len(world.desk.events) == 1


def test_a_body_that_does_not_come_in_time_gives_its_room_back():
    world = World()
    receiver = world.post(size=AGENT_BYTES // 2, body=b"a beginning")
    world.sweeper.sweep(world.sweeper.now + BODY_SECONDS + AGENT_BYTES / SLOWEST_LINE)
    world.pair.settle()
    assert receiver.calls[-1][:2] == ("reset", ErrorCode.DEADLINE)
    assert (len(world.sweeper), world.pair.gateway.streams) == (0, 0)
    assert "0/" in repr(world.streams)


def test_a_whole_body_has_no_deadline():
    world = World()
    receiver = world.post()
    assert len(world.sweeper) == 0
    world.desk.events[0][-1](STORED)
    world.pair.settle()
    assert status(receiver) == 204


def test_before_anybody_can_take_it_an_agent_keeps_it():
    world = World()
    world.streams.desk = None
    receiver = world.post()
    assert receiver.calls[-1][:3] == ("reset", ErrorCode.OVERLOADED, Progress.NOT_SENT)


def test_an_agent_that_leaves_before_the_answer_does_no_harm():
    world = World()
    receiver = world.post()
    receiver.stream.reset(ErrorCode.CANCEL, Progress.SENT)
    world.pair.settle()
    world.desk.events[0][-1](STORED)
    world.pair.settle()
    assert world.pair.gateway.is_usable


def test_a_gap_is_told_by_our_clock():
    world = World()
    ahead = 3_600_000  # the agent's clock is an hour fast
    body = json.dumps({"from": NOW_MS + ahead - 60_000, "to": NOW_MS + ahead - 1_000, "cause": "agent"}).encode()
    meta = {b"event-id": b"cd" * 16, b"sent-at": b"%d" % (NOW_MS + ahead)}
    receiver = world.post("/v1/gaps", body, meta)

    [(agent, gap, done)] = world.desk.gaps
    assert agent == "headquarters"
    assert (gap.from_at, gap.to_at) == (NOW - timedelta(seconds=60), NOW - timedelta(seconds=1))
    assert (gap.cause, gap.way, gap.uid) == (Cause.AGENT, Way.LAN, "cd" * 16 + "/hq")
    done(STORED)
    world.pair.settle()
    assert status(receiver) == 204


def test_jiras_own_outage_is_a_gap_on_both_ways():
    world = World()
    body = json.dumps({"from": NOW_MS - 9, "to": NOW_MS, "cause": "jira"}).encode()
    world.post("/v1/gaps", body, {b"event-id": b"cd" * 16, b"sent-at": b"%d" % NOW_MS})
    assert world.desk.gaps[0][1].way is None


def test_an_agent_that_reports_gap_after_gap_is_told_to_wait_and_no_other():
    world = World(agent="branch")
    body = json.dumps({"from": NOW_MS - 9, "to": NOW_MS, "cause": "jira"}).encode()
    meta = {b"event-id": b"cd" * 16, b"sent-at": b"%d" % NOW_MS}
    for _ in range(int(GAPS_AT_ONCE)):
        assert status(world.post("/v1/gaps", body, meta)) is None
    assert status(world.post("/v1/gaps", body, meta)) == LATER
    assert status(world.post("/v1/gaps", body, meta, pair=world.connect("headquarters"))) is None

    world.sweeper.now += 1.1
    assert status(world.post("/v1/gaps", body, meta)) is None
    assert len(world.desk.gaps) == GAPS_AT_ONCE + 2


@pytest.mark.parametrize("sent", [0, 1, NOW_MS - 90_000, 99_999_999_999_999])
def test_however_wrong_a_clock_is_its_gap_is_as_long_as_it_was_and_over(sent):
    world = World()
    body = json.dumps({"from": NOW_MS - 60_000, "to": NOW_MS, "cause": "agent"}).encode()
    world.post("/v1/gaps", body, {b"event-id": b"cd" * 16, b"sent-at": b"%d" % sent})
    gap = world.desk.gaps[0][1]
    assert gap.to_at <= NOW
    assert gap.from_at <= gap.to_at - timedelta(seconds=60) or gap.from_at == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"no json",
        b'{"from": 1, "to": 2}',
        b'{"from": 2, "to": 1, "cause": "agent"}',
        b'{"from": true, "to": 2, "cause": "agent"}',
        b'{"from": 1, "to": 99999999999999999, "cause": "agent"}',
        b'{"from": 1, "to": 2, "cause": ["agent"]}',
        b'{"from": 1, "to": 2, "cause": "weather"}',
        b"[" * 2000,
    ],
)
def test_what_is_no_gap_is_refused(body):
    world = World()
    receiver = world.post("/v1/gaps", body, {b"event-id": b"cd" * 16, b"sent-at": b"%d" % NOW_MS})
    assert status(receiver) == 400
    assert world.desk.gaps == []


def test_a_petition_goes_to_the_renewals_with_the_name_of_the_link_and_its_answer_has_a_body():
    world = World(agent="branch")
    receiver = world.post("/v1/renew", body=b"a signing request", meta={b"event-id": b"no matter"})
    [(identity, csr, done)] = world.petitions
    assert (identity, csr) == (AgentIdentity("branch", "a1"), b"a signing request")
    assert status(receiver) is None

    done(200, b"a grant")
    world.pair.settle()
    assert (status(receiver), receiver.body) == (200, b"a grant")
    assert (world.pair.gateway.streams, world.pair.agent.streams) == (0, 0)


def test_a_refused_petition_has_no_body():
    world = World()
    receiver = world.post("/v1/renew", body=b"x", meta={})
    world.petitions[0][2](403)
    world.pair.settle()
    assert (status(receiver), receiver.body) == (403, b"")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": b"GET"}, 400),
        ({"size": STREAMED}, 400),
        ({"size": MAX_CSR_BYTES + 1, "body": b""}, 413),
    ],
)
def test_a_petition_of_another_shape_is_refused(changes, expected):
    world = World()
    assert status(world.post("/v1/renew", **changes)) == expected
    assert world.petitions == []


def test_certificates_are_renewed_before_events_can_be_taken():
    world = World()
    world.streams.desk = None
    world.post("/v1/renew", body=b"x")
    assert len(world.petitions) == 1
