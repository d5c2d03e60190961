"""What Jira is answered, what is counted, and what counts as lost; without a socket or a disk."""

from hashlib import sha256

import pytest
import structlog

from agent.known_hooks import KnownHooks
from agent.spool_records import SpoolFull, SpoolUnavailable
from agent.tally import WebhookTally
from agent.webhook_intake import Edge, WebhookIntake
from http1.errors import Rejection, RequestRejected
from http1.messages import NO_BODY, STREAMED
from tests.support.fake_link import FakeExchange

HOOK = b"k" * 43
HEADERS = [(b"Content-Type", b"application/json"), (b"Authorization", b"Basic x")]


class FakeSpool:
    """Keeps nothing; the test says what became of each record."""

    def __init__(self):
        self.asked = []
        self.full = False

    def append(self, record, done):
        if self.full:
            raise SpoolFull(1, 1)
        self.asked.append((record, done))


class Scene:
    def __init__(self):
        self.now = 100.0
        self.spool = FakeSpool()
        self.tally = WebhookTally()
        self.losses = []
        hooks = KnownHooks(lambda _: None)
        hooks.restore(frozenset({sha256(HOOK).digest()}))
        edge = Edge(lambda: 1234, lambda: self.now, lambda: "e" * 32)
        self.intake = WebhookIntake(hooks, self.spool, self.tally, lambda: self.losses.append(1), edge)

    def post(self, body=b"{}", target=b"/hooks/" + HOOK, *, method=b"POST", size=None, end=True):
        exchange = FakeExchange(method, target, HEADERS, len(body) if size is None else size)
        receiver = self.intake.begin(exchange)
        if receiver is not None:
            if body:
                receiver.on_body(body)
            if end and not exchange.is_over:
                receiver.on_body_end([])
        return exchange, receiver


@pytest.fixture
def scene():
    return Scene()


def test_a_webhook_is_answered_when_the_spool_has_it(scene):
    exchange, _ = scene.post(b'{"a":1}', b"/hooks/" + HOOK + b"?user_id=a&user_key=b")
    [(record, done)] = scene.spool.asked
    assert (exchange.status, scene.intake.in_hand) == (None, 1)
    done(None)
    assert (exchange.status, exchange.body, exchange.state) == (204, NO_BODY, "finished")
    assert record.target == b"/v1/events/" + sha256(HOOK).hexdigest().encode()
    assert (record.event_id, record.received_at, record.query) == ("e" * 32, 1234, b"user_id=a&user_key=b")
    assert (record.headers, record.body) == (HEADERS[:1], b'{"a":1}')
    assert (scene.tally.received, scene.intake.in_hand, scene.intake.room.held, scene.losses) == (1, 0, 0, [])


@pytest.mark.parametrize("size", [0, NO_BODY, STREAMED])
def test_a_webhook_without_a_body_is_kept(scene, size):
    scene.post(b"", size=size)
    assert scene.spool.asked[0][0].body == b""


@pytest.mark.parametrize(
    "target",
    [b"/", b"/hooks/", b"/hooks/" + b"u" * 43, b"/hooks/" + HOOK + b"/", b"/x/" + HOOK, b"/hooks/" + b"k" * 200],
)
def test_an_unknown_hook_is_404_without_its_body(scene, target):
    exchange, receiver = scene.post(target=target)
    assert (exchange.status, receiver) == (404, None)
    assert scene.spool.asked == []
    assert (scene.tally.refused, scene.losses) == ({"unknown_hook": 1}, [])


def test_anything_but_a_post_is_405_whether_the_hook_is_known_or_not(scene):
    for target in (b"/hooks/" + HOOK, b"/hooks/unknown"):
        exchange, receiver = scene.post(b"", target, method=b"GET")
        assert (exchange.status, exchange.headers, receiver) == (405, {b"Allow": b"POST"}, None)


def test_a_webhook_over_ten_mebibytes_is_413_and_lost(scene):
    promised, receiver = scene.post(b"", size=(10 << 20) + 1)
    assert (promised.status, receiver) == (413, None)
    grown, _ = scene.post(b"x" * ((10 << 20) + 1), size=STREAMED)
    assert grown.status == 413
    assert (scene.intake.room.held, len(scene.losses), scene.intake.in_hand) == (0, 2, 0)


def test_one_of_exactly_ten_mebibytes_is_kept(scene):
    scene.post(b"x" * (10 << 20))
    assert len(scene.spool.asked) == 1


def test_bodies_in_hand_have_a_bound_and_then_it_is_503(scene):
    for _ in range(3):
        scene.post(b"x" * (10 << 20))
    exchange, _ = scene.post(b"x" * (3 << 20))
    assert (exchange.status, exchange.headers) == (503, {b"Retry-After": b"10"})
    assert (scene.tally.refused, len(scene.losses)) == ({"busy": 1}, 1)
    scene.spool.asked[0][1](None)
    assert scene.post(b"x" * (3 << 20))[0].status is None


@pytest.mark.parametrize("reason", ["full", "unavailable"])
def test_a_webhook_that_the_spool_does_not_take_is_503_and_lost(scene, tmp_path, reason):
    scene.spool.full = reason == "full"
    exchange, _ = scene.post()
    if reason == "unavailable":
        scene.spool.asked[0][1](SpoolUnavailable(tmp_path, "no space"))
    assert (exchange.status, exchange.headers) == (503, {b"Retry-After": b"10"})
    assert (scene.tally.refused, scene.tally.received) == ({reason: 1}, 0)
    assert (len(scene.losses), scene.intake.in_hand, scene.intake.room.held) == (1, 0, 0)


def test_a_webhook_that_breaks_off_is_lost(scene):
    _, receiver = scene.post(b"x", size=10, end=False)
    receiver.on_disconnect()
    assert (scene.tally.refused, len(scene.losses), scene.intake.in_hand) == ({"broken": 1}, 1, 0)


def test_a_jira_that_hangs_up_before_the_answer_has_its_webhook_kept(scene):
    _, receiver = scene.post()
    receiver.on_disconnect()
    scene.spool.asked[0][1](None)
    assert (scene.tally.received, scene.losses, scene.intake.in_hand) == (1, [], 0)


@pytest.mark.parametrize("rejection", list(Rejection))
def test_every_breach_of_http_has_an_answer(scene, rejection):
    status, headers, body = scene.intake.reject("10.0.0.1", RequestRejected(rejection, "why"), None)
    assert 400 <= status < 600
    assert (headers, body) == ([], b"")
    assert scene.tally.refused == {"malformed": 1}


def test_the_log_names_hashes_only_and_each_reason_once_a_minute(scene):
    scene.spool.full = True
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            scene.post()
            scene.post(target=b"/hooks/secret-id")
        scene.now += 61
        scene.post()
    assert [entry["reason"] for entry in logs] == ["full", "unknown_hook", "full"]
    assert logs[0]["hook"] == sha256(HOOK).hexdigest()[:8]
    assert logs[2]["refused"] == 6
    assert HOOK.decode() not in str(logs)
    assert "secret-id" not in str(logs)
