"""What workers of deliveries work on in unit tests: a store and a log in memory, a clock, subscribers that answer as told."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.events.schedule import Attempt
from gateway.store import Delivery, Event, Settled, State, StoreError
from tests.support.subscriptions import NOW

OK = Attempt(200, None)
BAD = Attempt(500, "It answered 500.")
GONE = Attempt(410, "It answered 410 Gone.")


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


def delivery(number: int, *, trigger: int = 1, issue: str | None = None, size: int = 10, **fields: Any) -> Delivery:
    """A pending delivery of an event of its own, due now."""
    body = b'{"n":%d}' % number + b" " * size
    event = Event(number, "hq", f"changelog/{number}", "x", NOW, body, None, issue, None, None, False)
    return replace(Delivery(number, trigger, State.PENDING, 0, event, NOW), **fields)


class MemoryStore:
    """As gateway.store.event_store.EventStore. `failing`: every read and write raises."""

    def __init__(self) -> None:
        self.rows: dict[int, Delivery] = {}
        self.failing = False
        self.limits: list[int] = []  # of each `due`
        self.expedited = 0
        self.meanwhile: Callable[[], None] = lambda: None  # called while `due` is under way

    @property
    def reads(self) -> int:
        """How often `due` was asked."""
        return len(self.limits)

    async def due(
        self, trigger: int, now: datetime, *, limit: int, skip: Collection[int] = (), ordered: bool = False
    ) -> list[Delivery]:
        self.limits.append(limit)
        skipped = set(skip)
        pending = self._pending(trigger)
        found = [row for row in pending if row.next_at is not None and row.next_at <= now and row.number not in skipped]
        if ordered:
            found = [row for row in found if not any(_is_before(other, row) for other in pending)]
        await self._visit()
        self.meanwhile()
        return sorted(found, key=lambda row: (row.next_at, row.number))[:limit]

    async def next_due(self, trigger: int) -> datetime | None:
        await self._visit()
        return min((row.next_at for row in self._pending(trigger) if row.next_at is not None), default=None)

    async def expedite(self, trigger: int, now: datetime) -> int:
        await self._visit()
        waiting = [row for row in self._pending(trigger) if row.next_at is not None and row.next_at > now]
        for row in waiting:
            self.rows[row.number] = replace(row, next_at=now)
        self.expedited += 1
        return len(waiting)

    def _pending(self, trigger: int) -> list[Delivery]:
        return [row for row in self.rows.values() if row.trigger == trigger and row.state is State.PENDING]

    async def _visit(self) -> None:
        await asyncio.sleep(0)
        if self.failing:
            raise StoreError("the disk is gone")


class MemoryLog:
    """As gateway.events.event_log.EventLog. `is_slow`: what is settled becomes durable only with `write`."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.listeners: list[Callable[[list[Delivery]], None]] = []
        self.problem: str | None = None
        self.settled: list[Settled] = []
        self.is_slow = False
        self._unwritten: list[tuple[Settled, Callable[[], None]]] = []

    def settle(self, outcome: Settled, done: Callable[[], None] = lambda: None) -> None:
        self.settled.append(outcome)
        self._unwritten.append((outcome, done))
        if not self.is_slow:
            self.write()

    def write(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        for row, _ in unwritten:
            self.store.rows[row.number] = replace(
                self.store.rows[row.number], state=row.state, attempts=row.attempts, next_at=row.next_at
            )
        for _, done in unwritten:
            done()

    def put(self, *deliveries: Delivery) -> None:
        """Have these in the store, and tell nobody."""
        self.store.rows |= {row.number: row for row in deliveries}

    def add(self, *deliveries: Delivery) -> None:
        """Store new ones, and tell."""
        self.put(*deliveries)
        for listener in self.listeners:
            listener(list(deliveries))


class Answers:
    """As gateway.events.subscribers.Subscribers: sent things wait for `answer` unless `usual` says what comes of them."""

    def __init__(self, usual: Attempt | Exception | None = OK) -> None:
        self.usual = usual
        self.sent: list[tuple[str, dict[str, str], bytes]] = []
        self.open: list[asyncio.Future[Attempt]] = []
        self.kept: set[str] = set()
        self.most_open = 0

    @property
    def numbers(self) -> list[int]:
        """Which events were sent, by the numbers of `delivery`."""
        return [int(body.partition(b'"n":')[2].split(b"}")[0]) for _, _, body in self.sent]

    async def send(self, url: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Attempt:
        self.sent.append((url, {name.decode(): value.decode() for name, value in headers}, body))
        if isinstance(self.usual, Exception):
            raise self.usual
        if self.usual is not None:
            await asyncio.sleep(0)
            return self.usual
        future: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()
        self.open.append(future)
        self.most_open = max(self.most_open, len(self.open))
        return await future

    def answer(self, outcome: Attempt, count: int = 1) -> None:
        """Let the oldest that wait have this."""
        for future in self.open[:count]:
            if not future.done():  # cancelled
                future.set_result(outcome)
        del self.open[:count]

    def keep(self, urls: Any) -> None:
        self.kept = set(urls)


async def settle_down(turns: int = 60) -> None:
    """Let everything happen that needs no time."""
    for _ in range(turns):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(*parts: Any) -> Any:
    """Run these while the block runs."""
    async with asyncio.TaskGroup() as tasks:
        tasks_of_parts = [tasks.create_task(part.run()) for part in parts]
        await settle_down()
        yield
        for task in tasks_of_parts:
            task.cancel()


def _is_before(other: Delivery, row: Delivery) -> bool:
    return other.number < row.number and other.event.issue_id is not None and other.event.issue_id == row.event.issue_id
