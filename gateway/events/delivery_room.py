"""What the deliverer holds in memory: bodies of all workers together, and what came of the attempts since the start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.store import Delivery

MAX_HELD_BYTES: Final = 32 << 20
MAX_LARGE_BYTES: Final = 32 << 20  # beyond that, of deliveries that somebody takes at any rate and that are large
LARGE_BYTES: Final = 256 << 10
LARGE_AT_ONCE: Final = 4
"""Attempts: a body is copied a few times on its way into a socket, and hundreds of triggers may want the same one."""

OVERHEAD_BYTES: Final = 1024  # what a delivery costs beside its body


def size_of(delivery: Delivery) -> int:
    """Return how many bytes of memory a delivery takes, about."""
    return len(delivery.event.body) + OVERHEAD_BYTES


class Room:
    """The bytes of the deliveries that are in hand.

    Whoever has none in hand may always take a small one, and a large one unless many have done that already.
    """

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self.held = 0
        self.reading = asyncio.Lock()  # of the store: what one worker reads is counted before the next one reads
        self._limit = limit
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._large_in_vain = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Room {self.held} of {self._limit} bytes>"

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be taken."""
        return self.held >= self._limit

    def take(self, size: int, *, at_any_rate: bool) -> bool:
        """Count bytes in, when they fit or must."""
        limit = self._limit
        if at_any_rate:
            limit = self.held + size if size <= LARGE_BYTES else limit + MAX_LARGE_BYTES
        if self.held + size > limit:
            return False
        self.held += size
        return True

    @asynccontextmanager
    async def sending(self, size: int, *, is_failing: bool) -> AsyncIterator[None]:
        """Send a delivery in the block: large ones of all triggers take turns, each for as long as an attempt may.

        Those to subscribers that fail take turns of their own, so that however many hang, the others go on.
        """
        if size <= LARGE_BYTES:
            yield
            return
        async with self._large_in_vain if is_failing else self._large:
            yield

    def give_back(self, size: int) -> None:
        """Count bytes out."""
        self.held -= size


@dataclass(slots=True)
class Tally:
    """What came of a trigger's attempts since the start. `failures` are those in a row, up to now."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    failures: int = 0
    last_error: str | None = None
    last_error_at: datetime | None = None
    last_success_at: datetime | None = None

    def succeed(self, now: datetime) -> None:
        """Count a delivery."""
        self.delivered += 1
        self.failures = 0
        self.last_success_at = now

    def fail(self, reason: str, now: datetime, *, is_dead: bool) -> None:
        """Count a failed attempt, and whether it was the last one of its delivery."""
        self.failed += 1
        self.failures += 1
        self.dead += is_dead
        self.last_error, self.last_error_at = reason, now
