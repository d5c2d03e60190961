"""The store's part for events: batches in, pages and what is due out.

Beside `Store`, on the same database, with two threads of its own: one writes, so that commits follow each other without
a pause; one reads, so that no page of a backlog holds up a commit.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, select, update

from gateway.store import event_reading, event_retention
from gateway.store.engine import errors_of, open_engine
from gateway.store.event_rows import Delivery, State
from gateway.store.event_tables import gaps
from gateway.store.event_writing import Batch, write
from gateway.store.tables import gateway
from gateway.store.threaded import ThreadedEngine

T = TypeVar("T")


class EventStore:
    """Made by `open_event_store`. Every method may raise `StoreUnavailable`."""

    def __init__(self, path: Path, writing: ThreadedEngine, reading: ThreadedEngine) -> None:
        self._path = path
        self._writing = writing
        self._reading = reading

    def __repr__(self) -> str:
        return f"<EventStore {self._path}>"

    async def write(self, batch: Batch) -> list[list[Delivery]]:
        """Write a batch in one transaction, synced to the disk, and return the new deliveries of each of its events."""
        return await self._write(lambda db: write(db, batch))

    async def due(
        self, trigger: int, now: datetime, *, limit: int, skip: Collection[int] = (), ordered: bool = False
    ) -> list[Delivery]:
        """Return pending deliveries whose time has come, oldest first, without those whose numbers are in `skip`.

        `ordered`: only the oldest pending one of each issue.
        """
        return await self._read(lambda db: event_reading.due(db, trigger, now, limit=limit, skip=skip, ordered=ordered))

    async def next_due(self, trigger: int) -> datetime | None:
        """Return when the next pending delivery of a trigger is due, None when nothing is pending."""
        return await self._read(lambda db: event_reading.next_due(db, trigger))

    async def expedite(self, trigger: int, now: datetime) -> int:
        """Make everything that waits for a retry due now, and return how much that is: the subscriber is back."""
        return await self._write(lambda db: event_retention.expedite(db, trigger, now))

    async def page(
        self, trigger: int, after: int, *, limit: int, states: Collection[State] = (), max_bytes: int = 8 << 20
    ) -> list[Delivery]:
        """Return the deliveries of a trigger in order, from the one after number `after`.

        At most `limit`, and no more than `max_bytes` of bodies (but at least one).
        """
        return await self._read(
            lambda db: event_reading.page(db, trigger, after, limit=limit, states=states, max_bytes=max_bytes)
        )

    async def headlines(
        self, trigger: int, after: int, *, limit: int, states: Collection[State] = ()
    ) -> list[Delivery]:
        """Return the deliveries of a trigger in order, from the one after number `after`, all with empty bodies.

        Who lists the last hundred, or looks for a message by its id, must not make the store read gigabytes.
        """
        return await self._read(lambda db: event_reading.headlines(db, trigger, after, limit=limit, states=states))

    async def before_last(self, trigger: int, count: int, *, states: Collection[State] = ()) -> int:
        """Return the number after which `count` deliveries in these states follow, 0 when there are not so many."""
        return await self._read(lambda db: event_reading.before_last(db, trigger, count, states=states))

    async def last_number(self, trigger: int) -> int:
        """Return the number of a trigger's newest delivery, 0 when it has none."""
        return await self._read(lambda db: event_reading.last_number(db, trigger))

    async def find(self, trigger: int, occurrence: str) -> Delivery | None:
        """Return the delivery of one occurrence."""
        return await self._read(lambda db: event_reading.find(db, trigger, occurrence))

    async def counts(self) -> dict[int, dict[State, int]]:
        """Return how many deliveries each trigger has in each state."""
        return await self._read(event_reading.counts)

    async def losses(self, since: datetime) -> event_reading.Losses:
        """Return which triggers had deliveries given up, and which connections had gaps told, since a moment."""
        return await self._read(lambda db: event_reading.losses(db, since))

    async def alive_at(self) -> datetime | None:
        """Return the last moment at which a gateway said that it lived, None before the first."""
        return await self._read(lambda db: db.execute(select(gateway.c.alive_at)).scalar())

    async def close_gap(self, number: int, swept_at: datetime, found: int) -> None:
        """Note that a gap was swept, and how many events that brought back."""
        query = update(gaps).where(gaps.c.number == number).values(swept_at=swept_at, found=found)
        await self._write(lambda db: db.execute(query).rowcount)

    async def prune(self, before: datetime, max_bytes: int) -> event_retention.Pruned:
        """Delete what is older than `before`, then the oldest of what nobody waits for while there is too much."""
        return await self._write(lambda db: event_retention.prune(db, before, max_bytes))

    async def _write(self, call: Callable[[Connection], T]) -> T:
        with errors_of(self._path):
            return await self._writing.transact(call, writes=True)

    async def _read(self, call: Callable[[Connection], T]) -> T:
        with errors_of(self._path):
            return await self._reading.transact(call)


@asynccontextmanager
async def open_event_store(path: Path) -> AsyncIterator[EventStore]:
    """Open the events of the store in a SQLite file; raises `StoreUnavailable`, `SchemaTooNew`."""
    async with open_engine(path) as writing, open_engine(path) as reading:
        yield EventStore(path, writing, reading)
