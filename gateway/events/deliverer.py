"""Pushes events to subscribers: one worker for each trigger that is sent, so that no subscriber delays the others.

Owns the workers' tasks and what they share: the room in memory and the counts since the start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from gateway.events.delivery_room import Room, Tally
from gateway.events.delivery_worker import DeliveryWorker, Means, Sender
from gateway.events.event_log import EventLog
from gateway.store import Delivery, State, StoreError
from gateway.triggers import Subscriptions, TriggerEntry

log = structlog.get_logger()

DISABLE_AGAIN_SECONDS: Final = 1.0
BROKEN_SECONDS: Final = 1.0

Disable = Callable[[str, str], Awaitable[None]]
"""Switches the trigger of this name off for a reason; may raise StoreError."""


class Servers(Sender, Protocol):
    """What the deliverer needs of `gateway.events.subscribers`."""

    def keep(self, urls: Iterable[str]) -> None:
        """Forget the servers that none of these addresses needs."""


class Deliverer:
    """All deliveries of one gateway. `run` it once; everything else is called from the same loop."""

    def __init__(
        self,
        event_log: EventLog,
        subscribers: Servers,
        clock: Callable[[], datetime],
        dice: Callable[[], float],
        disable: Disable,
        started_at: datetime,
    ) -> None:
        """`started_at` is when this gateway began: a young one sends less at once (delivery_worker)."""
        self.room = Room()
        self._log = event_log
        self._subscribers = subscribers
        self._disable = disable
        self._means = Means(event_log, subscribers, clock, dice, self.room, self._gone, started_at)
        self._workers: dict[int, DeliveryWorker] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._tallies: dict[int, Tally] = {}
        self._entries: dict[int, TriggerEntry] = {}
        self._being_disabled: set[int] = set()
        self._tasks: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<Deliverer {len(self._workers)} triggers, {self.room!r}>"

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is tried again after the next start."""
        self._log.listeners.append(self._heard)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    for number, worker in self._workers.items():
                        self._running[number] = tasks.create_task(_live(worker))
                    await asyncio.Event().wait()  # no deadline: the life of the process
                finally:
                    self._tasks = None  # from now on nothing begins
        finally:
            self._log.listeners.remove(self._heard)

    def use(self, subscriptions: Subscriptions) -> None:
        """Make these triggers count: removed and disabled ones end at once, the others look what is due."""
        self._entries = {entry.id: entry for entry in subscriptions.triggers if entry.is_sent}
        wanted = {number: entry for number, entry in self._entries.items() if entry.row.disabled_at is None}
        for number in [number for number in self._workers if number not in wanted]:
            self._end(number)
        for number, entry in wanted.items():
            worker = self._workers.get(number)
            if worker is None:
                self._start(entry)
            elif number not in self._being_disabled:
                worker.use(entry)
        self._tallies = {number: tally for number, tally in self._tallies.items() if number in self._entries}
        self._subscribers.keep(entry.row.deliver_to for entry in wanted.values() if entry.row.deliver_to)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per trigger that is sent, for the status page and the metrics."""
        return [self._row(entry) for entry in self._entries.values()]

    def _start(self, entry: TriggerEntry) -> None:
        tally = self._tallies.setdefault(entry.id, Tally())
        worker = self._workers[entry.id] = DeliveryWorker(entry, self._means, tally)
        if self._tasks is not None:
            self._running[entry.id] = self._tasks.create_task(_live(worker))

    def _end(self, number: int) -> None:
        del self._workers[number]
        running = self._running.pop(number, None)
        if running is not None:
            running.cancel()

    def _heard(self, deliveries: Sequence[Delivery]) -> None:
        """Hand new deliveries to their workers; those of triggers without one are found in the store by and by."""
        for delivery in deliveries:
            worker = self._workers.get(delivery.trigger)
            if worker is None or delivery.state is not State.PENDING:
                continue
            try:
                worker.offer(delivery)
            except Exception:  # the log's only writer calls this: a fault of ours must not end it
                log.exception("delivery_not_taken", trigger=worker.entry.name, number=delivery.number)

    def _gone(self, entry: TriggerEntry, reason: str) -> None:
        if self._tasks is not None:
            self._being_disabled.add(entry.id)
            self._tasks.create_task(self._switch_off(entry, reason))

    async def _switch_off(self, entry: TriggerEntry, reason: str) -> None:
        """Disable a trigger in the store. Not a task of its worker, which that ends."""
        is_told = False
        try:
            while True:
                try:
                    await self._disable(entry.name, reason)
                except StoreError as error:
                    if not is_told:
                        log.error("trigger_not_disabled", trigger=entry.name, reason=str(error))  # noqa: TRY400 - the reason says it all
                    is_told = True
                else:
                    log.warning("trigger_disabled", trigger=entry.name, reason=reason)
                    return
                await asyncio.sleep(DISABLE_AGAIN_SECONDS)
        finally:
            self._being_disabled.discard(entry.id)

    def _row(self, entry: TriggerEntry) -> dict[str, Any]:
        tally = self._tallies.get(entry.id) or Tally()
        worker = self._workers.get(entry.id)
        return {
            "trigger": entry.name,
            "delivered": tally.delivered,
            "failed": tally.failed,
            "dead": tally.dead,
            "failures_in_a_row": tally.failures,
            "last_error": tally.last_error,
            "last_error_at": None if tally.last_error_at is None else tally.last_error_at.isoformat(),
            "last_success_at": None if tally.last_success_at is None else tally.last_success_at.isoformat(),
            "under_way": 0 if worker is None else worker.hand.under_way,
            "waiting": 0 if worker is None else worker.hand.waiting,
        }


async def _live(worker: DeliveryWorker) -> None:
    """Run a worker; a fault of ours in one costs neither the other triggers nor the requests of callers."""
    while True:
        try:
            await worker.run()
        except Exception:  # the worker has let go of everything, and begins anew with what is in the store
            log.exception("delivery_worker_broken", trigger=worker.entry.name)
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # both at once, and the group tells of the fault only
                return
        await asyncio.sleep(BROKEN_SECONDS)
