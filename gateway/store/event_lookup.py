"""Questions about many deliveries at once that need none of their bodies: a part of EventStore's reads.

Who asks for the last hundred, or for a message by its id, must not make the store read gigabytes.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, select

from gateway.store.event_rows import State
from gateway.store.event_store import EventStore
from gateway.store.event_tables import deliveries, events


class Outline(NamedTuple):
    """A delivery without its event: enough to know it by its message id."""

    number: int
    connection: str
    occurrence: str


async def outlines(store: EventStore, trigger: int, after: int, *, limit: int) -> list[Outline]:
    """Return outlines of a trigger's deliveries in order, from the one after number `after`."""
    row = deliveries.c
    query = (
        select(row.number, events.c.connection, row.occurrence)
        .join_from(deliveries, events, row.event == events.c.seq)
        .where(row.trigger == trigger, row.number > after)
        .order_by(row.number)
        .limit(limit)
    )

    def read(db: Connection) -> list[Outline]:
        return [Outline(*found) for found in db.execute(query)]

    return await store._read(read)  # noqa: SLF001 - this module is a part of it


async def before_last(store: EventStore, trigger: int, count: int, *, states: Collection[State] = ()) -> int:
    """Return the number after which `count` deliveries in these states follow, 0 when there are not so many."""
    row = deliveries.c
    query = select(row.number).where(row.trigger == trigger).order_by(row.number.desc()).offset(count).limit(1)
    if states:
        query = query.where(row.state.in_([state.value for state in states]))

    def read(db: Connection) -> int:
        return int(db.execute(query).scalar() or 0)

    return await store._read(read)  # noqa: SLF001 - see outlines
