"""Questions about many deliveries at once that need none of their bodies: a part of EventStore's reads.

Who lists the last hundred, or looks for a message by its id, must not make the store read gigabytes.
"""

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Select, literal, select

from gateway.store.event_rows import Delivery, Event, State
from gateway.store.event_store import EventStore
from gateway.store.event_tables import deliveries, events

_OF_EVENT = [literal(b"").label(name) if name == "body" else events.c[name] for name in (f.name for f in fields(Event))]
_HEADLINES = select(
    deliveries.c.number, deliveries.c.trigger, deliveries.c.state, deliveries.c.attempts, deliveries.c.next_at,
    deliveries.c.last_status, deliveries.c.last_error, deliveries.c.settled_at, *_OF_EVENT,
).join_from(deliveries, events, deliveries.c.event == events.c.seq)  # fmt: skip


async def headlines(
    store: EventStore, trigger: int, after: int, *, limit: int, states: Collection[State] = ()
) -> list[Delivery]:
    """Return a trigger's deliveries in order, from the one after number `after`, all with empty bodies."""
    row = deliveries.c
    query = _in_states(_HEADLINES.where(row.trigger == trigger, row.number > after), states)

    def read(db: Connection) -> list[Delivery]:
        return [_delivery(tuple(found)) for found in db.execute(query.order_by(row.number).limit(limit))]

    return await store._read(read)  # noqa: SLF001 - this module is a part of it


async def before_last(store: EventStore, trigger: int, count: int, *, states: Collection[State] = ()) -> int:
    """Return the number after which `count` deliveries in these states follow, 0 when there are not so many."""
    row = deliveries.c
    query = _in_states(select(row.number).where(row.trigger == trigger), states)

    def read(db: Connection) -> int:
        return int(db.execute(query.order_by(row.number.desc()).offset(count).limit(1)).scalar() or 0)

    return await store._read(read)  # noqa: SLF001 - see headlines


def _in_states(query: Select[Any], states: Collection[State]) -> Select[Any]:
    return query.where(deliveries.c.state.in_([state.value for state in states])) if states else query


def _delivery(row: tuple[Any, ...]) -> Delivery:
    number, trigger, state, attempts, next_at, status, error, settled_at, *event = row
    return Delivery(number, trigger, State(state), attempts, Event(*event), next_at, status, error, settled_at)
