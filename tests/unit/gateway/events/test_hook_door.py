"""The door for webhooks from the internet: the path is looked up first, and told to nobody."""

import json

import pytest
from structlog.testing import capture_logs

from gateway.events.hook_door import CONNECTION_BYTES, HookDoor
from gateway.events.intake import MAX_BODY_BYTES, Verdict
from gateway.outcomes import OutcomeLog
from http1.messages import NO_BODY
from tests.support.fake_link import FakeExchange
from tests.support.subscriptions import HOOK_ID, NOW, make_directory, make_hook

TARGET = b"/hooks/" + HOOK_ID.encode()


class FakeIntake:
    def __init__(self):
        self.subscriptions = make_directory(make_hook()).subscriptions
        self.taken = []
        self.verdict = Verdict.STORED

    def find(self, hook_id):
        from hashlib import sha256

        return self.subscriptions.hook(sha256(hook_id).hexdigest())

    def take(self, arrival, done):
        self.taken.append(arrival)
        done(self.verdict)


@pytest.fixture
def intake():
    return FakeIntake()


@pytest.fixture
def outcomes():
    return OutcomeLog()


@pytest.fixture
def lost():
    return []


@pytest.fixture
def door(intake, outcomes, lost):
    return HookDoor(intake, outcomes, lambda: NOW, lost.append)


def post(door, target=TARGET, body=b"{}", method=b"POST", headers=()):
    exchange = FakeExchange(method, target, list(headers), body=len(body) if body else NO_BODY)
    receiver = door.begin(exchange, "r-1")
    if receiver is not None:
        if body:
            receiver.on_body(body)
        receiver.on_body_end([])
    return exchange


def error(exchange):
    return json.loads(exchange.written)["tunnel"]["error"]


def test_a_webhook_is_taken_whole_and_answered_without_a_body(door, intake, outcomes):
    exchange = post(door, body=b'{"a":1}')

    assert (exchange.status, exchange.written, exchange.state) == (204, b"", "finished")
    [arrival] = intake.taken
    assert (arrival.body, arrival.query, arrival.hook.id, arrival.received_at) == (b'{"a":1}', "", 1, NOW)
    assert dict(exchange.headers)[b"X-Request-ID"] == b"r-1"
    assert outcomes.by_status[204] == 1


@pytest.mark.parametrize("joint", [b"?", b"&"])
def test_what_jira_appends_to_the_address_is_kept(door, intake, joint):
    post(door, TARGET + joint + b"user_id=ines&user_key=JIRAUSER10100")
    assert intake.taken[0].query == "user_id=ines&user_key=JIRAUSER10100"


def test_an_empty_webhook_is_one_too(door, intake):
    assert post(door, body=b"").status == 204
    assert intake.taken[0].body == b""


@pytest.mark.parametrize(
    "target",
    [
        b"/hooks/" + b"x" * 43,
        b"/hooks/",
        b"/hooks/short",
        TARGET + b"/",
        TARGET + b"/more",
        TARGET + b"%41",
        b"/hooks/" + b"x" * 4000,
        b"/hooks//" + HOOK_ID.encode(),
    ],
)
def test_what_is_no_hook_is_not_found_before_its_body_is_read(door, intake, target):
    with capture_logs() as logs:
        exchange = post(door, target)
    assert (exchange.status, error(exchange)) == (404, "not_found")
    assert intake.taken == []
    [line] = [line for line in logs if line["event"] == "request_refused"]
    assert line["path"] == "/hooks/", "what follows may be an id"
    assert target.decode() == "/hooks/" or target.decode() not in str(logs)


def test_webhooks_are_posted(door, intake):
    exchange = post(door, method=b"GET", body=b"")
    assert (exchange.status, error(exchange)) == (405, "method_not_allowed")
    assert dict(exchange.headers)[b"Allow"] == b"POST"
    assert intake.taken == []


def test_a_compressed_one_is_refused(door):
    exchange = post(door, headers=[(b"Content-Encoding", b"gzip")])
    assert (exchange.status, error(exchange)) == (400, "bad_request")


@pytest.mark.parametrize(
    ("verdict", "status", "slug"), [(Verdict.SIGNATURE_WRONG, 403, "forbidden"), (Verdict.NO_ROOM, 503, "overloaded")]
)
def test_what_is_not_stored_is_no_success(door, intake, verdict, status, slug):
    intake.verdict = verdict
    exchange = post(door)
    assert (exchange.status, error(exchange)) == (status, slug)
    assert (b"Retry-After" in dict(exchange.headers)) is (status == 503)


def test_one_that_is_too_large_is_refused(door, intake):
    exchange = FakeExchange(b"POST", TARGET, [], body=MAX_BODY_BYTES + 1)
    assert door.begin(exchange, "r-1") is None
    assert (exchange.status, error(exchange)) == (413, "body_too_large")


def begin(door, size, hook_id=HOOK_ID):
    exchange = FakeExchange(b"POST", b"/hooks/" + hook_id.encode(), [], body=size)
    receiver = door.begin(exchange, "r-1")
    receiver.on_body(b"x" * size)
    return exchange, receiver


def test_all_webhooks_of_a_jira_that_are_under_way_share_a_bound(door, intake):
    first, second = MAX_BODY_BYTES, CONNECTION_BYTES - MAX_BODY_BYTES
    started = [begin(door, first), begin(door, second)]
    late, _ = begin(door, 1)
    assert (late.status, error(late)) == (503, "overloaded")

    for _, receiver in started:
        receiver.on_body_end([])
    assert len(intake.taken) == len(started)
    assert post(door).status == 204


def test_a_jira_that_holds_webhooks_back_does_not_shut_out_the_others(door, intake):
    other = make_hook(2, hook_id="o" * 43, connection="plant")
    intake.subscriptions = make_directory(make_hook(), other).subscriptions
    for _ in range(10):
        begin(door, MAX_BODY_BYTES)
    exchange, receiver = begin(door, MAX_BODY_BYTES, "o" * 43)
    receiver.on_body_end([])
    assert exchange.status == 204


def test_what_a_jira_sent_and_is_not_kept_is_told(door, intake, lost):
    post(door)
    intake.verdict = Verdict.SIGNATURE_WRONG
    post(door)
    post(door, b"/hooks/" + b"x" * 43)
    assert lost == []

    intake.verdict = Verdict.NO_ROOM
    post(door)
    exchange = FakeExchange(b"POST", TARGET, [], body=MAX_BODY_BYTES + 1)
    door.begin(exchange, "r-1")
    begin(door, MAX_BODY_BYTES)[1].on_disconnect()
    assert lost == ["hq"] * 3


def test_a_bug_of_ours_costs_neither_the_answer_nor_the_room_and_is_a_gap(door, intake, lost):
    def crash(arrival, done):
        raise KeyError("bug")

    intake.take = crash
    for _ in range(3):
        exchange, receiver = begin(door, MAX_BODY_BYTES)
        with capture_logs() as logs:
            receiver.on_body_end([])
        assert (exchange.status, logs[0]["event"]) == (503, "webhook_crashed")
    assert lost == ["hq"] * 3


def test_a_jira_that_hangs_up_after_its_webhook_is_taken_has_lost_nothing(door, intake, lost):
    intake.take = lambda arrival, done: intake.taken.append(done)
    _, receiver = begin(door, 5)
    receiver.on_body_end([])
    receiver.on_disconnect()
    intake.taken[0](Verdict.STORED)
    assert lost == []


def test_the_id_is_in_no_log(door, intake):
    intake.verdict = Verdict.NO_ROOM
    with capture_logs() as logs:
        post(door)
    assert logs
    assert HOOK_ID not in str(logs)
