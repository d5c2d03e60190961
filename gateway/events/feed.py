"""Pages of a trigger's deliveries for readers that fetch them, and a wake-up when there are new ones.

Owns nobody's place: a reader says after which number it wants to go on, and gets only what is durable. Readers share
one turn at the store, so that hundreds of them never stand between the deliverer and its next page, and a bound on the
bytes that they hold together.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from gateway.events.event_log import EventLog
from gateway.store import Delivery, State

MAX_PAGE: Final = 200
MAX_PAGE_BYTES: Final = 4 << 20
MIN_PAGE_BYTES: Final = 64 << 10
SHARED_BYTES: Final = 32 << 20  # what all readers may hold together, but for single events that are larger
READ_SECONDS: Final = 30.0
MAX_OF_ONE: Final = 128  # readers with one token: half of all that there may be (gateway.local_relay)


class TooManyReaders(Exception):
    """Whoever wants to read has as many readers as one may have."""


class Feed:
    """The readers of all triggers. `run` makes them hear of new deliveries; `close` sends them home."""

    def __init__(self, log: EventLog) -> None:
        self.is_closed = False
        self._log = log
        self._readers: defaultdict[int, set[Reader]] = defaultdict(set)
        self._count = 0
        self._by_name: Counter[str] = Counter()
        self._turn = asyncio.Semaphore(1)

    def __repr__(self) -> str:
        return f"<Feed {self._count} readers>"

    @property
    def readers(self) -> int:
        """How many read or wait now."""
        return self._count

    async def run(self) -> None:
        """Wake readers until cancelled."""
        self._log.listeners.append(self.wake)
        try:
            await asyncio.Event().wait()  # no deadline: the log calls
        finally:
            self._log.listeners.remove(self.wake)
            self.close()

    def wake(self, fresh: Sequence[Delivery]) -> None:
        """Tell the readers of these deliveries' triggers; a listener of the event log."""
        for trigger in {delivery.trigger for delivery in fresh}:
            for reader in self._readers.get(trigger, ()):
                reader.news.set()

    def close(self) -> None:
        """Let every reader end now, with nothing rather than with a wait: the gateway stops."""
        self.is_closed = True
        for readers in self._readers.values():
            for reader in readers:
                reader.news.set()

    @contextmanager
    def reading(self, trigger: int, name: str) -> Iterator["Reader"]:
        """Read one trigger's deliveries for as long as the block; `name` says who reads. Raises TooManyReaders."""
        if self._by_name[name] >= MAX_OF_ONE:
            raise TooManyReaders
        reader = Reader(self, trigger)
        self._by_name[name] += 1
        self._readers[trigger].add(reader)
        self._count += 1
        try:
            yield reader
        finally:
            self._count -= 1
            self._by_name[name] -= 1
            if not self._by_name[name]:
                del self._by_name[name]
            self._readers[trigger].discard(reader)
            if not self._readers[trigger]:
                del self._readers[trigger]

    def share(self) -> int:
        """Return how many bytes of bodies one reader's page may have now."""
        return max(MIN_PAGE_BYTES, min(MAX_PAGE_BYTES, SHARED_BYTES // max(1, self._count)))

    async def read(
        self, trigger: int, after: int, *, limit: int, states: Collection[State], max_bytes: int
    ) -> list[Delivery]:
        """Return a page from the store, one reader at a time; raises StoreError, or TimeoutError after 30 s."""
        async with asyncio.timeout(READ_SECONDS), self._turn:
            most = min(max_bytes, self.share())
            return await self._log.store.page(trigger, after, limit=limit, states=states, max_bytes=most)


class Reader:
    """One reader of one trigger; made by `Feed.reading`."""

    def __init__(self, feed: Feed, trigger: int) -> None:
        self.news = asyncio.Event()
        self._feed = feed
        self._trigger = trigger
        self._empty_after: int | None = None  # where the last look found nothing

    async def page(
        self,
        after: int,
        *,
        limit: int = MAX_PAGE,
        states: Collection[State] = (),
        max_bytes: int = MAX_PAGE_BYTES,
        wait: float = 0.0,
    ) -> list[Delivery]:
        """Return what follows number `after`: at once when there is something, else within `wait` seconds, or nothing.

        Raises StoreError, TimeoutError.
        """
        deadline = asyncio.get_running_loop().time() + wait
        while not self._feed.is_closed:
            if self.news.is_set() or states or self._empty_after != after:
                self.news.clear()  # before the look: what is stored during it makes us look again
                self._empty_after = None
                found = await self._feed.read(self._trigger, after, limit=limit, states=states, max_bytes=max_bytes)
                self._empty_after = None if found else after
                if found:
                    return found
            if not await self._is_news_before(deadline):
                break
        return []

    async def _is_news_before(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout_at(deadline):
                await self.news.wait()
        except TimeoutError:
            return False
        return True
