"""The intake: which webhooks count, for whom, and when they are said to be stored."""

import hmac
import json
from hashlib import sha256

import pytest
from structlog.testing import capture_logs

from gateway.events.intake import Arrival, Intake, Verdict, is_signed
from tests.support.subscriptions import HOOK_ID, NOW, SECRET, make_directory, make_hook, make_trigger

CREATED = json.dumps(
    {
        "timestamp": 1767225600000,
        "webhookEvent": "jira:issue_created",
        "user": {"name": "ines", "key": "ines", "displayName": "Ines"},
        "issue": {"id": "10001", "key": "OPS-1", "fields": {}},
    }
).encode()


class FakeLog:
    """Takes events until told otherwise; the test says when they are durable."""

    def __init__(self):
        self.has_room = True
        self.is_full = False
        self.offered = []
        self.news = []

    def offer(self, event, done):
        if self.has_room:
            self.offered.append((event, done))
        return self.has_room

    def note_hook(self, hook, **values):
        self.news.append((hook, values))


class FakeLinks:
    def rewritten(self, connection, body):
        return body.replace(b"jira.corp", b"gw/" + connection.encode())


class World:
    def __init__(self, *rows):
        self.log = FakeLog()
        self.directory = make_directory(*(rows or (make_hook(), make_trigger())))
        self.intake = Intake(self.log, FakeLinks(), lambda: self.directory)
        self.verdicts = []

    def take(self, body=CREATED, headers=(), query="", event_id=None, hook_id=HOOK_ID):
        hook = self.intake.find(hook_id.encode())
        self.intake.take(Arrival(hook, headers, query, body, NOW, event_id), self.verdicts.append)

    @property
    def event(self):
        return self.log.offered[-1][0]


def signature(body, secret=SECRET):
    return (b"X-Hub-Signature", b"sha256=" + hmac.new(secret.encode(), body, sha256).hexdigest().encode())


def test_a_webhook_is_stored_for_the_triggers_that_want_it():
    world = World(make_hook(), make_trigger(1), make_trigger(2, "other", events=frozenset({"comment_created"})))
    world.take()

    event = world.event
    assert (event.connection, event.occurrence, event.type) == ("hq", "issue-created/10001", "jira:issue_created")
    assert (event.triggers, event.issue_id, event.issue_key, event.hook) == ((1,), "10001", "OPS-1", 1)
    assert json.loads(event.actor)["name"] == "ines"
    assert event.received_at == NOW


def test_it_is_said_to_be_stored_when_it_is_durable_and_not_before():
    world = World()
    world.take()
    assert world.verdicts == []
    world.log.offered[0][1]([object()])
    assert world.verdicts == [Verdict.STORED]
    assert (world.intake.received, world.intake.duplicates) == (1, 0)


def test_what_is_known_already_is_stored_all_the_same():
    world = World()
    world.take()
    world.log.offered[0][1]([])
    assert world.verdicts == [Verdict.STORED]
    assert world.intake.duplicates == 1


def test_what_could_not_be_written_is_not_stored():
    world = World()
    world.take()
    world.log.offered[0][1](None)
    assert world.verdicts == [Verdict.NO_ROOM]


def test_without_room_nothing_is_taken():
    world = World()
    world.log.has_room = False
    world.take()
    world.log.has_room, world.log.is_full = True, True
    world.take()
    assert world.verdicts == [Verdict.NO_ROOM, Verdict.NO_ROOM]
    assert world.log.offered == []


def test_what_nobody_wants_is_accepted_and_shows_that_the_hook_works():
    world = World(make_hook(), make_trigger(events=frozenset({"sprint_started"})))
    world.take()
    assert world.verdicts == [Verdict.STORED]
    assert world.log.offered == []
    assert world.log.news == [(1, {"last_event_at": NOW})]


COMMENTED = json.dumps(
    {
        "timestamp": 1767225600000,
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_commented",
        "issue": {"id": "10001", "key": "OPS-1"},
        "comment": {"id": "77", "created": "2026-01-01T00:00:00.000+0000", "updated": "2026-01-01T00:00:00.000+0000"},
    }
).encode()


def test_a_comment_is_its_own_event_for_whoever_wants_that_whichever_webhook_brings_it():
    both = make_trigger(1, "both", events=frozenset({"comment_created", "jira:issue_updated"}))
    issues = make_trigger(2, "issues", events=frozenset({"jira:issue_updated"}))
    comments = make_trigger(3, "comments", events=frozenset({"comment_created"}))
    world = World(make_hook(), both, issues, comments)
    world.take(COMMENTED)

    rows = {event.type: event.triggers for event, _ in world.log.offered}
    assert rows == {"comment_created": (1, 3), "jira:issue_updated": (2,)}
    assert {event.occurrence for event, _ in world.log.offered} == {"comment-created/77"}
    world.log.offered[0][1]([object()])
    assert world.verdicts == []
    world.log.offered[1][1]([])
    assert world.verdicts == [Verdict.STORED]


def test_a_webhook_of_which_only_a_part_could_be_written_is_not_stored():
    both = make_trigger(1, "one", events=frozenset({"comment_created"}))
    world = World(make_hook(), both, make_trigger(2, "two", events=frozenset({"jira:issue_updated"})))
    world.take(COMMENTED)
    world.log.offered[0][1]([object()])
    world.log.offered[1][1](None)
    assert world.verdicts == [Verdict.NO_ROOM]


def test_a_webhook_without_a_body_is_for_all_triggers_of_its_hook():
    world = World(make_hook(), make_trigger(1), make_trigger(2, "other", deliver_to=None))
    world.take(b"", query="user_id=ines&user_key=ines", event_id="ab" * 16)

    assert (world.event.type, world.event.triggers) == ("unknown", (1, 2))
    assert world.event.kept_for == {2}
    assert world.event.occurrence == "arrival/" + "ab" * 16
    assert json.loads(world.event.actor)["id"] == "ines"


def test_webhooks_without_a_body_are_each_of_their_own_kind():
    world = World()
    world.take(b"")
    world.take(b"")
    occurrences = {event.occurrence for event, _ in world.log.offered}
    assert len(occurrences) == 2


def test_an_identifier_of_the_cloud_tells_a_retry():
    world = World()
    for _ in range(2):
        world.take(b"", headers=[(b"X-Atlassian-Webhook-Identifier", b"abc-1")])
    assert {event.occurrence for event, _ in world.log.offered} == {"identifier/abc-1"}


def test_links_in_it_lead_to_the_gateway():
    world = World()
    world.take(CREATED.replace(b'"fields": {}', b'"self": "http://jira.corp/x"'))
    assert b"http://gw/hq/x" in world.event.body


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"X-Hub-Signature", b"sha256=" + b"0" * 64)],
        [(b"X-Hub-Signature", b"")],
        [(b"X-Hub-Signature", b"sha1=abc")],
        [signature(CREATED, "another secret")],
        [signature(CREATED + b" ")],
        [signature(CREATED), signature(CREATED)],
    ],
)
def test_a_hook_that_signs_takes_nothing_without_the_right_signature(headers):
    world = World(make_hook(signs=True), make_trigger())
    with capture_logs() as logs:
        world.take(headers=headers)

    assert world.verdicts == [Verdict.SIGNATURE_WRONG]
    assert world.log.offered == []
    [(hook, news)] = world.log.news
    assert hook == 1
    assert "signature" in news["refused"]
    assert HOOK_ID not in str(logs)
    assert SECRET not in str(logs)


def test_the_right_signature_counts_whatever_its_case():
    world = World(make_hook(signs=True), make_trigger())
    name, value = signature(CREATED)
    world.take(headers=[(name.lower(), b"sha256=" + value[7:].upper())])
    assert len(world.log.offered) == 1


def test_the_known_example_of_a_signature():
    right = b"sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    headers = [(b"X-Hub-Signature", right)]
    assert is_signed(headers, b"Hello World!", "It's a Secret to Everybody")
    assert not is_signed(headers, b"Hello World?", "It's a Secret to Everybody")


def test_an_unknown_id_finds_nothing():
    world = World()
    assert world.intake.find(b"x" * 43) is None
    assert world.intake.find(HOOK_ID.encode()) is not None
