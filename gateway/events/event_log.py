"""The event log: what is offered is durable before anybody hears that it is.

One writer takes everything that waits (new events, outcomes of deliveries, gaps, watermarks) into one transaction, and
the next one begins at once: commits are shared by as many as came meanwhile, and nobody waits for a timer. What cannot
be written is told to those who offered it; outcomes stay and go with the next batch.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import structlog

from gateway.store import Delivery, Gap, NewEvent, Settled, StoreError, Watermark
from gateway.store.event_store import EventStore
from gateway.store.event_writing import Batch

log = structlog.get_logger()

MAX_WAITING_BYTES: Final = 32 << 20
BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 8 << 20
OVERHEAD_BYTES: Final = 1024  # what an event costs in memory beside its body
RETRY_SECONDS: Final = 1.0
LAST_SECONDS: Final = 3.0

Done = Callable[[Sequence[Delivery] | None], None]
"""Called once: with the new deliveries when the event is durable, with None when it could not be written."""


class EventLog:
    """The only writer of events. `run` it once; everything else is called from the same loop."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.listeners: list[Callable[[Sequence[Delivery]], None]] = []  # hear of every new delivery
        self.stored = 0  # events since the start
        self.stored_bytes = 0  # bytes of them
        self.is_full = False  # more waits to be sent than may be kept: gateway.events.retention says so, nobody adds
        self.problem: str | None = None  # why nothing can be written, while that is so
        self._offered: list[tuple[NewEvent, Done]] = []
        self._offered_gaps: list[tuple[Sequence[Gap], Callable[[bool], None]]] = []
        self._rest = Batch()  # everything but new events
        self._settled: list[Callable[[], None]] = []  # who wants to know that the outcomes of the rest are durable
        self._waiting_bytes = 0
        self._wanted = asyncio.Event()

    def __repr__(self) -> str:
        return f"<EventLog {len(self._offered)} events, {self._waiting_bytes} bytes waiting>"

    @property
    def waiting_bytes(self) -> int:
        """Bytes of events that are not durable yet."""
        return self._waiting_bytes

    def offer(self, event: NewEvent, done: Done) -> bool:
        """Take an event; `done` is called when it is durable, or not to be made so. False: there is no room now."""
        if self._waiting_bytes > MAX_WAITING_BYTES:
            return False
        self._offered.append((event, done))
        self._waiting_bytes += len(event.body) + OVERHEAD_BYTES
        self._wanted.set()
        return True

    async def add(self, event: NewEvent) -> Sequence[Delivery]:
        """Store an event of our own finding and return its new deliveries; raises StoreError when that fails."""
        future: asyncio.Future[Sequence[Delivery]] = asyncio.get_running_loop().create_future()

        def done(made: Sequence[Delivery] | None) -> None:
            if future.done():
                return
            if made is None:
                future.set_exception(StoreError(self.problem or "the event could not be stored"))
            else:
                future.set_result(made)

        while not self.offer(event, done):  # noqa: ASYNC110 - room comes with the writer's next turn
            await asyncio.sleep(0.05)
        return await future  # the writer answers every offer, with None after an error

    def settle(self, outcome: Settled, done: Callable[[], None] = lambda: None) -> None:
        """Keep what became of a delivery; `done` is called when that is durable."""
        self._rest.settled.append(outcome)
        self._settled.append(done)
        self._wanted.set()

    def offer_gaps(self, gaps: Sequence[Gap], done: Callable[[bool], None] = lambda _: None) -> None:
        """Keep that webhooks may have been lost; what is known already (by its uid) changes nothing.

        `done` is called when that is durable, or with False when it is not to be made so.
        """
        self._offered_gaps.append((gaps, done))
        self._wanted.set()

    def mark(self, watermark: Watermark) -> None:
        """Keep up to when everything was looked at."""
        self._rest.watermarks[watermark.name] = watermark
        self._wanted.set()

    def note_hook(self, hook: int, **values: Any) -> None:
        """Keep news of a hook: columns of `HookState`."""
        self._rest.hook_news.setdefault(hook, {}).update(values)
        self._wanted.set()

    def live(self, now: datetime) -> None:
        """Keep that the gateway lives now."""
        self._rest.alive_at = now
        self._wanted.set()

    async def run(self) -> None:
        """Write until cancelled; what was offered and not written by then is refused."""
        try:
            while True:
                await self._wanted.wait()  # no deadline: nothing is to be done
                await self._write_some()
        finally:
            await self._finish()

    async def _finish(self) -> None:
        """Write what waits once more: outcomes that are lost would be deliveries sent twice."""
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(LAST_SECONDS):
                if self._rest:
                    rest, self._rest = self._rest, Batch()
                    await self.store.write(rest)
        for _, done in self._offered:
            _tell(done, None)
        for _, told in self._offered_gaps:
            _tell(told, False)
        self._offered, self._offered_gaps = [], []

    async def _write_some(self) -> None:
        offered, rest = self._take()
        gaps, self._offered_gaps = self._offered_gaps, []
        settled, self._settled = self._settled, []
        rest.events = [event for event, _ in offered]
        rest.gaps = [gap for some, _ in gaps for gap in some]
        is_written = False
        try:
            made = await self.store.write(rest)
            is_written = True
        except Exception as error:  # what one event is made of must not end the writer of all
            if not isinstance(error, StoreError):
                log.exception("event_log_broken")
            self._failed(rest, error)
            self._settled = settled + self._settled
        finally:
            if not is_written:
                for _, done in offered:
                    _tell(done, None)
            for _, told in gaps:
                _tell(told, is_written)
        if not is_written:
            await asyncio.sleep(RETRY_SECONDS)
            return
        if self.problem is not None:
            log.info("event_log_recovered")
        self.problem = None
        for is_durable in settled:
            _tell(is_durable)
        self._succeeded(offered, made)

    def _take(self) -> tuple[list[tuple[NewEvent, Done]], Batch]:
        count, size = 0, 0
        for event, _ in self._offered[:BATCH_EVENTS]:
            size += len(event.body) + OVERHEAD_BYTES
            count += 1
            if size > BATCH_BYTES:
                break
        offered, self._offered = self._offered[:count], self._offered[count:]
        rest, self._rest = self._rest, Batch()
        self._waiting_bytes -= size
        if not self._offered:
            self._wanted.clear()
        return offered, rest

    def _succeeded(self, offered: list[tuple[NewEvent, Done]], made: list[list[Delivery]]) -> None:
        self.stored += len(offered)
        self.stored_bytes += sum(len(event.body) + OVERHEAD_BYTES for event, _ in offered)
        for (_, done), deliveries in zip(offered, made, strict=True):
            _tell(done, deliveries)
        fresh = [delivery for deliveries in made for delivery in deliveries]
        if fresh:
            for listener in self.listeners:
                _tell(listener, fresh)

    def _failed(self, rest: Batch, error: Exception) -> None:
        """Refuse the events, and keep the rest for the next batch: what was sent must not be sent again."""
        reason = str(error) if isinstance(error, StoreError) else f"a fault of ours ({type(error).__name__})"
        if self.problem is None:
            log.error("event_log_unwritable", reason=reason, consequence="webhooks are answered with 503")
        self.problem = reason
        later, self._rest = self._rest, rest
        rest.events, rest.gaps = [], []
        rest.settled += later.settled
        rest.watermarks |= later.watermarks
        for hook, values in later.hook_news.items():
            rest.hook_news.setdefault(hook, {}).update(values)
        rest.alive_at = later.alive_at or rest.alive_at
        if rest:
            self._wanted.set()


def _tell(callback: Callable[..., None], *news: object) -> None:
    """Call back; a fault of whoever is called costs neither the only writer nor the others who wait."""
    try:
        callback(*news)
    except Exception:
        log.exception("event_log_callback_failed")
