"""The direct half of the request path: what goes to Jira, credit, and how failures are told."""

import pytest

from gateway.admission import Refused
from gateway.direct import DirectCarrier
from gateway.direct_stream import DirectStream, Outlet, Screened
from gateway.store import Credentials
from http1.errors import ClientFailure, FailureKind, UnsendableHead
from http1.errors import Progress as Sent
from http1.messages import RequestHead as JiraRequest
from http1.messages import ResponseHead
from http1.sweep import Sweeper
from jira_api.protection.protection import QUEUE_SECONDS, Protection
from tunnel.budget import HIGH_WATER, NARROW_WINDOW, Budget
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, RequestHead


class Call:
    """A call that notes what is asked of it."""

    def __init__(self):
        self.writable = True
        self.progress = Sent.NOT_SENT
        self.log = []

    def write(self, data):
        self.log.append(data)

    def finish(self, trailers):
        self.log.append(("end", list(trailers)))

    def __getattr__(self, name):
        return lambda: self.log.append(name)


class Pool:
    """A pool that carries one call."""

    def __init__(self):
        self.call = Call()
        self.head = None
        self.failing = None

    def start(self, head, receiver):
        if self.failing:
            raise self.failing
        self.head, self.receiver = head, receiver
        return self.call


class Relay:
    """A relay that notes what it hears and takes bytes only when told to."""

    def __init__(self):
        self.heard = []
        self.body = b""

    def on_response(self, head):
        self.heard.append((head.status, head.headers, head.body, head.meta))

    def on_data(self, data):
        self.body += data

    def on_end(self, trailers):
        self.heard.append(("end", trailers))

    def on_reset(self, code, progress, detail):
        self.heard.append((code, progress, detail))

    def on_writable(self):
        self.heard.append("writable")


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def relay():
    return Relay()


def carrier(pool, credentials=Credentials.GATEWAY, context=b"/jira"):
    return DirectCarrier(outlet(pool), context, credentials, b"jira-gateway/1")


def outlet(pool, maximum=64):
    return Outlet(pool, Protection(maximum, lambda: 7.0), Sweeper(), lambda: 7.0, Budget())


def request(target=b"/rest/api/2/myself", headers=(), method=b"GET", body=NO_BODY):
    return RequestHead(method, target, list(headers), body, 1000, {})


def opened(pool, relay, **options):
    return carrier(pool).open_stream(request(**options), relay)


def test_the_raw_target_goes_below_the_context_path_unchanged(pool, relay):
    opened(pool, relay, target=b"/rest/api/2/search?jql=a%20%3D%22b%22")
    assert pool.head.target == b"/jira/rest/api/2/search?jql=a%20%3D%22b%22"


def test_headers_pass_by_the_allow_list_and_ours_are_added_once(pool, relay):
    sent = [(b"Accept", b"a/b"), (b"User-Agent", b"Mozilla"), (b"X-Forwarded-User", b"admin"), (b"Cookie", b"c=1")]
    opened(pool, relay, headers=[*sent, (b"Authorization", b"Basic stored")])
    assert pool.head.headers == [
        (b"Accept", b"a/b"),
        (b"User-Agent", b"jira-gateway/1"),
        (b"Via", b"1.1 jira-tunnel"),
        (b"Authorization", b"Basic stored"),
    ]


def test_a_callers_own_login_and_cookies_pass(pool, relay):
    headers = [(b"Cookie", b"c=1"), (b"Authorization", b"Basic mine")]
    carrier(pool, Credentials.CALLER).open_stream(request(headers=headers), relay)
    assert [pair for pair in pool.head.headers if pair in headers] == headers


@pytest.mark.parametrize("credentials", [Credentials.GATEWAY, Credentials.CALLER])
@pytest.mark.parametrize(
    "target",
    [
        b"/rest/pat/latest/tokens",
        b"/rest/plugins/1.0/",
        b"/rest/scriptrunner/latest/custom/x",
        b"/rest/oauth2/latest/token",
        b"/rest/api/2/user/password?username=x",
        b"/rest/auth/1/websudo",
        b"/secure/admin/ViewApplicationProperties.jspa",
        b"/rest/api/2/myself?os_username=a&os_password=b",
    ],
)
def test_what_no_profile_allows_never_passes(pool, relay, credentials, target):
    with pytest.raises(Refused) as refused:
        carrier(pool, credentials).open_stream(request(target), relay)
    assert refused.value.problem.slug.name == "policy_denied"
    assert pool.head is None


def test_an_ambiguous_target_never_passes(pool, relay):
    with pytest.raises(Refused) as refused:
        opened(pool, relay, target=b"/rest/api/2/..;/..;/secure/admin")
    assert refused.value.problem.slug.name == "bad_request"


def test_a_head_that_cannot_be_sent_is_a_bad_request_and_no_stream(pool, relay):
    pool.failing = UnsendableHead("a line break in a value")
    direct = carrier(pool)
    with pytest.raises(Refused) as refused:
        direct.open_stream(request(), relay)
    assert refused.value.problem.slug.name == "bad_request"
    assert direct.streams == 0


def test_the_answer_is_passed_on_with_the_time_that_jira_took(pool, relay):
    opened(pool, relay)
    pool.receiver.on_response(ResponseHead(200, [(b"X", b"y")], 3))
    pool.receiver.on_body(b"abc")
    pool.receiver.on_end([])
    assert relay.heard == [(200, [(b"X", b"y")], 3, {b"jira-us": b"0"}), ("end", [])]
    assert relay.body == b"abc"


def test_jira_is_read_only_as_fast_as_the_caller_takes(pool, relay):
    stream = opened(pool, relay)
    pool.receiver.on_body(b"x" * HIGH_WATER)
    assert pool.call.log == []
    pool.receiver.on_body(b"x")
    pool.receiver.on_body(b"x")
    assert pool.call.log == ["pause"]
    stream.consume(2)
    assert pool.call.log == ["pause"]
    stream.consume(HIGH_WATER // 2)
    assert pool.call.log == ["pause", "resume"]


def test_what_the_caller_has_not_taken_is_counted_until_it_has_or_the_answer_is_over(pool, relay):
    shared = outlet(pool)
    stream = DirectCarrier(shared, b"", Credentials.CALLER, b"x").open_stream(request(), relay)
    pool.receiver.on_body(b"x" * 100)
    stream.consume(60)
    assert shared.budget.waiting == 40
    pool.receiver.on_end([])
    assert shared.budget.waiting == 0  # the caller's socket counts it now
    stream.consume(40)
    assert shared.budget.waiting == 0


def test_jira_is_read_less_far_ahead_when_memory_is_short(pool, relay):
    shared = outlet(pool)
    DirectCarrier(shared, b"", Credentials.CALLER, b"x").open_stream(request(), relay)
    shared.budget.waiting = shared.budget.total_bytes
    pool.receiver.on_body(b"x" * NARROW_WINDOW)
    assert pool.call.log == []
    pool.receiver.on_body(b"x")
    assert pool.call.log == ["pause"]


def test_the_request_body_waits_while_jira_does_not_take_it(pool, relay):
    shared = outlet(pool)
    direct = DirectCarrier(shared, b"", Credentials.CALLER, b"x")
    stream = direct.open_stream(request(method=b"POST", target=b"/rest/api/2/issue", body=9), relay)
    stream.send_data(b"abc")
    assert (stream.is_choked, stream.queued_bytes, shared.budget.waiting) == (False, 0, 0)
    pool.call.writable = False
    stream.send_data(b"def")
    assert (stream.is_choked, stream.queued_bytes, shared.budget.waiting) == (True, 3, 3)
    pool.call.writable = True
    pool.receiver.on_writable()
    assert relay.heard == ["writable"]
    assert (stream.is_choked, stream.queued_bytes, shared.budget.waiting) == (False, 0, 0)
    pool.call.writable = False
    stream.send_data(b"ghi")
    stream.send_end()
    assert pool.call.log == [b"abc", b"def", b"ghi", ("end", [])]
    stream.reset(ErrorCode.CANCEL)
    assert shared.budget.waiting == 0


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FailureKind.UNREACHABLE, ErrorCode.JIRA_UNREACHABLE),
        (FailureKind.TLS, ErrorCode.JIRA_TLS),
        (FailureKind.PROTOCOL, ErrorCode.JIRA_PROTOCOL),
        (FailureKind.CLOSED, ErrorCode.JIRA_PROTOCOL),
    ],
)
def test_a_failure_is_a_reset_with_its_code_and_progress(pool, relay, kind, code):
    opened(pool, relay)
    pool.receiver.on_failure(ClientFailure(kind, Sent.SENT, "why"))
    assert relay.heard == [(code, Progress.SENT, "why")]


def test_after_its_reset_nothing_is_heard_and_jira_is_freed(pool, relay):
    direct = carrier(pool)
    stream = direct.open_stream(request(), relay)
    assert direct.streams == 1
    stream.reset(ErrorCode.CANCEL)
    stream.reset(ErrorCode.CANCEL)
    assert pool.call.log == ["abort"]
    pool.receiver.on_body(b"late")
    pool.receiver.on_end([])
    pool.receiver.on_writable()
    assert (relay.heard, relay.body, direct.streams) == ([], b"", 0)


def test_a_stream_without_a_call_yet_has_sent_nothing(relay):
    stream = DirectStream(
        relay, Screened(JiraRequest(b"GET", b"/", [], NO_BODY), None, b"ci", None, None), outlet(None)
    )
    assert stream.progress is Progress.NOT_SENT
    assert stream.queued_bytes == 0


FAILED_LOGIN = [(b"X-Seraph-LoginReason", b"AUTHENTICATED_FAILED")]
LOGIN = (b"Authorization", b"Basic stored")


def with_login(direct, relay, **options):
    return direct.open_stream(request(headers=[LOGIN], **options), relay)


def end(pool, status=200, headers=()):
    pool.receiver.on_response(ResponseHead(status, list(headers), 0))
    pool.receiver.on_end([])


def test_a_refused_stored_login_is_told_and_not_tried_again(pool, relay):
    direct = carrier(pool)
    with_login(direct, relay)
    end(pool, 401, FAILED_LOGIN)
    with pytest.raises(Refused) as refused:
        with_login(direct, relay)

    assert relay.heard[0][3][b"jira-login"] == b"wrong_password"
    assert refused.value.problem.slug.name == "jira_login_rejected"
    assert (direct.streams, direct.protection.in_flight) == (0, 0)


def test_a_callers_refused_login_is_not_held_back(pool, relay):
    direct = carrier(pool, Credentials.CALLER)
    for _ in range(2):
        with_login(direct, relay)
        end(pool, 401, FAILED_LOGIN)

    assert [heard[0] for heard in relay.heard if heard[0] != "end"] == [401, 401]


def test_a_request_that_waits_keeps_its_body_and_goes_when_there_is_a_place(pool, relay):
    shared = outlet(pool, maximum=1)
    direct = DirectCarrier(shared, b"", Credentials.CALLER, b"x")
    direct.open_stream(request(), Relay())
    first = pool.receiver
    stream = direct.open_stream(request(method=b"POST", target=b"/rest/api/2/issue", body=3), relay)
    assert (stream.queued_bytes, stream.progress) == (0, Progress.NOT_SENT)
    stream.send_data(b"abc")
    stream.send_end()
    assert stream.is_choked
    assert (stream.queued_bytes, shared.budget.waiting) == (3, 3)
    assert pool.call.log == []
    first.on_end([])

    assert (stream.queued_bytes, shared.budget.waiting) == (0, 0)
    assert pool.call.log == [b"abc", ("end", [])]
    assert relay.heard == ["writable"]
    assert direct.streams == 1


@pytest.mark.parametrize("how", ["deadline", "hang up"])
def test_a_request_that_waits_in_vain_leaves_nothing(pool, relay, how):
    shared = outlet(pool, maximum=1)
    direct = DirectCarrier(shared, b"", Credentials.CALLER, b"x")
    direct.open_stream(request(), Relay())
    stream = direct.open_stream(request(), relay)
    if how == "deadline":
        shared.sweeper.sweep(7.0 + QUEUE_SECONDS)
    else:
        stream.reset(ErrorCode.CANCEL)

    heard = [(ErrorCode.OVERLOADED, Progress.NOT_SENT, "no place towards Jira became free in time")]
    assert relay.heard == (heard if how == "deadline" else [])
    assert (direct.streams, direct.protection.waiting, len(shared.sweeper)) == (1, 0, 0)


def test_a_rate_limit_is_passed_on_and_told_to_who_comes_next_and_who_waits(pool, relay):
    shared = outlet(pool, maximum=1)
    direct = DirectCarrier(shared, b"", Credentials.GATEWAY, b"x")
    waiting = Relay()
    with_login(direct, relay)
    with_login(direct, waiting)
    pool.receiver.on_response(ResponseHead(429, [(b"X-RateLimit-Interval-Seconds", b"60")], 0))
    with pytest.raises(Refused) as refused:
        with_login(direct, relay)

    assert (b"Retry-After", b"60") in relay.heard[0][1]
    assert waiting.heard[0][:2] == (429, [(b"Retry-After", b"60")])
    assert waiting.heard[0][3][b"problem"] == b"rate_limited"
    assert (refused.value.problem.slug.name, refused.value.problem.retry_after) == ("rate_limited", 60)


def test_deadlines_and_refusals_open_the_breaker(pool, relay):
    now = [100.0]
    shared = Outlet(pool, Protection(8, lambda: now[0]), Sweeper(), lambda: now[0], Budget())
    direct = DirectCarrier(shared, b"", Credentials.CALLER, b"x")
    streams = [direct.open_stream(request(), relay) for _ in range(5)]
    now[0] += 2
    for stream in streams:
        stream.reset(ErrorCode.DEADLINE)
    with pytest.raises(Refused) as refused:
        direct.open_stream(request(), relay)

    assert refused.value.problem.slug.name == "jira_unavailable"
    assert shared.protection.in_flight == 0


def test_a_head_that_cannot_be_sent_after_waiting_is_told_and_gives_its_place_back(pool, relay):
    shared = outlet(pool, maximum=1)
    direct = DirectCarrier(shared, b"", Credentials.CALLER, b"x")
    direct.open_stream(request(), Relay())
    first = pool.receiver
    direct.open_stream(request(), relay)
    pool.failing = UnsendableHead("a line break")
    first.on_end([])

    assert relay.heard[0][:2] == (ErrorCode.BAD_REQUEST, Progress.NOT_SENT)
    assert (direct.streams, direct.protection.in_flight) == (0, 0)


WEBHOOKS = ["/rest/webhooks/1.0/webhook", "/rest/webhooks/1.0/webhook/7", "/rest/jira-webhook/1.0/webhooks"]


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"DELETE"])
@pytest.mark.parametrize("path", WEBHOOKS)
@pytest.mark.parametrize("credentials", list(Credentials))
def test_a_callers_request_reaches_no_webhook(pool, relay, path, method, credentials):
    with pytest.raises(Refused) as refused:
        carrier(pool, credentials).open_stream(request(target=path.encode(), method=method), relay)
    assert (refused.value.problem.slug.name, pool.head) == ("policy_denied", None)


@pytest.mark.parametrize("path", WEBHOOKS)
def test_the_gateways_own_requests_reach_webhooks_and_count_as_all_others(pool, relay, path):
    direct = carrier(pool)
    stream = direct.own.open_stream(request(target=path.encode(), headers=[LOGIN]), relay)
    assert pool.head.target == b"/jira" + path.encode()
    assert (direct.streams, direct.protection.in_flight) == (1, 1)
    stream.reset(ErrorCode.CANCEL)
    assert (direct.streams, direct.protection.in_flight) == (0, 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"POST", b"/rest/api/2/issue"),
        (b"DELETE", b"/rest/api/2/issue/OPS-1"),
        (b"GET", b"/rest/pat/latest/tokens"),
        (b"GET", b"/rest/plugins/1.0/"),
        (b"GET", b"/secure/admin"),
        (b"POST", b"/rest/webhooks/1.0/webhook/../../../api/2/issue"),
    ],
)
def test_the_gateways_own_requests_reach_nothing_that_it_does_not_need(pool, relay, method, path):
    with pytest.raises(Refused):
        carrier(pool).own.open_stream(request(target=path, method=method), relay)
    assert pool.head is None
