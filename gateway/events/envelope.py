"""What a subscriber gets of an event: the JSON document around Jira's own (docs/event.schema.json). Pure.

A function of the stored delivery and the trigger's name alone, so every attempt, replay, push and pull of one delivery
has the same id and the same bytes. Jira's body goes in as it was stored: it is looked at once, never written anew.
"""

import json
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from pydantic_core import from_json

from gateway.store import Delivery, Event
from jira_api.events.fields import is_dense

GAP: Final = "gap"
"""The type of the event that tells of webhooks that may have been lost."""

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def message_id(event: Event, trigger: int) -> str:
    """Return the id of an event for one trigger: the same each time, made of letters, digits and underscores."""
    return f"evt_{sha256(f'{event.connection}/{event.occurrence}'.encode()).hexdigest()[:24]}_{trigger}"


def compose(delivery: Delivery, trigger_name: str) -> bytes:
    """Return the document for a delivery: one JSON object in UTF-8."""
    event = delivery.event
    head = {
        "id": message_id(event, delivery.trigger),
        "type": event.type,
        "occurred_at": None if event.occurred_at is None else moment(event.occurred_at),
        "received_at": moment(event.received_at),
        "connection": event.connection,
        "trigger": trigger_name,
        "issue": _issue(event),
        "repaired": event.repaired,
    }
    actor = event.actor.encode() if event.actor else b"null"
    return b'%b,"actor":%b,"payload":%b}' % (_dumped(head)[:-1], actor, _payload(event.body))


def moment(time: datetime) -> str:
    """Return a UTC time as in RFC 3339, with milliseconds."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _issue(event: Event) -> dict[str, str | None] | None:
    if event.issue_id is None and event.issue_key is None:
        return None
    return {"id": event.issue_id, "key": event.issue_key}


def _payload(body: bytes) -> bytes:
    if not body:
        return b"null"
    return body if _is_json(body) else _dumped(body.decode(errors="replace"))


def _is_json(body: bytes) -> bool:
    """Say whether these bytes are JSON in UTF-8 (RFC 8259) that may be looked at: it can stand in another document."""
    if is_dense(body):
        return False
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError:  # some of what it refuses is JSON: lone surrogates, and nesting below its own limit
        return _is_json_all_the_same(body)
    return True


def _is_json_all_the_same(body: bytes) -> bool:
    try:
        json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _dumped(value: Any) -> bytes:
    return _ENCODER.encode(value).encode(errors="replace")
