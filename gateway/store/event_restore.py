"""What a restored store owes to whoever reads events: the time since its backup is a gap, and no cursor comes again."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select, text

from gateway.store.event_rows import Cause, Gap
from gateway.store.event_store import EventStore
from gateway.store.event_tables import deliveries, hooks
from gateway.store.event_writing import Batch, write
from gateway.store.tables import audit

SKIPPED: Final = 10**12
"""Numbers of deliveries that a restore passes over: more than any gateway has given since its backup."""


async def note_restore(store: EventStore, now: datetime) -> int:
    """Write down that what came since the backup is missing, and return of how many connections.

    A backup writes its own record into the trail before it copies, so everything since the last record may be missing.
    """
    return await store._write(lambda db: _note(db, now))  # noqa: SLF001 - this module is a part of it


def _note(db: Connection, now: datetime) -> int:
    last = int(db.execute(select(func.coalesce(func.max(deliveries.c.number), 0))).scalar() or 0)
    known = {"name": deliveries.name, "last": last, "skipped": SKIPPED}
    if db.execute(text("UPDATE sqlite_sequence SET seq = seq + :skipped WHERE name = :name"), known).rowcount == 0:
        db.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last + :skipped)"), known)
    since = db.execute(select(audit.c.at).order_by(audit.c.seq.desc()).limit(1)).scalar()
    if since is None or since >= now:
        return 0
    names = list(db.execute(select(hooks.c.connection).distinct()).scalars())
    uid = f"restore-{int(now.timestamp() * 1000)}"
    write(db, Batch(gaps=[Gap(0, f"{uid}/{name}", name, Cause.GATEWAY, since, now, now) for name in names]))
    return len(names)
