"""Where webhooks come in, whichever way: from a hook and a body to an event in the log. Answering is the doors' part.

A webhook counts when its path names a hook that we know and, where that hook signs, its signature is right; both are
compared in constant time (the path by its SHA-256). It is stored for each trigger of the hook that wants its type;
one without a body has no type that can be read, and is for all of them. What Jira tells of a comment by an update of
its issue is the comment's own event for whoever wants that, so that its type does not depend on which came first.
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
        wanting = self._wanting(hook, event)
        if not wanting:
            self._log.note_hook(hook.id, last_event_at=arrival.received_at)
            done(Verdict.STORED)
            return
        body = self._links.rewritten(hook.connection, arrival.body)
        occurrence = event.occurrence or f"arrival/{arrival.event_id or secrets.token_hex(16)}"
        rows = [_row(arrival, event, occurrence, body, name, triggers) for name, triggers in wanting.items()]
        self._store(rows, done)

    def _wanting(self, hook: HookEntry, event: JiraEvent) -> dict[str, list[TriggerEntry]]:
        """Return the triggers that want an event, by the type as which each gets it."""
        wanting: dict[str, list[TriggerEntry]] = {}
        for trigger in self._directory().subscriptions.of_hook(hook.id):
            wanted = trigger.row.events | {UNREADABLE}
            name = next((name for name in event.types if name in wanted), None)
            if name is not None:
                wanting.setdefault(name, []).append(trigger)
        return wanting

    def _store(self, rows: Sequence[NewEvent], done: Callable[[Verdict], None]) -> None:
        """Offer all rows of one webhook; it is stored when all of them are."""
        left, is_new, is_whole = len(rows), False, True

        def written(made: Sequence[Delivery] | None) -> None:
            nonlocal left, is_new, is_whole
            left -= 1
            is_new, is_whole = is_new or bool(made), is_whole and made is not None
            if not left:
                self._settle(is_new=is_new, is_whole=is_whole, done=done)

        for row in rows:
            if self._log.is_full or not self._log.offer(row, written):
                written(None)

    def _settle(self, *, is_new: bool, is_whole: bool, done: Callable[[Verdict], None]) -> None:
        if not is_whole:
            self.turned_away += 1
            done(Verdict.NO_ROOM)
            return
        self.received += 1
        self.duplicates += not is_new
        done(Verdict.STORED)

    def _refuse(self, arrival: Arrival, done: Callable[[Verdict], None]) -> None:
        self.refused += 1
        signed = _header(arrival.headers, b"x-hub-signature") is not None
        reason = "its signature is wrong" if signed else "it has no signature: enter the webhook's secret in Jira"
        hook = arrival.hook
        self._log.note_hook(hook.id, refused_at=arrival.received_at, refused=reason)
        log.warning("webhook_refused", connection=hook.connection, hook=hook.id, reason=reason)
        done(Verdict.SIGNATURE_WRONG)


def _row(
    arrival: Arrival, event: JiraEvent, occurrence: str, body: bytes, name: str, triggers: Sequence[TriggerEntry]
) -> NewEvent:
    return NewEvent(
        connection=arrival.hook.connection,
        occurrence=occurrence,
        type=name,
        received_at=arrival.received_at,
        triggers=tuple(trigger.id for trigger in triggers),
        body=body,
        occurred_at=event.occurred_at,
        issue_id=event.issue_id,
        issue_key=event.issue_key,
        actor=None if event.actor is None else json.dumps(event.actor),
        hook=arrival.hook.id,
        kept_for=frozenset(trigger.id for trigger in triggers if not trigger.is_sent),
    )


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
