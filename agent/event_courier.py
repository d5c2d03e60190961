"""Carries spooled records to a gateway, oldest first, and drops what is durable there (docs/protocol.md §11).

Many streams at once on whichever link has the least to do. A record that was not taken is tried again after a while,
by itself, so that one that no gateway can digest does not hold up the others; a new link ends every such wait. Nothing
is dropped without an answer that says so; after a crash a record goes again, and the gateway knows it by its event id.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from agent.passage import Outcome, Passage, request_of
from agent.spool import Spool
from agent.spool_records import SpoolError, StoredRecord
from agent.tally import WebhookTally
from http1.sweep import Sweeper
from tunnel.errors import LocalProtocolError, StreamRefused
from tunnel.heads import RequestHead
from tunnel.streams import Stream, StreamReceiver

log = structlog.get_logger()

MAX_IN_FLIGHT: Final = 32
MAX_BYTES_IN_FLIGHT: Final = 16 << 20  # more than any record has
MAX_WAITING: Final = 32
"""Records that failed and wait for their next turn; when all are, no new ones are tried."""
MAX_DROPPING: Final = 1000
FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.2  # for a new link, and for a wait that is over
IDLE_SECONDS: Final = 5.0


class EventLink(Protocol):
    """What a courier needs of a link."""

    @property
    def load(self) -> int:
        """How much it has to do."""

    @property
    def is_usable(self) -> bool:
        """Whether streams may be opened."""

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> Stream:
        """Open a stream."""


class EventCourier:
    """Empties one spool. `wake` it when there may be something to carry."""

    def __init__(
        self,
        spool: Spool,
        links: Callable[[], Sequence[EventLink]],
        tally: WebhookTally,
        sweeper: Sweeper,
        now_ms: Callable[[], int],
        dice: Callable[[], float],
    ) -> None:
        """`links` returns those that there are now; `dice` returns a float in [0, 1)."""
        self._spool = spool
        self._links = links
        self._tally = tally
        self._sweeper = sweeper
        self._now_ms = now_ms
        self._dice = dice
        self._in_flight: dict[int, Passage] = {}
        self._bytes_in_flight = 0
        self._waiting: dict[int, float] = {}  # record -> when it may go again
        self._failures: dict[int, int] = {}  # of those that failed and are not carried yet
        self._known_links: set[EventLink] = set()
        self._wake = asyncio.Event()
        self.problem: str | None = None  # why the spool cannot be read

    def __repr__(self) -> str:
        return f"<EventCourier {len(self._in_flight)} in flight, {len(self._waiting)} waiting>"

    def wake(self) -> None:
        """Look again at once."""
        self._wake.set()

    def interrupt(self) -> None:
        """Take back what is on its way: nothing may leave any more. It goes again when there are links."""
        for passage in list(self._in_flight.values()):
            passage.take_back()

    async def run(self) -> None:
        """Carry until cancelled; what is under way then goes again after the next start."""
        try:
            while True:
                self._look_for_links()
                if self._may_read:
                    await self._read()
                await self._pause()
        finally:
            for passage in list(self._in_flight.values()):
                passage.give_up()

    @property
    def _may_read(self) -> bool:
        return (
            self._spool.contents.records > len(self._in_flight) + len(self._waiting) + self._spool.dropping
            and self._known_links != set()
            and len(self._in_flight) < MAX_IN_FLIGHT
            and len(self._waiting) < MAX_WAITING
            and self._spool.dropping < MAX_DROPPING
        )

    def _look_for_links(self) -> None:
        """Note which links there are; a new one ends the waits, those that are due end by themselves."""
        usable = {link for link in self._links() if link.is_usable}
        now = self._sweeper.now
        if usable - self._known_links:
            self._waiting.clear()
            self._failures.clear()
        self._known_links = usable
        for number in [number for number, due in self._waiting.items() if due <= now]:
            del self._waiting[number]

    async def _read(self) -> None:
        limit = MAX_IN_FLIGHT - len(self._in_flight)
        room = MAX_BYTES_IN_FLIGHT - self._bytes_in_flight
        try:
            found = await self._spool.oldest(limit, room, {*self._in_flight, *self._waiting})
        except (SpoolError, TimeoutError) as error:
            self.problem = str(error) or "the disk does not answer"
            log.error("spool_not_read", reason=self.problem)  # noqa: TRY400 - the disk, not this code
            await asyncio.sleep(LONGEST_SECONDS)
            return
        self.problem = None
        for stored in found:
            self._carry(stored)

    async def _pause(self) -> None:
        """Wait until there may be something to do."""
        seconds = LOOK_SECONDS if self._spool.contents.records else IDLE_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    def _carry(self, stored: StoredRecord) -> None:
        usable = [link for link in self._links() if link.is_usable]
        if not usable:
            return
        link = min(usable, key=lambda link: link.load)
        passage = Passage(stored, self._ended, self._sweeper)
        self._in_flight[stored.id] = passage
        self._bytes_in_flight += stored.record.size
        try:
            passage.begin(link.open_stream(request_of(stored.record, self._now_ms()), passage))
        except StreamRefused as refused:
            passage.fail(str(refused))
        except LocalProtocolError as error:  # cannot be put on the wire, today or ever
            passage.end(Outcome.UNSENDABLE, str(error))

    def _ended(self, stored: StoredRecord, outcome: Outcome, detail: str) -> None:
        del self._in_flight[stored.id]
        self._bytes_in_flight -= stored.record.size
        if outcome is Outcome.AGAIN:
            self._wait_for(stored, detail)
        else:
            self._failures.pop(stored.id, None)
            self._count(stored, outcome, detail)
            self._spool.drop([stored.id])
        self.wake()

    def _wait_for(self, stored: StoredRecord, detail: str) -> None:
        failures = self._failures.get(stored.id, 0)
        self._failures[stored.id] = failures + 1
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures, 16))
        self._waiting[stored.id] = self._sweeper.now + longest * (0.5 + 0.5 * self._dice())
        write = log.warning if len(self._failures) == 1 and not failures else log.debug  # once for each outage
        write("event_not_carried", event_id=stored.record.event_id, failures=failures + 1, reason=detail)

    def _count(self, stored: StoredRecord, outcome: Outcome, detail: str) -> None:
        if outcome is Outcome.CARRIED:
            self._tally.carried += 1
            return
        self._tally.dropped[outcome.value] += 1
        log.warning("event_dropped", event_id=stored.record.event_id, reason=outcome.value, detail=detail)
