"""What is deleted of the events and when, in the store's thread. No asyncio here.

By age everything goes. By size only what nobody waits for: an event that is to be sent yet was acknowledged to Jira and
is never given up for room; while such events alone are too many, no new ones are taken (gateway.events.intake).
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from gateway.store.event_rows import State
from gateway.store.event_tables import deliveries, events, gaps

_AT_ONCE = 1000
"""Events that one transaction deletes for room: a long one would hold up the commits of new events."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many events went, how many bytes of bodies are left, and whether there is more to delete."""

    events: int
    bytes_left: int
    more: bool


def prune(db: Connection, before: datetime, max_bytes: int) -> Pruned:
    """See `EventStore.prune`."""
    old = select(events.c.seq).where(events.c.received_at < before).order_by(events.c.received_at).limit(_AT_ONCE)
    gone = _delete(db, [row.seq for row in db.execute(old)])
    db.execute(delete(gaps).where(gaps.c.swept_at < before))
    held = int(db.execute(select(func.coalesce(func.sum(events.c.size), 0))).scalar() or 0)
    if gone < _AT_ONCE and held > max_bytes:
        gone += _make_room(db, held - max_bytes)
        held = int(db.execute(select(func.coalesce(func.sum(events.c.size), 0))).scalar() or 0)
    return Pruned(gone, held, gone >= _AT_ONCE)


def expedite(db: Connection, trigger: int, now: datetime) -> int:
    """See `EventStore.expedite`."""
    row = deliveries.c
    waiting = row.trigger == trigger, row.state == State.PENDING.value, row.next_at > now
    return db.execute(update(deliveries).where(*waiting).values(next_at=now)).rowcount


def _make_room(db: Connection, wanted: int) -> int:
    """Delete the oldest events that no delivery waits for until `wanted` bytes are free."""
    waits = select(deliveries.c.number).where(
        deliveries.c.event == events.c.seq, deliveries.c.state == State.PENDING.value
    )
    query = select(events.c.seq, events.c.size).where(~waits.exists()).order_by(events.c.received_at).limit(_AT_ONCE)
    chosen, freed = [], 0
    for seq, size in db.execute(query):
        if freed >= wanted:
            break
        chosen.append(seq)
        freed += size
    return _delete(db, chosen)


def _delete(db: Connection, seqs: list[int]) -> int:
    for at in range(0, len(seqs), 500):
        part = seqs[at : at + 500]
        db.execute(delete(deliveries).where(deliveries.c.event.in_(part)))
        db.execute(delete(events).where(events.c.seq.in_(part)))
    return len(seqs)
