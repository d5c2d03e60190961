"""One request between a caller and a link, step by step, and under any interleaving."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.admission import Admission
from gateway.answer import AnswerRules
from gateway.directory import ConnectionEntry, TokenGrant
from gateway.forward import GRACE_SECONDS, Forward, Surroundings
from gateway.registry import Registry
from gateway.replay import MAX_KEPT_BODY_BYTES, SAFE_METHODS
from gateway.store import Credentials
from http1.errors import UnsendableHead
from http1.messages import NO_BODY, STREAMED
from http1.sweep import Sweeper
from http1.target import parse_target
from tests.support.fake_link import FakeExchange, agent_link
from tunnel.budget import HIGH_WATER
from tunnel.errors import ErrorCode, LocalProtocolError, Progress
from tunnel.heads import ResponseHead

LOST = ErrorCode.LINK_LOST


def refuse_to_finish(trailers):
    raise UnsendableHead(f"{trailers} cannot be sent")


class World:
    """One request with everything around it."""

    def __init__(self, method=b"GET", body=NO_BODY, links=2, timeout=10.0, agent="hq"):
        self.registry = Registry()
        self.links = [agent_link(instance=f"i{number}") for number in range(links)]
        for link in self.links:
            self.registry.add(link)
        self.sweeper = Sweeper()
        self.sweeper.now = 1000.0
        self.finished = []
        rules = AnswerRules(self.registry, b"https://gw", b"")
        around = Surroundings(
            self.registry, rules, self.sweeper, SimpleNamespace(finished=self._finished, answered=lambda *_: None)
        )
        self.room = around.room
        route = ConnectionEntry("hq", agent, None, Credentials.AGENT, None, False, timeout)
        grant = TokenGrant("ci", frozenset({"hq"}), frozenset(), False, None, None)
        self.exchange = FakeExchange(method, b"/jira/hq/x", body=body)
        admission = Admission(route, grant, parse_target(b"/x?a=b"), [(b"Accept", b"a")], timeout, False)
        self.forward = Forward(self.exchange, admission, "r-1", around)
        self.forward.start()
        if body in {NO_BODY, 0} and not self.exchange.is_over:
            self.forward.on_body_end([])

    def _finished(self, forward, status, problem):
        self.finished.append((status, problem.slug.name if problem else None))

    @property
    def streams(self):
        return sorted((s for link in self.links for s in link.link.opened), key=lambda s: not s.is_closed)

    @property
    def stream(self):
        """The stream that is open; the last one when none is."""
        return self.streams[-1]

    @property
    def outcome(self):
        fields = self.exchange.headers
        return self.exchange.status, fields.get(b"Tunnel-Error"), fields.get(b"Tunnel-Processed")


def test_a_request_goes_to_an_agent_with_all_that_it_needs():
    world = World(b"GET", timeout=2.5)
    head = world.stream.head

    assert (head.method, head.target, head.body, head.timeout_ms) == (b"GET", b"/x?a=b", NO_BODY, 2500)
    assert head.headers == [(b"Accept", b"a")]
    assert head.meta == {b"request-id": b"r-1", b"caller": b"ci", b"connection": b"hq", b"credentials": b"agent"}
    assert world.stream.ended


def test_an_answer_passes_with_its_body_and_trailers():
    world = World()
    world.stream.respond(ResponseHead(200, [(b"A", b"b")], STREAMED, {b"jira-us": b"1500"}))
    world.stream.deliver(b"one")
    world.stream.deliver(b"two")
    world.stream.end([(b"T", b"t")])

    assert (world.exchange.status, world.exchange.body, world.exchange.written) == (200, STREAMED, b"onetwo")
    assert world.exchange.headers[b"A"] == b"b"
    assert world.exchange.headers[b"Server-Timing"].endswith(b"jira;dur=1.50")
    assert (world.exchange.state, world.exchange.trailers) == ("finished", [(b"T", b"t")])
    assert world.stream.consumed == 6
    assert world.finished == [(200, None)]
    assert len(world.sweeper) == 0


def test_trailers_cannot_forge_our_headers():
    world = World()
    world.stream.respond(ResponseHead(200, [], STREAMED))
    world.stream.end([(b"Tunnel-Error", b"x"), (b"T", b"t"), (b"X-Request-ID", b"y")])

    assert world.exchange.trailers == [(b"T", b"t")]


def test_trailers_that_cannot_be_sent_break_the_answer():
    world = World()
    world.exchange.finish = refuse_to_finish
    world.stream.respond(ResponseHead(200, [], STREAMED))
    world.stream.end([(b"T", b"\x01")])

    assert (world.exchange.state, world.finished) == ("aborted", [(200, "jira_protocol")])


def test_a_body_passes_with_its_end_and_trailers():
    world = World(b"POST", body=STREAMED)
    world.forward.on_body(b"ab")
    world.forward.on_body(b"c")
    world.forward.on_body_end([(b"T", b"t")])

    assert (world.stream.sent, world.stream.ended, world.stream.trailers) == (b"abc", True, [(b"T", b"t")])


def test_the_caller_is_held_back_while_the_link_is_behind():
    world = World(b"POST", body=STREAMED)
    world.forward.on_body(bytes(HIGH_WATER + 1))
    assert world.exchange.paused
    world.stream.is_choked = False
    world.forward.on_writable()
    assert not world.exchange.paused


def test_credit_goes_back_only_when_the_caller_has_the_bytes():
    world = World()
    world.stream.respond(ResponseHead(200, [], STREAMED))
    world.exchange.writable = False
    world.stream.deliver(b"abc")
    world.stream.deliver(b"de")
    assert world.stream.consumed == 0
    world.exchange.writable = True
    world.forward.on_writable()
    assert world.stream.consumed == 5


def test_credit_that_is_owed_at_the_end_is_not_forgotten():
    world = World()
    world.stream.respond(ResponseHead(200, [], STREAMED))
    world.exchange.writable = False
    world.stream.deliver(b"abc")
    world.stream.end()
    assert world.stream.consumed == 3


def test_an_answer_before_the_end_of_the_body_frees_the_stream():
    world = World(b"POST", body=100)
    world.forward.on_body(b"a")
    world.stream.respond(ResponseHead(403, [], 0))
    world.stream.end()
    world.forward.on_body(b"b")
    world.forward.on_body_end([])

    assert world.stream.resets == [ErrorCode.NO_ERROR]
    assert world.stream.sent == b"a"
    assert (world.exchange.state, world.finished) == ("finished", [(403, None)])


def test_a_caller_that_hangs_up_frees_the_stream_at_once():
    world = World()
    world.forward.on_disconnect()
    assert world.stream.resets == [ErrorCode.CANCEL]
    assert world.finished == [(0, None)]
    assert len(world.sweeper) == 0


def test_without_a_link_the_agent_is_offline():
    world = World(links=0)
    assert world.outcome == (503, b"agent_offline", b"no")
    assert b"Retry-After" in world.exchange.headers
    assert world.finished == [(503, "agent_offline")]


@pytest.mark.parametrize(
    ("code", "slug"),
    [
        (ErrorCode.OVERLOADED, b"overloaded"),
        (ErrorCode.DRAINING, b"draining"),
        (ErrorCode.BAD_REQUEST, b"headers_too_large"),
    ],
)
def test_when_every_link_refuses_the_caller_gets_their_reason(code, slug):
    world = World(links=2)
    for link in world.links:
        link.link.refuses = code
    world.stream.lose(LOST, Progress.NOT_SENT)
    assert world.outcome[1:] == (slug, b"no")


def test_a_link_that_refuses_is_passed_over():
    world = World(b"POST", body=3)
    world.forward.on_body(b"abc")
    world.forward.on_body_end([(b"T", b"t")])
    [other] = [link for link in world.links if link is not world.forward.link]
    world.stream.lose(ErrorCode.DRAINING, Progress.NOT_SENT)

    [again] = other.link.opened
    assert (again.sent, again.ended, again.trailers) == (b"abc", True, [(b"T", b"t")])
    assert world.finished == []


def test_what_comes_after_a_replay_goes_to_the_new_stream():
    world = World(b"PUT", body=6)
    world.forward.on_body(b"abc")
    first = world.stream
    first.lose(ErrorCode.OVERLOADED, Progress.NOT_SENT)
    world.forward.on_body(b"def")
    world.forward.on_body_end([])

    assert (world.stream.sent, world.stream.ended) == (b"abcdef", True)
    assert first.sent == b"abc"


def test_a_body_too_large_to_keep_is_not_replayed():
    world = World(b"PUT", body=STREAMED)
    world.forward.on_body(bytes(MAX_KEPT_BODY_BYTES))
    world.forward.on_body(b"x")
    world.stream.lose(LOST, Progress.NOT_SENT)
    assert world.outcome == (502, b"tunnel_lost", b"no")


def test_another_instance_goes_before_another_link_of_the_one_that_failed():
    world = World(links=1)
    world.links += [agent_link(instance="i0"), agent_link(instance="i9", load=10**9)]
    for link in world.links[1:]:
        world.registry.add(link)
    world.stream.lose(LOST, Progress.SENT)
    assert world.forward.link.identity.instance == "i9"


def test_another_link_of_the_only_instance_is_better_than_none():
    world = World(links=1)
    world.links.append(agent_link(instance="i0"))
    world.registry.add(world.links[1])
    world.stream.lose(LOST, Progress.SENT)
    assert world.forward.link is world.links[1]


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE"])
@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_write_that_may_have_reached_jira_is_never_sent_again(method, code):
    world = World(method, links=3)
    world.stream.lose(code, Progress.SENT)
    assert len(world.streams) == 1
    assert world.outcome[2] == b"unknown"
    assert b"Retry-After" not in world.exchange.headers


@pytest.mark.parametrize("method", sorted(SAFE_METHODS))
def test_a_read_is_sent_again_once(method):
    world = World(method, links=4)
    world.stream.lose(LOST, Progress.SENT)
    assert len(world.streams) == 2
    world.stream.lose(LOST, Progress.SENT)
    assert len(world.streams) == 2
    assert world.outcome == (502, b"tunnel_lost", b"unknown")


def test_what_may_have_reached_jira_once_is_unknown_whatever_became_of_the_second_try():
    world = World(links=2)
    world.stream.lose(LOST, Progress.SENT)
    world.stream.lose(LOST, Progress.NOT_SENT)
    assert world.outcome == (502, b"tunnel_lost", b"unknown")

    refused = World(links=2)
    refused.links[0].link.refuses = refused.links[1].link.refuses = ErrorCode.OVERLOADED
    refused.stream.lose(LOST, Progress.SENT)
    assert refused.outcome == (503, b"overloaded", b"unknown")
    assert b"Retry-After" not in refused.exchange.headers

    late = World(links=2, timeout=2.0)
    late.stream.lose(LOST, Progress.SENT)
    late.sweeper.sweep(1003.0)
    assert late.outcome == (504, b"jira_timeout", b"unknown")


@pytest.mark.parametrize("code", [LOST, ErrorCode.JIRA_PROTOCOL, ErrorCode.JIRA_TIMEOUT, ErrorCode.INTERNAL])
def test_once_an_answer_has_begun_failure_is_a_closed_socket(code):
    world = World()
    world.stream.respond(ResponseHead(200, [], 10))
    world.stream.deliver(b"half")
    world.stream.lose(code, Progress.ANSWERED)

    assert (world.exchange.state, world.exchange.written) == ("aborted", b"half")
    assert len(world.streams) == 1
    [(status, slug)] = world.finished
    assert status == 200
    assert slug


def test_the_deadline_resets_the_stream_and_says_504():
    world = World(timeout=2.0)
    world.stream.progress = Progress.SENT
    assert world.forward.deadline == 1000 + 2.0 + GRACE_SECONDS
    world.sweeper.sweep(1003.0)

    assert world.stream.resets == [ErrorCode.DEADLINE]
    assert world.outcome == (504, b"jira_timeout", b"unknown")
    assert len(world.sweeper) == 0


def test_the_deadline_of_what_never_left_says_not_processed():
    world = World()
    world.sweeper.sweep(2000.0)
    assert world.outcome == (504, b"jira_timeout", b"no")


def test_each_sign_of_life_moves_the_deadline():
    world = World(timeout=2.0)
    world.sweeper.now = 1002.0
    world.stream.respond(ResponseHead(200, [], STREAMED))
    world.sweeper.sweep(1003.0)
    world.stream.deliver(b"x")
    world.sweeper.sweep(1005.0)
    assert world.finished == []
    world.sweeper.sweep(1005.3)
    assert world.exchange.state == "aborted"


def test_a_slow_caller_is_not_a_slow_jira():
    world = World(timeout=2.0)
    world.stream.respond(ResponseHead(200, [], STREAMED))
    world.exchange.writable = False
    world.stream.deliver(b"x")
    for now in range(1003, 1100, 3):
        world.sweeper.sweep(float(now))
    assert world.finished == []


def test_a_caller_that_is_slow_with_its_own_body_is_not_a_slow_jira():
    world = World(b"POST", body=10, timeout=2.0)
    world.forward.on_body(b"a")
    world.stream.queued_bytes = 0
    world.sweeper.sweep(1010.0)
    assert world.finished == []
    world.forward.on_body(b"b")
    world.sweeper.sweep(1013.0)
    assert world.outcome[0] == 504, "the agent did not take what was there"


def test_a_head_that_the_tunnel_cannot_carry_is_a_bad_request(monkeypatch):
    world = World(links=1)
    extra = agent_link(instance="i8")
    world.registry.add(extra)

    def cannot(head, receiver):
        raise LocalProtocolError("a field of a head holds CR, LF or NUL")

    monkeypatch.setattr(extra.link, "open_stream", cannot)
    world.stream.lose(ErrorCode.OVERLOADED, Progress.NOT_SENT)
    assert world.outcome == (400, b"bad_request", b"no")


def test_an_answer_that_cannot_be_written_is_jiras_fault(monkeypatch):
    world = World()
    respond = world.exchange.respond

    def first_cannot(status, headers, body):
        monkeypatch.setattr(world.exchange, "respond", respond)
        raise UnsendableHead("a header value holds a line break")

    monkeypatch.setattr(world.exchange, "respond", first_cannot)
    world.stream.respond(ResponseHead(200, [(b"A", b"b\n")], 0))
    assert world.outcome == (502, b"jira_protocol", b"unknown")
    assert world.stream.resets == [ErrorCode.CANCEL]
    assert world.finished == [(502, "jira_protocol")]


class AnyInterleaving(RuleBasedStateMachine):
    """Whatever callers, agents and clocks do in whatever order: one outcome, exact credit, silence afterwards."""

    def __init__(self):
        super().__init__()
        self.world = None
        self.body = b""
        self.body_ended = False

    @precondition(lambda self: self.world is None)
    @rule(method=st.sampled_from([b"GET", b"POST", b"DELETE"]), body=st.booleans(), links=st.integers(0, 4))
    def begin(self, method, body, links):
        self.world = World(method, STREAMED if body else NO_BODY, links)
        self.body_ended = not body

    @precondition(lambda self: self.world is not None and not self.body_ended)
    @rule(data=st.binary(min_size=1, max_size=5), is_big=st.booleans())
    def caller_sends(self, data, is_big):
        data = data * (1 << 18) if is_big else data
        self.body += data
        self.world.forward.on_body(data)

    @precondition(lambda self: self.world is not None and not self.body_ended)
    @rule()
    def caller_ends(self):
        self.body_ended = True
        self.world.forward.on_body_end([])

    @precondition(lambda self: self.world is not None and self.world.exchange.state == "open")
    @rule()
    def caller_hangs_up(self):
        self.world.exchange.state = "gone"
        self.world.forward.on_disconnect()

    @precondition(lambda self: self.world is not None and self.world.exchange.state == "open")
    @rule()
    def caller_stalls(self):
        self.world.exchange.writable = False

    @precondition(lambda self: self.world is not None and self.world.exchange.state == "open")
    @rule()
    def caller_takes(self):
        self.world.exchange.writable = True
        self.world.forward.on_writable()

    def _open_stream(self):
        return next((s for s in self.world.streams if not s.is_closed), None) if self.world else None

    @precondition(lambda self: self._open_stream() is not None)
    @rule()
    def the_link_writes(self):
        stream = self._open_stream()
        was_choked, stream.is_choked, stream.queued_bytes = stream.is_choked, False, 0
        stream.progress = max(stream.progress, Progress.SENT)
        if was_choked:
            self.world.forward.on_writable()

    @precondition(
        lambda self: self._open_stream() is not None and self._open_stream().progress is not Progress.ANSWERED
    )
    @rule(status=st.sampled_from([200, 201, 404]))
    def jira_answers(self, status):
        self._open_stream().respond(ResponseHead(status, [], STREAMED))

    @precondition(lambda self: self._open_stream() is not None and self._open_stream().progress is Progress.ANSWERED)
    @rule(data=st.binary(min_size=1, max_size=9))
    def jira_sends(self, data):
        self._open_stream().deliver(data)

    @precondition(lambda self: self._open_stream() is not None and self._open_stream().progress is Progress.ANSWERED)
    @rule()
    def jira_ends(self):
        self._open_stream().end()

    @precondition(lambda self: self._open_stream() is not None)
    @rule(code=st.sampled_from(list(ErrorCode)))
    def the_stream_is_lost(self, code):
        stream = self._open_stream()
        stream.lose(code, stream.progress)

    @precondition(lambda self: self.world is not None)
    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds):
        self.world.sweeper.sweep(self.world.sweeper.now + seconds)

    @invariant()
    def there_is_exactly_one_outcome_when_it_is_over_and_none_before(self):
        if self.world is None:
            return
        is_over = self.world.exchange.state != "open"
        assert len(self.world.finished) == (1 if is_over else 0)
        assert len(self.world.sweeper) == (0 if is_over else 1)
        if is_over:
            assert all(stream.is_closed for stream in self.world.streams)
            assert self.world.room.used == 0

    @invariant()
    def at_most_one_stream_is_open(self):
        if self.world is not None:
            assert sum(not stream.is_closed for stream in self.world.streams) <= 1

    @invariant()
    def credit_is_exactly_what_a_writable_caller_got(self):
        stream = self._open_stream()
        if stream is not None and self.world.exchange.writable:
            assert stream.consumed == stream.delivered

    @invariant()
    def no_write_is_on_two_streams_that_may_have_reached_jira(self):
        if self.world is None:
            return
        reached = [stream for stream in self.world.streams if stream.progress is not Progress.NOT_SENT]
        is_safe = self.world.exchange.request.method in SAFE_METHODS
        assert len(reached) <= (2 if is_safe else 1)

    @invariant()
    def the_open_stream_has_the_whole_body_so_far(self):
        stream = self._open_stream()
        if stream is not None:
            assert stream.sent == self.body
            assert stream.ended == self.body_ended

    @invariant()
    def a_caller_is_paused_only_while_somebody_will_resume_it(self):
        stream = self._open_stream()
        if stream is not None and self.world.exchange.paused:
            assert stream.is_choked


AnyInterleaving.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
test_any_interleaving = AnyInterleaving.TestCase


@pytest.mark.parametrize(("agent", "source"), [("hq", b"agent"), (None, b"gateway")])
@pytest.mark.parametrize("body", [NO_BODY, STREAMED])
def test_a_rate_limit_that_was_not_asked_again_is_our_answer_with_jiras_pause(agent, source, body):
    world = World(b"POST", body=body)
    world.forward.admission.route = replace(world.forward.admission.route, agent=agent)
    meta = {b"problem": b"rate_limited", b"detail": b"it asked for a pause of 40 s more"}
    world.stream.respond(ResponseHead(429, [(b"Retry-After", b"40")], 0, meta))
    world.stream.end([])

    assert world.outcome == (429, b"rate_limited", b"no")
    assert (world.exchange.headers[b"Retry-After"], world.exchange.headers[b"Tunnel-Source"]) == (b"40", source)
    assert b"40 s more" in world.exchange.written
    assert world.finished == [(429, "rate_limited")]
    assert len(world.sweeper) == 0


def test_a_problem_that_we_do_not_know_is_an_answer_like_any_other():
    world = World()
    world.stream.respond(ResponseHead(418, [], 0, {b"problem": b"teapot"}))
    world.stream.end([])

    assert world.outcome == (418, None, None)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_paused_instance_is_left_out_whole_so_that_the_attempts_reach_one_that_is_not(method):
    world = World(method, links=3)
    for number in range(3):
        world.links += [agent_link(instance=f"i{number}") for _ in range(3)]
    for link in world.links[3:]:
        world.registry.add(link)
    asked = []
    while not world.exchange.is_over and world.forward._attempts < 4:
        instance = world.forward.link.identity.instance
        asked.append(instance)
        if len(set(asked)) == 3:
            break
        world.stream.lose(ErrorCode.PAUSED, Progress.NOT_SENT, "paused")
    assert sorted(asked) == ["i0", "i1", "i2"]
    world.stream.lose(ErrorCode.PAUSED, Progress.NOT_SENT, "paused")
    assert world.outcome == (503, b"paused", b"no")
    assert world.exchange.headers[b"Retry-After"] == b"60"
