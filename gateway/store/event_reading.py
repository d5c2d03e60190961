"""Reads of deliveries and their events, in the store's thread. No asyncio here."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, select

from gateway.store.event_rows import Delivery, Event, State
from gateway.store.event_tables import deliveries, events, gaps

_EVENT: list[ColumnElement[Any]] = [events.c[field.name] for field in fields(Event)]


def _joined(event: list[ColumnElement[Any]]) -> Select[Any]:
    row = deliveries.c
    return select(
        row.number, row.trigger, row.state, row.attempts, row.next_at, row.last_status, row.last_error, row.settled_at,
        *event,
    ).join_from(deliveries, events, row.event == events.c.seq)  # fmt: skip


_JOINED = _joined(_EVENT)
_HEADLINES = _joined([literal(b"").label("body") if column.key == "body" else column for column in _EVENT])
_MAX_SKIP = 500  # a statement has a bound of parameters; whoever has more in hand asks for less


def due(
    db: Connection, trigger: int, now: datetime, *, limit: int, skip: Collection[int], ordered: bool
) -> list[Delivery]:
    """See `EventStore.due`."""
    row = deliveries.c
    query = _JOINED.where(row.trigger == trigger, row.state == State.PENDING.value, row.next_at <= now)
    if skip:
        query = query.where(row.number.not_in(sorted(skip)[:_MAX_SKIP]))
    if ordered:
        earlier = deliveries.alias("earlier")
        query = query.where(
            ~select(earlier.c.number)
            .where(
                earlier.c.trigger == trigger,
                earlier.c.issue == row.issue,
                earlier.c.number < row.number,
                earlier.c.state == State.PENDING.value,
            )
            .exists()
        )
    return _deliveries(db, query.order_by(row.next_at, row.number).limit(limit))


def next_due(db: Connection, trigger: int) -> datetime | None:
    """See `EventStore.next_due`."""
    row = deliveries.c
    query = (
        select(row.next_at)
        .where(row.trigger == trigger, row.state == State.PENDING.value)
        .order_by(row.next_at)
        .limit(1)
    )
    moment: datetime | None = db.execute(query).scalar()
    return moment


def page(
    db: Connection, trigger: int, after: int, *, limit: int, states: Collection[State], max_bytes: int
) -> list[Delivery]:
    """See `EventStore.page`."""
    row = deliveries.c
    query: Select[Any] = select(row.number, func.length(events.c.body))
    query = query.join_from(deliveries, events, row.event == events.c.seq)
    query = _in_states(query.where(row.trigger == trigger, row.number > after), states).order_by(row.number)
    numbers: list[int] = []
    held = 0
    for number, size in db.execute(query.limit(limit)):
        held += size
        if numbers and held > max_bytes:
            break
        numbers.append(number)
    if not numbers:
        return []
    return _deliveries(db, _JOINED.where(row.number.in_(numbers)).order_by(row.number))


def headlines(db: Connection, trigger: int, after: int, *, limit: int, states: Collection[State]) -> list[Delivery]:
    """See `EventStore.headlines`."""
    row = deliveries.c
    query = _in_states(_HEADLINES.where(row.trigger == trigger, row.number > after), states)
    return _deliveries(db, query.order_by(row.number).limit(limit))


def before_last(db: Connection, trigger: int, count: int, *, states: Collection[State]) -> int:
    """See `EventStore.before_last`."""
    row = deliveries.c
    query = _in_states(select(row.number).where(row.trigger == trigger), states)
    return int(db.execute(query.order_by(row.number.desc()).offset(count).limit(1)).scalar() or 0)


def last_number(db: Connection, trigger: int) -> int:
    """See `EventStore.last_number`."""
    query = select(func.max(deliveries.c.number)).where(deliveries.c.trigger == trigger)
    return int(db.execute(query).scalar() or 0)


def find(db: Connection, trigger: int, occurrence: str) -> Delivery | None:
    """See `EventStore.find`."""
    row = deliveries.c
    found = _deliveries(db, _JOINED.where(row.trigger == trigger, row.occurrence == occurrence))
    return found[0] if found else None


def counts(db: Connection) -> dict[int, dict[State, int]]:
    """See `EventStore.counts`."""
    row = deliveries.c
    found: defaultdict[int, dict[State, int]] = defaultdict(dict)
    for trigger, state, count in db.execute(
        select(row.trigger, row.state, func.count()).group_by(row.trigger, row.state)
    ):
        found[trigger][State(state)] = count
    return dict(found)


class Losses(NamedTuple):
    """Numbers of triggers with dead letters, and names of connections with gaps, both in order."""

    dead: list[int]
    gaps: list[str]


def losses(db: Connection, since: datetime) -> Losses:
    """See `EventStore.losses`."""
    row = deliveries.c
    dead = select(row.trigger).where(row.state == State.DEAD.value, row.settled_at >= since).distinct()
    told = select(gaps.c.connection).where(gaps.c.reported_at >= since).distinct()
    return Losses(sorted(db.execute(dead).scalars()), sorted(db.execute(told).scalars()))


def _in_states(query: Select[Any], states: Collection[State]) -> Select[Any]:
    return query.where(deliveries.c.state.in_([state.value for state in states])) if states else query


def _deliveries(db: Connection, query: Select[Any]) -> list[Delivery]:
    return [_delivery(row) for row in db.execute(query)]


def _delivery(row: Row[Any]) -> Delivery:
    number, trigger, state, attempts, next_at, status, error, settled_at, *event = tuple(row)
    return Delivery(number, trigger, State(state), attempts, Event(*event), next_at, status, error, settled_at)
