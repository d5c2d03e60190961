"""The document around Jira's own: its fields, its bytes, and that it keeps to the published schema."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import pytest

from gateway.events.envelope import compose, message_id
from gateway.store import Delivery, Event, State

PROJECT = Path(__file__).resolve().parents[4]
SCHEMA = json.loads((PROJECT / "docs" / "event.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
MOMENT = datetime(2026, 11, 26, 17, 0, 0, 123_999, UTC)
EVENT = Event(
    7, "hq", "changelog/10042", "jira:issue_updated", MOMENT, b'{ "issue": {"key":"ABC-1"} }', MOMENT, "10001",
    "ABC-1", '{"id":"u1","name":"anna","display_name":"Anna"}', False,
)  # fmt: skip
GAP = {
    "from": "2026-11-26T16:00:00.000Z",
    "to": "2026-11-26T17:00:00.000Z",
    "cause": "agent",
    "way": None,
    "found": 3,
    "complete": False,
    "lost": "deleted comments",
}


def composed(name="ci", **changes):
    return compose(Delivery(1, 12, State.PENDING, 0, replace(EVENT, **changes)), name)


def test_it_holds_what_is_known_and_jiras_json():
    document = json.loads(composed())
    assert document == {
        "id": "evt_f47d0177fd110266051c347c_12",
        "type": "jira:issue_updated",
        "occurred_at": "2026-11-26T17:00:00.123Z",
        "received_at": "2026-11-26T17:00:00.123Z",
        "connection": "hq",
        "trigger": "ci",
        "issue": {"id": "10001", "key": "ABC-1"},
        "actor": {"id": "u1", "name": "anna", "display_name": "Anna"},
        "repaired": False,
        "payload": {"issue": {"key": "ABC-1"}},
    }


def test_jiras_bytes_are_not_written_anew():
    assert EVENT.body in composed()


def test_the_id_is_the_same_each_time_and_another_for_another_trigger_connection_or_occurrence():
    again = replace(EVENT, seq=99, received_at=datetime(2027, 1, 1, tzinfo=UTC), type="comment_created")
    assert message_id(EVENT, 12) == message_id(again, 12)
    others = [replace(EVENT, connection="dc"), replace(EVENT, occurrence="changelog/10043")]
    assert len({message_id(EVENT, 12), message_id(EVENT, 13), *(message_id(other, 12) for other in others)}) == 4
    assert "." not in message_id(EVENT, 12)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"", None),
        (b"[1, 2]", [1, 2]),
        (b'"text"\n', "text"),
        (b'{"big": 123456789012345678901234567890}', {"big": 123456789012345678901234567890}),
        (rb'{"half": "\ud800"}', {"half": "\ud800"}),
        (b"[" * 300 + b"]" * 300, json.loads("[" * 300 + "]" * 300)),
        (b"no json", "no json"),
        (b'{"a": 1', '{"a": 1'),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b"1}, {", "1}, {"),
        (b'"\xff"', '"�"'),
        ("[1]".encode("utf-16"), "[1]".encode("utf-16").decode(errors="replace")),
        (b"[" * 200_000, "[" * 200_000),
        (b"[0" + b",0" * 400_000 + b"]", "[0" + ",0" * 400_000 + "]"),  # more values than anybody should look at
    ],
)
def test_json_goes_in_as_it_is_and_everything_else_as_a_string(body, payload):
    document = json.loads(composed(body=body))
    assert document["payload"] == payload
    assert document["trigger"] == "ci"


def test_what_is_not_known_is_null():
    document = json.loads(composed(occurred_at=None, issue_id=None, issue_key=None, actor=None))
    assert [document[name] for name in ("occurred_at", "issue", "actor")] == [None, None, None]
    assert json.loads(composed(issue_key=None))["issue"] == {"id": "10001", "key": None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"occurred_at": None, "issue_id": None, "issue_key": None, "actor": None, "body": b"", "type": "unknown"},
        {"body": b"no json", "issue_id": None, "repaired": True},
        {"type": "gap", "occurrence": "gap/1", "body": json.dumps(GAP).encode(), "issue_id": None, "issue_key": None},
    ],
)
def test_every_document_keeps_to_the_schema(changes):
    VALIDATOR.validate(json.loads(composed(**changes)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "evt_1.2"},
        {"received_at": "2026-11-26 17:00"},
        {"issue": {"key": "ABC-1"}},
        {"type": "gap", "payload": {**GAP, "cause": "weather"}},
        {"type": "gap", "payload": {}},
        {"repaired": None},
    ],
)
def test_the_schema_refuses_what_is_not_sent(wrong):
    assert not VALIDATOR.is_valid(json.loads(composed()) | wrong)
