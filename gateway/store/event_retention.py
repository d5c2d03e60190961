"""What is deleted of the events and when, in the store's thread. No asyncio here.

By age everything goes. By size only what nobody waits for: an event that is to be sent yet was acknowledged to Jira and
is never given up for room; while such events alone are too many, no new ones are taken (gateway.events.intake).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, update

from gateway.store.event_rows import State
from gateway.store.event_tables import deliveries, events, gaps

_AT_ONCE = 1000
_BYTES_AT_ONCE = 64 << 20
"""What one transaction deletes at most: a long one would hold up the commits of new events."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many events went, how many bytes of bodies are left, and whether there is more to delete."""

    events: int
    bytes_left: int
    more: bool


def prune(db: Connection, before: datetime, max_bytes: int) -> Pruned:
    """See `EventStore.prune`."""
    query = select(events.c.seq, events.c.size).where(events.c.received_at < before).order_by(events.c.received_at)
    old, more = _some(db, query, None)
    _delete(db, old)
    db.execute(delete(gaps).where(gaps.c.swept_at < before))
    held = _held(db)
    unwanted: list[int] = []
    if not more and held > max_bytes:
        unwanted, more = _some(db, _nobody_waits_for(), held - max_bytes)
        _delete(db, unwanted)
        held = _held(db)
    return Pruned(len(old) + len(unwanted), held, more)


def expedite(db: Connection, trigger: int, now: datetime) -> int:
    """See `EventStore.expedite`."""
    row = deliveries.c
    waiting = row.trigger == trigger, row.state == State.PENDING.value, row.next_at > now
    return db.execute(update(deliveries).where(*waiting).values(next_at=now)).rowcount


def _held(db: Connection) -> int:
    return int(db.execute(select(func.coalesce(func.sum(events.c.size), 0))).scalar() or 0)


def _nobody_waits_for() -> Select[Any]:
    """Return the events that no delivery waits for, the oldest first."""
    waits = select(deliveries.c.number).where(
        deliveries.c.event == events.c.seq, deliveries.c.state == State.PENDING.value
    )
    return select(events.c.seq, events.c.size).where(~waits.exists()).order_by(events.c.received_at)


def _some(db: Connection, query: Select[Any], wanted: int | None) -> tuple[list[int], bool]:
    """Return the first events of a query, as many as `wanted` bytes need, and whether that was too much for once."""
    chosen: list[int] = []
    freed = 0
    for seq, size in db.execute(query.limit(_AT_ONCE)):
        if wanted is not None and freed >= wanted:
            return chosen, False
        if chosen and freed + size > _BYTES_AT_ONCE:
            return chosen, True
        chosen.append(seq)
        freed += size
    return chosen, len(chosen) == _AT_ONCE


def _delete(db: Connection, seqs: list[int]) -> None:
    for at in range(0, len(seqs), 500):
        part = seqs[at : at + 500]
        db.execute(delete(deliveries).where(deliveries.c.event.in_(part)))
        db.execute(delete(events).where(events.c.seq.in_(part)))
