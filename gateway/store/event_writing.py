"""What one transaction of the event log does, in the store's thread: rows in, rows out. No asyncio here.

An event row is unique by connection, occurrence and type; a delivery by trigger and occurrence. So whatever arrives
twice (both ways at once, a retry of Jira's, an agent that sends again after a lost answer) changes nothing the second
time, and still reaches a trigger that had not got it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert  # the one dialect so far; PostgreSQL's has the same methods

from gateway.store.event_rows import Delivery, Event, Gap, NewEvent, Settled, State, Watermark
from gateway.store.event_tables import deliveries, events, gaps, hook_states, watermarks
from gateway.store.tables import gateway

ROW_BYTES = 512
"""What a row counts in the size of an event, its own and those of its deliveries: many small ones fill a disk, too."""

_ADD_EVENT = insert(events).on_conflict_do_nothing().returning(events.c.seq)
_FIND_EVENT = select(events.c.seq, events.c.received_at, events.c.repaired).where(
    events.c.connection == bindparam("connection"),
    events.c.occurrence == bindparam("occurrence"),
    events.c.type == bindparam("type"),
)
_ADD_DELIVERY = insert(deliveries).on_conflict_do_nothing().returning(deliveries.c.number)
_SETTLE = (
    update(deliveries)
    .where(deliveries.c.number == bindparam("b_number"))
    .values(
        state=bindparam("b_state"),
        attempts=bindparam("b_attempts"),
        next_at=bindparam("b_next_at"),
        last_status=bindparam("b_last_status"),
        last_error=bindparam("b_last_error"),
        settled_at=bindparam("b_settled_at"),
    )
)
_FIELDS = tuple(field.name for field in fields(Event) if field.name != "seq")


@dataclass(slots=True)
class Batch:
    """Everything that one transaction writes."""

    events: list[NewEvent] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    watermarks: dict[str, Watermark] = field(default_factory=dict)
    hook_news: dict[int, dict[str, Any]] = field(default_factory=dict)
    alive_at: datetime | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self.events or self.settled or self.gaps or self.watermarks or self.hook_news or self.alive_at is not None
        )


def write(db: Connection, batch: Batch) -> list[list[Delivery]]:
    """Write a batch and return, for each of its events, the deliveries that are new."""
    made = [_add_event(db, new) for new in batch.events]
    if batch.settled:
        db.execute(_SETTLE, [_settled(row) for row in batch.settled])
    for gap in batch.gaps:
        db.execute(insert(gaps).values(_gap(gap)).on_conflict_do_nothing())
    for mark in batch.watermarks.values():
        _put(db, watermarks, watermarks.c.name, _fields(mark, ("name", "until", "looked_at", "problem")))
    _note_hooks(db, batch)
    if batch.alive_at is not None:
        db.execute(update(gateway).values(alive_at=batch.alive_at))
    return made


def _add_event(db: Connection, new: NewEvent) -> list[Delivery]:
    size = len(new.body) + ROW_BYTES * (1 + len(new.triggers))
    seq = db.execute(_ADD_EVENT, _fields(new, _FIELDS) | {"size": size}).scalar()
    received_at, repaired = new.received_at, new.repaired
    if seq is None:
        known = {"connection": new.connection, "occurrence": new.occurrence, "type": new.type}
        seq, received_at, repaired = db.execute(_FIND_EVENT, known).one()
    made: list[Delivery] = []
    event: Event | None = None
    for trigger in new.triggers:
        state = State.KEPT if trigger in new.kept_for else State.PENDING
        row = {
            "trigger": trigger,
            "occurrence": new.occurrence,
            "event": seq,
            "issue": new.issue_id or new.issue_key,
            "state": state.value,
            "attempts": 0,
            "next_at": new.received_at if state is State.PENDING else None,
        }
        number = db.execute(_ADD_DELIVERY, row).scalar()
        if number is None:
            continue
        event = event or Event(
            seq, new.connection, new.occurrence, new.type, received_at, new.body, new.occurred_at, new.issue_id,
            new.issue_key, new.actor, repaired,
        )  # fmt: skip
        made.append(Delivery(number, trigger, state, 0, event, row["next_at"]))
    return made


def _note_hooks(db: Connection, batch: Batch) -> None:
    """Keep when hooks brought events, the first time for good, and what else is news of them."""
    news: dict[int, dict[str, Any]] = {hook: dict(values) for hook, values in batch.hook_news.items()}
    for new in batch.events:
        if new.hook is not None:
            news.setdefault(new.hook, {})["last_event_at"] = new.received_at
    for hook, values in news.items():
        last = values.get("last_event_at")
        _put(db, hook_states, hook_states.c.hook, {"hook": hook, **values})
        if last is not None:
            never = hook_states.c.hook == hook, hook_states.c.first_event_at.is_(None)
            db.execute(update(hook_states).where(*never).values(first_event_at=last))


def _put(db: Connection, table: Any, key: Any, values: dict[str, Any]) -> None:
    rest = {name: value for name, value in values.items() if name != key.name}
    query = insert(table).values(values)
    db.execute(query.on_conflict_do_update(index_elements=[key], set_=rest) if rest else query.on_conflict_do_nothing())


def _settled(row: Settled) -> dict[str, Any]:
    return {
        "b_number": row.number,
        "b_state": row.state.value,
        "b_attempts": row.attempts,
        "b_next_at": row.next_at,
        "b_last_status": row.last_status,
        "b_last_error": row.last_error,
        "b_settled_at": row.settled_at,
    }


def _gap(gap: Gap) -> dict[str, Any]:
    names = ("uid", "connection", "from_at", "to_at", "reported_at", "swept_at", "found")
    way = None if gap.way is None else gap.way.value
    return _fields(gap, names) | {"cause": gap.cause.value, "way": way}


def _fields(row: object, names: Sequence[str] | Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
