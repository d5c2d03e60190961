"""Where webhooks come in, whichever way: from a hook and a body to an event in the log. Answering is the doors' part.

A webhook counts when its path names a hook that we know and, where that hook signs, its signature is right; both are
compared in constant time (the path by its SHA-256). It is stored for each trigger of the hook that wants its type;
one without a body has no type that can be read, and is for all of them.
"""

import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from hashlib import sha256
from typing import Final

import structlog

from gateway.directory import Directory
from gateway.events.event_log import EventLog
from gateway.events.links import Links
from gateway.store import Delivery, NewEvent
from gateway.triggers import HookEntry, TriggerEntry
from jira_api.events.reading import JiraEvent, read_event

log = structlog.get_logger()

MAX_BODY_BYTES: Final = 10 << 20
UNREADABLE: Final = "unknown"

Headers = Sequence[tuple[bytes, bytes]]


class Verdict(Enum):
    """What becomes of a webhook."""

    STORED = auto()
    SIGNATURE_WRONG = auto()
    NO_ROOM = auto()


@dataclass(slots=True)
class Arrival:
    """One webhook as it came. `event_id` is the agent's, None when it came from Jira directly."""

    hook: HookEntry
    headers: Headers
    query: str
    body: bytes
    received_at: datetime
    event_id: str | None = None


class Intake:
    """Takes webhooks into the log; counts them."""

    def __init__(self, events: EventLog, links: Links, directory: Callable[[], Directory]) -> None:
        self._log = events
        self._links = links
        self._directory = directory
        self.is_full = False  # more waits to be sent than may be kept (gateway.events.retention)
        self.received = 0
        self.duplicates = 0
        self.refused = 0
        self.turned_away = 0

    def __repr__(self) -> str:
        return f"<Intake {self.received} received, {self.duplicates} twice>"

    def find(self, hook_id: bytes) -> HookEntry | None:
        """Return the hook of a presented id."""
        return self.hook(sha256(hook_id).hexdigest())

    def hook(self, id_hash: str) -> HookEntry | None:
        """Return the hook whose id has this hash."""
        return self._directory().subscriptions.hook(id_hash)

    def take(self, arrival: Arrival, done: Callable[[Verdict], None]) -> None:
        """Store a webhook; `done` is called once, with STORED only when it is durable."""
        hook = arrival.hook
        if hook.row.signs and not is_signed(arrival.headers, arrival.body, hook.secret.get_secret_value()):
            self._refuse(arrival, done)
            return
        identifier = _header(arrival.headers, b"x-atlassian-webhook-identifier")
        event = read_event(arrival.body, query=arrival.query, identifier=identifier)
        wanting = [
            trigger
            for trigger in self._directory().subscriptions.of_hook(hook.id)
            if event.type in trigger.row.events or event.type == UNREADABLE
        ]
        if not wanting:
            self._log.note_hook(hook.id, last_event_at=arrival.received_at)
            done(Verdict.STORED)
            return
        if self.is_full or not self._log.offer(
            self._event(arrival, event, wanting), lambda made: self._done(made, done)
        ):
            self.turned_away += 1
            done(Verdict.NO_ROOM)

    def _event(self, arrival: Arrival, event: JiraEvent, wanting: Sequence[TriggerEntry]) -> NewEvent:
        hook = arrival.hook
        return NewEvent(
            connection=hook.connection,
            occurrence=event.occurrence or f"arrival/{arrival.event_id or secrets.token_hex(16)}",
            type=event.type,
            received_at=arrival.received_at,
            triggers=tuple(trigger.id for trigger in wanting),
            body=self._links.rewritten(hook.connection, arrival.body),
            occurred_at=event.occurred_at,
            issue_id=event.issue_id,
            issue_key=event.issue_key,
            actor=None if event.actor is None else json.dumps(event.actor),
            hook=hook.id,
            kept_for=frozenset(trigger.id for trigger in wanting if not trigger.is_sent),
        )

    def _done(self, made: Sequence[Delivery] | None, done: Callable[[Verdict], None]) -> None:
        if made is None:
            self.turned_away += 1
            done(Verdict.NO_ROOM)
            return
        self.received += 1
        self.duplicates += not made
        done(Verdict.STORED)

    def _refuse(self, arrival: Arrival, done: Callable[[Verdict], None]) -> None:
        self.refused += 1
        signed = _header(arrival.headers, b"x-hub-signature") is not None
        reason = "its signature is wrong" if signed else "it has no signature: enter the webhook's secret in Jira"
        hook = arrival.hook
        self._log.note_hook(hook.id, refused_at=arrival.received_at, refused=reason)
        log.warning("webhook_refused", connection=hook.connection, hook=hook.id, reason=reason)
        done(Verdict.SIGNATURE_WRONG)


def is_signed(headers: Headers, body: bytes, secret: str) -> bool:
    """Say whether X-Hub-Signature is that of this body: `sha256=` and the HMAC-SHA256 in hex (docs/facts.md J7)."""
    given = _header(headers, b"x-hub-signature")
    if given is None:
        return False
    right = "sha256=" + hmac.new(secret.encode(), body, sha256).hexdigest()
    return hmac.compare_digest(given.strip().lower().encode(), right.encode())


def _header(headers: Headers, name: bytes) -> str | None:
    """Return the only header of a name; one that is repeated counts as none."""
    values = [value for given, value in headers if given.lower() == name]
    return values[0].decode("latin-1") if len(values) == 1 else None
