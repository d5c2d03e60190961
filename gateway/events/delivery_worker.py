"""The sending of one trigger's events: up to eight attempts at once, one while the subscriber fails.

New deliveries come from the event log as soon as they are durable. Those for which there is no room, those that wait
for a retry, and those from before the start are read from the store when their time has come.

What was sent and is not known to be is what a restart sends twice. So an attempt keeps its place until its outcome is
durable, and a gateway that has just started, perhaps not for the last time today, begins with one place.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from gateway.events.delivery_hand import Hand, issue_of
from gateway.events.delivery_room import Room, Tally, size_of
from gateway.events.envelope import compose, message_id
from gateway.events.event_log import EventLog
from gateway.events.schedule import Attempt, next_attempt
from gateway.events.signing import signed
from gateway.store import Delivery, Settled, State, StoreError
from gateway.triggers import TriggerEntry
from http1.messages import Headers

log = structlog.get_logger()

AT_ONCE: Final = 8
ONE_MORE_AFTER: Final = timedelta(seconds=5)
"""Of the gateway's life, for each place beyond the first."""

FAILING: Final = 3
"""After so many failures in a row, one attempt at a time shows whether the subscriber is back."""

PAUSE: Final = timedelta(seconds=1)
"""Between attempts while the subscriber fails, and after the store failed."""

FIRST_READ: Final = 4
MAX_READ: Final = 64
READ_BYTES: Final = 1 << 20
SOONEST: Final = timedelta(milliseconds=10)
"""When to read again what may not be durable yet; twice as long each time, up to these."""

LATEST: Final = timedelta(seconds=1)
LATEST_ORDERED: Final = timedelta(seconds=5)
IDLE_SECONDS: Final = 60.0


class Sender(Protocol):
    """What a worker needs of `gateway.events.subscribers`."""

    async def send(self, url: str, headers: Headers, body: bytes) -> Attempt:
        """POST a body once; raises nothing for what a subscriber does."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all workers share. `gone` is told of a subscriber that wants nothing more, with the reason."""

    log: EventLog
    sender: Sender
    clock: Callable[[], datetime]
    dice: Callable[[], float]
    room: Room
    gone: Callable[[TriggerEntry, str], None]
    started_at: datetime


class DeliveryWorker:
    """Delivers one trigger's events while `run` runs; everything else is called from the same loop."""

    def __init__(self, entry: TriggerEntry, means: Means, tally: Tally) -> None:
        self.entry = entry
        self.tally = tally
        self.hand = Hand(means.room)
        self.is_over = False  # the subscriber wants nothing more
        self._means = means
        self._store = means.log.store
        self._is_behind = True  # the store may have something that is due
        self._is_back = False  # the subscriber is, and what waits is to be made due
        self._no_room = False  # something is due, and not in hand before something leaves it
        self._read_at: datetime | None = None
        self._quiet_until = datetime.min.replace(tzinfo=UTC)
        self._recheck = SOONEST
        self._limit = FIRST_READ
        self._store_failing = False
        self._wanted = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<DeliveryWorker {self.entry.name} {self.hand!r}>"

    @property
    def is_failing(self) -> bool:
        """Whether the last attempts failed, so that one at a time is enough."""
        return self.tally.failures >= FAILING

    async def run(self) -> None:
        """Deliver until cancelled; for attempts that are under way then nothing is settled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    await self._deliver()
                finally:
                    self._tasks = None  # from now on nothing begins
        finally:
            self.hand.drop_all()
            self._is_behind, self._no_room = True, False

    def use(self, entry: TriggerEntry) -> None:
        """Deliver by this version of the trigger from now on, and look for what others made due."""
        self.entry = entry
        self.is_over = False
        self._is_behind = True
        self._wanted.set()

    def offer(self, delivery: Delivery) -> None:
        """Take a new delivery, or leave it to the store."""
        if not self.hand.is_new(delivery):
            return
        from_store = self._is_behind or self.is_over or self.is_failing or self.entry.row.ordered
        if from_store or not self.hand.take(delivery):
            self._is_behind = True
            self._wanted.set()
        else:
            self._begin_some()

    async def _deliver(self) -> None:
        while True:
            self._wanted.clear()
            if self._is_back:
                await self._expedite()
            if self._should_read(self._means.clock()):
                await self._read()
            self._begin_some()
            await self._pause()

    # From the store

    def _should_read(self, now: datetime) -> bool:
        hand = self.hand
        if self.is_over or self._no_room or self._is_quiet(now) or hand.under_way >= self._allowed:
            return False
        if hand.waiting >= self._allowed or (hand and self._means.room.is_full):
            return False
        return self._is_behind or (self._read_at is not None and self._read_at <= now)

    async def _read(self) -> None:
        """Take what is due, and find out when to look again."""
        now, trigger, ordered = self._means.clock(), self.entry.id, self.entry.row.ordered
        limit = 1 if self.is_failing or self._means.room.is_full else self._limit
        self._is_behind, self._read_at = False, None
        try:
            async with self._means.room.reading:
                rows = await self._store.due(trigger, now, limit=limit, skip=self.hand.numbers, ordered=ordered)
                taken = self._take(rows)
            upcoming = await self._store.next_due(trigger) if len(rows) < limit else now
        except StoreError as error:
            self._store_failed(error)
            return
        self._store_failing = False
        self._adapt_limit(rows, limit)
        self._plan_after(taken, upcoming, now, is_full=len(rows) == limit)

    def _take(self, rows: Sequence[Delivery]) -> int:
        """Take what is new of these, in order only one of each issue, and return how many that are."""
        taken, ordered = 0, self.entry.row.ordered
        issues = self.hand.issues if ordered else set()
        for row in rows:
            if not self.hand.is_new(row) or issue_of(row) in issues:
                continue
            if not self.hand.take(row):
                self._no_room = bool(self.hand)
                break
            taken += 1
            if ordered:
                issues |= {issue_of(row)} - {None}
        return taken

    def _plan_after(self, taken: int, upcoming: datetime | None, now: datetime, *, is_full: bool) -> None:
        if taken:
            self._recheck = SOONEST
        if is_full and taken:
            self._is_behind = True
        elif upcoming is not None and upcoming > now:
            self._plan(upcoming)
        elif upcoming is not None and taken and not self.entry.row.ordered:
            self._plan(now + LATEST)  # what is in hand hides when the next retry is due
        elif upcoming is not None:
            self._plan(now + self._recheck)
            self._recheck = min(2 * self._recheck, LATEST_ORDERED if self.entry.row.ordered else LATEST)

    def _plan(self, moment: datetime) -> None:
        """Read at this moment, or sooner."""
        self._read_at = moment if self._read_at is None else min(self._read_at, moment)

    def _adapt_limit(self, rows: Sequence[Delivery], limit: int) -> None:
        """Read many small ones at once, and few that are big."""
        size = sum(size_of(row) for row in rows)
        if size > READ_BYTES:
            self._limit = max(1, limit // 2)
        elif len(rows) == limit == self._limit and 2 * size <= READ_BYTES:
            self._limit = min(MAX_READ, 2 * limit)

    async def _expedite(self) -> None:
        """Make what waits for a retry due at once: the subscriber is back."""
        now = self._means.clock()
        if self._is_quiet(now):
            return
        try:
            count = await self._store.expedite(self.entry.id, now)
        except StoreError as error:
            self._store_failed(error)
            return
        self._is_back, self._is_behind = False, True
        log.info("subscriber_back", trigger=self.entry.name, waiting=count)

    def _store_failed(self, error: StoreError) -> None:
        if not self._store_failing:
            log.error("deliveries_unreadable", trigger=self.entry.name, reason=str(error))
        self._store_failing = self._is_behind = True
        self._quiet_until = self._means.clock() + PAUSE

    # Attempts

    @property
    def _allowed(self) -> int:
        if self.is_failing:
            return 1
        age = self._means.clock() - self._means.started_at
        return min(AT_ONCE, 1 + max(0, age // ONE_MORE_AFTER))

    def _is_quiet(self, now: datetime) -> bool:
        """Say whether it is too soon for anything; a clock that was set back ends that."""
        return now < self._quiet_until <= now + PAUSE

    def _begin_some(self) -> None:
        hand = self.hand
        if not hand.waiting or self.is_over or self._tasks is None or self._is_quiet(self._means.clock()):
            return
        while hand.waiting and hand.under_way < self._allowed:
            self._tasks.create_task(self._attempt(hand.begin()))

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            async with self._means.room.sending(size_of(delivery), is_failing=self.is_failing):
                outcome = await self._send(delivery)
        except Exception as error:  # whatever it is, the other deliveries go on
            log.exception("delivery_attempt_broken", trigger=self.entry.name, number=delivery.number)
            outcome = Attempt(None, f"The gateway could not send it ({type(error).__name__}).")
        self._end(delivery, outcome)

    async def _send(self, delivery: Delivery) -> Attempt:
        entry, now = self.entry, self._means.clock()
        body = compose(delivery, entry.name)
        headers = signed(message_id(delivery.event, entry.id), now, body, entry.secrets(now))
        return await self._means.sender.send(entry.row.deliver_to or "", headers, body)

    def _end(self, delivery: Delivery, outcome: Attempt) -> None:
        """Settle an attempt."""
        now = self._means.clock()
        decision = next_attempt(delivery.attempts, outcome, now, self._means.dice)
        state, attempts, next_at, settled_at = decision
        if outcome.is_success:
            self._is_back = self._is_back or self.is_failing
            self.tally.succeed(now)
        else:
            self._failed(outcome, now, is_dead=state is State.DEAD)
            if state is State.DEAD:
                log.error("delivery_dead", trigger=self.entry.name, number=delivery.number, reason=outcome.error)
        row = Settled(delivery.number, state, attempts, next_at, outcome.status, outcome.error, settled_at)
        self._means.log.settle(row, partial(self._settled, delivery, next_at))

    def _settled(self, delivery: Delivery, next_at: datetime | None) -> None:
        """Give the place of an attempt to the next one: its outcome is durable."""
        if self._tasks is None:
            return  # everything was dropped
        self.hand.settle(delivery, self._means.clock())
        if self._no_room or self.entry.row.ordered:  # the next of its issue can be seen now
            self._no_room, self._is_behind = False, True
        if next_at is not None:
            self._plan(next_at)
        if self._is_behind or self._is_back or self._read_at is not None:
            self._wanted.set()
        self._begin_some()

    def _failed(self, outcome: Attempt, now: datetime, *, is_dead: bool) -> None:
        if not self.tally.failures:
            log.warning("delivery_failed", trigger=self.entry.name, reason=outcome.error)
        self.tally.fail(outcome.error or "", now, is_dead=is_dead)
        if self.is_failing:
            self._quiet_until = now + PAUSE
        if self.is_failing or outcome.is_gone:  # it is in the store, and others need the room
            self._is_behind = self.hand.drop_waiting() or self._is_behind
        if outcome.is_gone and not self.is_over:
            self.is_over = True
            self._means.gone(self.entry, "its subscriber answered 410 Gone: it wants no more events")

    # Waiting

    async def _pause(self) -> None:
        seconds = self._seconds_to_wait(self._means.clock())
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wanted.wait()

    def _seconds_to_wait(self, now: datetime) -> float:
        """Return for how long nothing can be done; a new delivery and the end of an attempt come sooner."""
        if self.is_over:
            return IDLE_SECONDS
        if self._is_quiet(now):
            return (self._quiet_until - now).total_seconds()
        if self._is_back or self._should_read(now):
            return 0.0
        if self._read_at is None or self._read_at <= now:
            return IDLE_SECONDS  # there is nothing, or no room for it before an attempt ends
        return min((self._read_at - now).total_seconds(), IDLE_SECONDS)
