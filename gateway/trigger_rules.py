"""What a trigger may look like: the fields that somebody gives in, a checked row out. Pure.

The commands and the management API both ask here; what is refused names its fields (gateway/unacceptable.py). What is
possible at this moment (an agent that listens, an account that may register webhooks) is the registrar's to find out.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.events.targets import check_target
from gateway.naming import DURATION_PATTERN, check_name, parse_duration
from gateway.settings import Network
from gateway.store import Connection, Credentials, Kind, Trigger, Way
from gateway.store.rows import DIRECT
from gateway.unacceptable import Unacceptable, literally
from jira_api.events.names import KNOWN_EVENTS, UnknownEvent, check_events

MAX_TRIGGERS: Final = 500
"""Of one connection."""

MAX_JQL_BYTES: Final = 4096
MIN_POLL_SECONDS: Final = 1.0
MAX_POLL_SECONDS: Final = 3600.0
DEFAULT_POLL_SECONDS: Final = 10.0
MAX_IDS: Final = 500
"""Of one replay."""

MESSAGE_ID_PATTERN: Final = "evt_[0-9a-f]{24}_[0-9]{1,18}"
CURSOR_PATTERN: Final = "[0-9]{1,18}"

_MESSAGE_ID = re.compile(MESSAGE_ID_PATTERN, re.ASCII)
_CURSOR = re.compile(CURSOR_PATTERN, re.ASCII)
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class TriggerFields:
    """What may be said of a trigger. `wanted` and `way` None: whatever is possible; `poll_seconds` None: the usual."""

    connection: str
    events: tuple[str, ...]
    jql: str | None = None
    deliver_to: str | None = None
    wanted: Kind | None = None
    way: Way | None = None
    poll_seconds: float | None = None
    ordered: bool = False


def new_trigger(name: str, fields: TriggerFields, now: datetime, allow_networks: Sequence[Network]) -> Trigger:
    """Return the row for a new trigger, without its secret; raises Unacceptable."""
    check_name("name", name)
    if fields.deliver_to is not None:
        check_target(fields.deliver_to, allow_networks)
    row = Trigger(
        id=0,
        name=name,
        connection=fields.connection,
        events=frozenset(read_events(fields.events)),
        created_at=now,
        jql=None if fields.jql is None else _read_jql(fields.jql),
        deliver_to=fields.deliver_to,
        wanted=fields.wanted,
        way=fields.way,
        ordered=fields.ordered,
        poll_seconds=DEFAULT_POLL_SECONDS if fields.poll_seconds is None else _read_poll_seconds(fields.poll_seconds),
    )
    _check(row, polls=fields.poll_seconds is not None)
    return row


def read_events(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of Jira's events, sorted and without repeats; raises Unacceptable."""
    given = [name for name in names if name.strip()]
    if not given:
        raise Unacceptable("events", "{events} names no event: write for example jira:issue_created,comment_created")
    try:
        return check_events(given)
    except UnknownEvent as error:
        raise Unacceptable("events", "{events}: " + literally(str(error))) from None


def check_connection(trigger: Trigger, connection: Connection, siblings: int) -> None:
    """Refuse a trigger that its connection can never feed, or one too many; raises Unacceptable."""
    if siblings >= MAX_TRIGGERS:
        raise Unacceptable("connection", f"{{connection}}: there are {MAX_TRIGGERS} triggers, as many as there may be")
    if connection.via == DIRECT and trigger.way is Way.LAN:
        raise Unacceptable("way", "{way} lan needs an agent in Jira's network: this connection is direct")
    if connection.credentials is Credentials.CALLER and trigger.wanted not in {None, Kind.MANUAL}:
        raise Unacceptable("kind", "{kind}: without credentials of its own this connection has manual triggers only")


def never_found(events: Iterable[str]) -> list[str]:
    """Return those of the events that no search finds, so that a polled trigger never brings them."""
    return sorted(name for name in events if name in KNOWN_EVENTS and not KNOWN_EVENTS[name].recoverable)


def never_filtered(events: Iterable[str]) -> list[str]:
    """Return those of the events that a trigger's JQL does not filter: they are about no issue."""
    return sorted(name for name in events if name in KNOWN_EVENTS and not KNOWN_EVENTS[name].issue_related)


def read_since(text: str, now: datetime) -> datetime:
    """Return the moment that a duration (`2h`: that long ago) or an ISO 8601 time names; raises Unacceptable.

    A time without a zone is UTC.
    """
    if _DURATION.fullmatch(text):
        return now - parse_duration("since", text)
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        problem = f"{text!r} is neither a time nor a duration: write 2026-11-26T17:00:00Z or 2h"
        raise Unacceptable("since", literally(problem)) from None


def read_ids(texts: Iterable[str]) -> tuple[frozenset[int], frozenset[str]]:
    """Return cursors and message ids, told apart; raises Unacceptable."""
    cursors, messages = set(), set()
    for text in texts:
        if _CURSOR.fullmatch(text):
            cursors.add(int(text))
        elif _MESSAGE_ID.fullmatch(text):
            messages.add(text)
        else:
            raise Unacceptable("ids", literally(f"{text!r} is neither a message's id (evt_…) nor a cursor"))
    if len(cursors) + len(messages) > MAX_IDS:
        raise Unacceptable("ids", f"{{ids}}: at most {MAX_IDS} at once")
    return frozenset(cursors), frozenset(messages)


def _read_jql(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Unacceptable("jql", "{jql} is empty, holds more than one line, or control characters")
    if len(text.encode()) > MAX_JQL_BYTES:
        raise Unacceptable("jql", f"{{jql}} is longer than {MAX_JQL_BYTES} bytes")
    return text.strip()


def _read_poll_seconds(seconds: float) -> float:
    if not MIN_POLL_SECONDS <= seconds <= MAX_POLL_SECONDS:
        problem = f"{{poll_seconds}} is not between {MIN_POLL_SECONDS:g} second and {MAX_POLL_SECONDS:g} seconds"
        raise Unacceptable("poll_seconds", problem)
    return seconds


def _check(row: Trigger, *, polls: bool) -> None:
    """Refuse what contradicts itself."""
    polled = row.wanted is Kind.POLLED
    problems = (
        (
            "ordered",
            "{ordered} goes with {deliver_to}: events that are fetched are in order",
            row.ordered and row.deliver_to is None,
        ),
        (
            "way",
            "{way} is where webhooks arrive: there are none with {kind} polled",
            row.way is not None and polled,
        ),
        (
            "poll_seconds",
            "{poll_seconds} goes with {kind} polled",
            polls and row.wanted not in {None, Kind.POLLED},
        ),
        (
            "events",
            "{events}: no search finds any of them, so {kind} polled would bring nothing",
            polled and len(never_found(row.events)) == len(row.events),
        ),
    )
    for blamed, problem, applies in problems:
        if applies:
            raise Unacceptable(blamed, problem)
