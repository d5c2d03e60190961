"""One exchange between a stream and a call, driven by hand: who is told what, and that nothing leaks."""

import gc
from math import inf
from types import SimpleNamespace

import pytest

from agent.carriage import Carriage, State
from agent.jira_side import JiraSide, Order
from agent.screening import Cleared, Refused
from agent.tally import Tally
from http1.errors import ClientFailure, FailureKind, UnsendableHead
from http1.errors import Progress as CallProgress
from http1.messages import NO_BODY, STREAMED
from http1.messages import RequestHead as JiraRequest
from http1.messages import ResponseHead as JiraAnswer
from http1.sweep import Sweeper
from http1.target import parse_target
from jira_api.protection.protection import QUEUE_SECONDS, Protection
from tunnel.budget import HIGH_WATER
from tunnel.errors import ErrorCode, LocalProtocolError, Progress
from tunnel.heads import RequestHead


class Stream:
    """The tunnel's end as a script: what was asked of it, in order."""

    id = 2

    def __init__(self):
        self.said = []
        self.consumed = 0
        self.is_choked = False
        self.too_large = False

    def respond(self, head, *, end=False):
        if self.too_large:
            raise LocalProtocolError
        self.said.append(("head", head.status, head.headers, head.body))
        self.meta = head.meta

    def send_data(self, data, *, end=False):
        self.said.append(("data", data))
        self.is_choked = len(data) > HIGH_WATER

    def send_end(self, trailers):
        self.said.append(("end", trailers))

    def reset(self, code, progress, detail):
        self.said.append(("reset", code, progress))
        self.detail = detail

    def consume(self, size):
        self.consumed += size


class Call:
    def __init__(self, head, receiver):
        self.head = head
        self.receiver = receiver
        self.sent = []
        self.writable = True
        self.progress = CallProgress.SENT

    def write(self, data):
        self.sent.append(data)

    def finish(self, trailers=()):
        self.sent.append("end")

    def abort(self):
        self.sent.append("abort")

    def pause(self):
        self.sent.append("pause")

    def resume(self):
        self.sent.append("resume")


class Pool:
    def __init__(self):
        self.calls = []
        self.fails = None

    def start(self, head, receiver):
        if isinstance(self.fails, UnsendableHead):
            raise self.fails
        call = Call(head, receiver)
        if self.fails:
            receiver.on_failure(self.fails)
        self.calls.append(call)
        return call


class Bench:
    """A carriage with everything around it replaced."""

    def __init__(self, limit=4, queue=64):
        self.now = 100.0
        self.pool = Pool()
        self.protection = Protection(limit, lambda: self.now, queue)
        self.sweeper = Sweeper()
        self.tally = Tally()
        self.reports = []
        self.audited = []
        self.jira = JiraSide(
            self.pool,
            self.protection,
            self.sweeper,
            self.tally,
            lambda: self.now,
            lambda *what: self.reports.append(what),
            SimpleNamespace(request=lambda *what: self.audited.append(what)),
        )
        self.objection = None

    def carriage(
        self, *, body=NO_BODY, needs_body_check=False, timeout_ms=2000, login="caller", secret=b"Basic c2VjcmV0"
    ):
        stream = Stream()
        head = JiraRequest(b"POST", b"/jira/rest/x", [(b"Authorization", secret)], body)
        screening = SimpleNamespace(check_registration=lambda method, body: self.objection)
        request = RequestHead(b"POST", b"/rest/x", [], body, timeout_ms, {b"caller": b"ci"})
        cleared = Cleared(head, parse_target(b"/rest/x"), login, needs_body_check)
        carriage = Carriage(stream, Order(request, cleared, screening), self.jira)
        carriage.begin()
        return carriage, stream

    def assert_nothing_is_held(self):
        assert (self.protection.in_flight, self.protection.waiting, len(self.sweeper)) == (0, 0, 0)


def answer(call, *, status=200, body=4):
    call.receiver.on_response(JiraAnswer(status, [(b"X", b"1"), (b"Set-Cookie", b"a=b")], body))


def test_a_request_and_its_answer_pass_and_nothing_is_left():
    bench = Bench()
    carriage, stream = bench.carriage(login="agent")
    carriage.on_end([])
    [call] = bench.pool.calls
    bench.now += 0.25
    answer(call)
    call.receiver.on_body(b"1234")
    call.receiver.on_end([])

    assert call.sent == ["end"]
    assert stream.said == [("head", 200, [(b"X", b"1")], 4), ("data", b"1234"), ("end", [])]
    assert stream.meta == {b"jira-us": b"250000"}
    assert bench.tally.outcomes == {"answered": 1}
    assert carriage.state is State.ENDED
    bench.assert_nothing_is_held()


def test_an_exchange_leaves_nothing_for_the_collector():
    bench = Bench()
    gc.collect()
    for _ in range(3):
        carriage, stream = bench.carriage(login="agent")
        stream.receiver = carriage  # as the session has it
        carriage.on_end([])
        call = bench.pool.calls.pop()
        answer(call)
        call.receiver.on_body(b"1234")
        call.receiver.on_end([])
        del stream.receiver  # as the session does
        del carriage, stream, call
    assert gc.collect() == 0


def test_credit_is_returned_only_for_what_jiras_socket_took():
    bench = Bench()
    carriage, stream = bench.carriage(body=STREAMED)
    [call] = bench.pool.calls
    carriage.on_data(b"a" * 10)
    assert stream.consumed == 10

    call.writable = False
    carriage.on_data(b"b" * 7)
    carriage.on_data(b"c" * 5)
    assert stream.consumed == 10

    call.writable = True
    call.receiver.on_writable()
    assert stream.consumed == 22
    assert b"".join(call.sent) == b"a" * 10 + b"b" * 7 + b"c" * 5


def test_jira_is_not_read_while_the_tunnel_is_full():
    bench = Bench()
    carriage, _ = bench.carriage()
    carriage.on_end([])
    [call] = bench.pool.calls
    answer(call, body=STREAMED)
    call.receiver.on_body(b"x" * (HIGH_WATER + 1))
    call.receiver.on_body(b"y")

    assert call.sent == ["end", "pause"]
    assert carriage.deadline == inf

    carriage.on_writable()
    carriage.on_writable()

    assert call.sent == ["end", "pause", "resume"]
    assert carriage.deadline == bench.now + 2


def test_a_caller_that_hangs_up_frees_jira_at_once():
    bench = Bench()
    carriage, stream = bench.carriage(body=STREAMED)
    carriage.on_data(b"x")
    carriage.on_reset(ErrorCode.CANCEL, Progress.SENT, "")
    carriage.on_reset(ErrorCode.CANCEL, Progress.SENT, "")

    assert bench.pool.calls[0].sent == [b"x", "abort"]
    assert stream.said == []
    assert bench.tally.outcomes == {"cancel": 1}
    bench.assert_nothing_is_held()


@pytest.mark.parametrize(
    ("kind", "progress", "code"),
    [
        (FailureKind.UNREACHABLE, CallProgress.NOT_SENT, ErrorCode.JIRA_UNREACHABLE),
        (FailureKind.TLS, CallProgress.NOT_SENT, ErrorCode.JIRA_TLS),
        (FailureKind.PROTOCOL, CallProgress.ANSWERED, ErrorCode.JIRA_PROTOCOL),
        (FailureKind.CLOSED, CallProgress.SENT, ErrorCode.JIRA_PROTOCOL),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_failure_of_the_call_resets_the_stream_with_its_progress(kind, progress, code, at_once):
    bench = Bench()
    failure = ClientFailure(kind, progress, "reason")
    bench.pool.fails = failure if at_once else None
    carriage, stream = bench.carriage()
    carriage.on_end([])
    if not at_once:
        bench.pool.calls[0].receiver.on_failure(failure)

    assert stream.said == [("reset", code, Progress(progress))]
    assert stream.detail == "reason"
    assert bench.reports[0][1] is code
    bench.assert_nothing_is_held()


def test_a_head_that_cannot_be_sent_is_the_callers_fault():
    bench = Bench()
    bench.pool.fails = UnsendableHead("a bad name")
    _, stream = bench.carriage()

    assert stream.said == [("reset", ErrorCode.BAD_REQUEST, Progress.NOT_SENT)]
    bench.assert_nothing_is_held()


def test_an_answer_head_that_fits_no_frame_is_jiras_fault():
    bench = Bench()
    carriage, stream = bench.carriage()
    stream.too_large = True
    carriage.on_end([])
    answer(bench.pool.calls[0])

    assert stream.said == [("reset", ErrorCode.JIRA_PROTOCOL, Progress.ANSWERED)]
    assert bench.pool.calls[0].sent == ["end", "abort"]
    bench.assert_nothing_is_held()


def test_the_deadline_runs_from_the_last_request_byte():
    bench = Bench()
    carriage, stream = bench.carriage(body=STREAMED)
    bench.sweeper.sweep(bench.now + 1000)
    assert stream.said == []

    bench.now += 1000
    carriage.on_end([])
    bench.sweeper.sweep(bench.now + 1.9)
    assert stream.said == []
    bench.sweeper.sweep(bench.now + 2.0)

    assert stream.said == [("reset", ErrorCode.JIRA_TIMEOUT, Progress.SENT)]
    assert bench.pool.calls[0].sent == ["end", "abort"]
    bench.assert_nothing_is_held()


def test_the_deadline_starts_anew_with_every_byte_of_the_answer():
    bench = Bench()
    carriage, stream = bench.carriage()
    carriage.on_end([])
    [call] = bench.pool.calls
    answer(call, body=STREAMED)
    for _ in range(3):
        bench.now += 1.5
        call.receiver.on_body(b"x")
        bench.sweeper.sweep(bench.now)
    assert ("reset", ErrorCode.JIRA_TIMEOUT, Progress.SENT) not in stream.said

    call.progress = CallProgress.ANSWERED
    bench.sweeper.sweep(bench.now + 2)

    assert stream.said[-1] == ("reset", ErrorCode.JIRA_TIMEOUT, Progress.ANSWERED)


def test_a_jira_that_does_not_take_the_body_runs_into_the_deadline():
    bench = Bench()
    carriage, stream = bench.carriage(body=STREAMED)
    bench.pool.calls[0].writable = False
    carriage.on_data(b"x")
    bench.sweeper.sweep(bench.now + 2)

    assert stream.said == [("reset", ErrorCode.JIRA_TIMEOUT, Progress.SENT)]


def test_requests_beyond_the_limit_wait_and_keep_their_body():
    bench = Bench(limit=1)
    first, _ = bench.carriage()
    second, stream = bench.carriage(body=3)
    second.on_data(b"abc")
    second.on_end([])
    assert (len(bench.pool.calls), stream.consumed) == (1, 0)

    first.on_reset(ErrorCode.CANCEL, Progress.SENT, "")

    assert bench.pool.calls[1].sent == [b"abc", "end"]
    assert stream.consumed == 3


def test_the_wait_for_a_place_and_for_jira_is_measured():
    bench = Bench(limit=1)
    first, _ = bench.carriage()
    second, _ = bench.carriage()
    second.on_end([])
    bench.now += 1.5
    first.on_reset(ErrorCode.CANCEL, Progress.SENT, "")
    bench.now += 0.25
    answer(bench.pool.calls[1])

    queue, jira = bench.tally.queue, bench.tally.jira
    assert (sum(queue.counts), queue.total) == (2, 1.5), "the first did not wait"
    assert (sum(jira.counts), jira.total) == (1, 0.25)


def test_a_request_that_waits_too_long_is_told_that_nothing_was_sent():
    bench = Bench(limit=1)
    bench.carriage(timeout_ms=60_000)
    _, stream = bench.carriage()
    bench.sweeper.sweep(bench.now + QUEUE_SECONDS)

    assert stream.said == [("reset", ErrorCode.OVERLOADED, Progress.NOT_SENT)]
    assert bench.protection.waiting == 0
    assert bench.protection.in_flight == 1


def test_a_full_queue_refuses_at_once():
    bench = Bench(limit=1, queue=0)
    bench.carriage()
    _, stream = bench.carriage()

    assert stream.said == [("reset", ErrorCode.OVERLOADED, Progress.NOT_SENT)]
    assert bench.protection.in_flight == 1


def test_a_caller_that_hangs_up_in_the_queue_never_reaches_jira():
    bench = Bench(limit=1)
    first, _ = bench.carriage()
    second, _ = bench.carriage()
    second.on_reset(ErrorCode.CANCEL, Progress.NOT_SENT, "")
    first.on_reset(ErrorCode.CANCEL, Progress.SENT, "")

    assert len(bench.pool.calls) == 1
    bench.assert_nothing_is_held()


def test_an_answer_before_the_end_of_the_body_passes_and_the_rest_is_discarded():
    bench = Bench()
    carriage, stream = bench.carriage(body=STREAMED)
    [call] = bench.pool.calls
    call.writable = False
    carriage.on_data(b"x" * 10)
    answer(call, status=413, body=0)
    call.receiver.on_end([])
    carriage.on_data(b"y" * 10)
    carriage.on_end([])

    assert [said[0] for said in stream.said] == ["head", "end"]
    assert call.sent == [b"x" * 10]
    assert stream.consumed == 20
    bench.assert_nothing_is_held()


def test_a_webhook_registration_is_read_whole_and_then_sent_in_one_piece():
    bench = Bench()
    carriage, stream = bench.carriage(body=STREAMED, needs_body_check=True)
    carriage.on_data(b'{"url":')
    carriage.on_data(b'"x"}')
    assert (bench.pool.calls, stream.consumed) == ([], 11)
    carriage.on_end([])
    [call] = bench.pool.calls

    assert call.sent == [b'{"url":"x"}', "end"]
    assert call.head.body == 11
    assert stream.consumed == 11


def test_a_webhook_registration_that_is_refused_never_reaches_jira():
    bench = Bench()
    bench.objection = Refused(ErrorCode.POLICY_DENIED, "not yours")
    carriage, stream = bench.carriage(body=STREAMED, needs_body_check=True)
    carriage.on_data(b"{}")
    carriage.on_end([])

    assert stream.said == [("reset", ErrorCode.POLICY_DENIED, Progress.NOT_SENT)]
    assert bench.pool.calls == []
    bench.assert_nothing_is_held()


def test_a_webhook_registration_that_is_too_large_is_refused_while_it_arrives():
    bench = Bench()
    carriage, stream = bench.carriage(body=STREAMED, needs_body_check=True)
    for _ in range(20):
        carriage.on_data(b"x" * 16384)

    assert stream.said == [("reset", ErrorCode.POLICY_DENIED, Progress.NOT_SENT)]
    assert bench.pool.calls == []


def test_a_webhook_registration_that_does_not_arrive_is_given_up():
    bench = Bench()
    _, stream = bench.carriage(body=STREAMED, needs_body_check=True)
    bench.sweeper.sweep(bench.now + 2)

    assert stream.said == [("reset", ErrorCode.BAD_REQUEST, Progress.NOT_SENT)]
    bench.assert_nothing_is_held()


def test_a_registration_that_waited_for_its_place_is_checked_too():
    bench = Bench(limit=1)
    first, _ = bench.carriage()
    second, stream = bench.carriage(body=2, needs_body_check=True)
    second.on_data(b"{}")
    second.on_end([])
    bench.objection = Refused(ErrorCode.POLICY_DENIED, "not yours")
    first.on_reset(ErrorCode.CANCEL, Progress.SENT, "")

    assert stream.said == [("reset", ErrorCode.POLICY_DENIED, Progress.NOT_SENT)]
    bench.assert_nothing_is_held()


WRONG = [(b"X-Seraph-LoginReason", b"AUTHENTICATED_FAILED")]


def test_a_refused_password_is_told_and_the_next_request_stays_here():
    bench = Bench()
    carriage, stream = bench.carriage(login="agent")
    carriage.on_end([])
    bench.pool.calls[0].receiver.on_response(JiraAnswer(401, WRONG, 0))
    bench.pool.calls[0].receiver.on_end([])
    _, second = bench.carriage(login="agent")

    assert stream.meta[b"jira-login"] == b"wrong_password"
    assert second.said == [("reset", ErrorCode.JIRA_LOGIN_REJECTED, Progress.NOT_SENT)]
    assert "until it changes" in second.detail
    assert len(bench.pool.calls) == 1
    bench.assert_nothing_is_held()


def test_a_login_stored_at_the_gateway_is_held_back_alone():
    bench = Bench()
    carriage, _ = bench.carriage(login="gateway", secret=b"Basic bad")
    carriage.on_end([])
    bench.pool.calls[0].receiver.on_response(JiraAnswer(401, WRONG, 0))
    bench.pool.calls[0].receiver.on_end([])
    for secret in (b"Basic bad", b"Basic good"):
        bench.carriage(login="gateway", secret=secret)

    assert [call.head.headers[-1][1] for call in bench.pool.calls] == [b"Basic bad", b"Basic good"]


def test_a_plain_success_says_nothing_of_the_login():
    bench = Bench()
    carriage, stream = bench.carriage(login="agent")
    carriage.on_end([])
    bench.pool.calls[0].receiver.on_response(JiraAnswer(200, [(b"X-AUSERNAME", b"svc")], 0))

    assert set(stream.meta) == {b"jira-us"}


@pytest.mark.parametrize("login", ["agent", "caller"])
def test_a_rate_limit_is_passed_on_and_told_to_who_comes_next(login):
    bench = Bench()
    carriage, stream = bench.carriage(login=login)
    carriage.on_end([])
    bench.pool.calls[0].receiver.on_response(JiraAnswer(429, [(b"X-RateLimit-Interval-Seconds", b"60")], 0))
    bench.pool.calls[0].receiver.on_end([])
    bench.now += 20
    _, second = bench.carriage(login=login, body=STREAMED)

    assert stream.said[0] == ("head", 429, [(b"X-RateLimit-Interval-Seconds", b"60"), (b"Retry-After", b"60")], 0)
    assert second.said == [("head", 429, [(b"Retry-After", b"40")], 0)]
    assert second.meta[b"problem"] == b"rate_limited"
    assert bench.tally.outcomes["rate_limited"] == 1
    bench.assert_nothing_is_held()


def test_a_jira_that_hangs_is_left_alone_and_callers_are_told():
    bench = Bench(limit=8)
    for _ in range(5):
        carriage, _ = bench.carriage()
        carriage.on_end([])
    bench.now += 2
    bench.sweeper.sweep(bench.now)
    _, stream = bench.carriage()

    assert stream.said == [("reset", ErrorCode.JIRA_UNAVAILABLE, Progress.NOT_SENT)]
    assert "no sign within 2 s" in stream.detail
    assert len(bench.pool.calls) == 5


def test_callers_that_hang_up_on_a_silent_jira_open_the_breaker_but_not_those_of_a_slow_upload():
    bench = Bench(limit=16)
    uploads = [bench.carriage(body=STREAMED)[0] for _ in range(5)]
    silent = [bench.carriage()[0] for _ in range(5)]
    for carriage in silent:
        carriage.on_end([])
    bench.now += 30
    for carriage in uploads:
        carriage.on_reset(ErrorCode.CANCEL, Progress.SENT, "")
    assert bench.protection.breaker.reason is None
    for carriage in silent:
        carriage.on_reset(ErrorCode.CANCEL, Progress.SENT, "")

    assert bench.protection.breaker.reason is not None


def test_the_state_is_readable():
    carriage, _ = Bench().carriage()

    assert repr(carriage) == "<Carriage stream=2 CARRYING owed=0 deadline=inf>"


def test_the_audit_log_is_told_of_every_end_once_with_what_became_of_it():
    bench = Bench(limit=1, queue=1)
    answered, _ = bench.carriage(body=4)
    answered.on_data(b"body")
    answered.on_end([])
    answer = bench.pool.calls[0].receiver
    answer.on_response(JiraAnswer(201, [], 3))
    answer.on_body(b"abc")
    bench.now += 0.5
    answer.on_end([])
    answered.on_reset(ErrorCode.CANCEL, Progress.SENT, "")
    cut, _ = bench.carriage()
    cut.on_reset(ErrorCode.CANCEL, Progress.SENT, "")
    failed, _ = bench.carriage()
    failed.fail(ErrorCode.JIRA_TIMEOUT, Progress.SENT, "late")

    assert [what[2:] for what in bench.audited] == [
        ("answered", 201, 4, 3, 0.5),
        ("cancel", 0, 0, 0, 0.0),
        ("jira_timeout", 0, 0, 0, 0.0),
    ]


def test_what_waits_is_judged_again_and_what_is_at_jira_is_cut_only_on_request():
    bench = Bench(limit=1)
    at_jira, first = bench.carriage()
    waiting, second = bench.carriage()
    paused = Refused(ErrorCode.PAUSED, "paused")
    at_jira.judge_again(lambda head: paused)
    waiting.judge_again(lambda head: paused)
    assert first.said == []
    assert second.said == [("reset", ErrorCode.PAUSED, Progress.NOT_SENT)]

    at_jira.cut("paused")
    assert first.said == [("reset", ErrorCode.JIRA_PROTOCOL, Progress.SENT)]
    bench.assert_nothing_is_held()
