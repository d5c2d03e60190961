"""One periodic look at everything that has a deadline: no timer per request, per socket or per body.

An item costs one comparison every 100 ms, and re-arming it costs one assignment.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Final, Protocol

PERIOD: Final = 0.1
NEVER: Final = float("inf")


class Perishable(Protocol):
    """Something that must not wait for ever."""

    deadline: float
    """Loop time from which `expire` is called; NEVER when nothing is awaited."""

    def expire(self, now: float) -> None:
        """The deadline has passed. Called again every period until `deadline` lies ahead or the item is discarded."""


class Sweeper:
    """The items with a deadline, and a coarse clock (`now`, loop time, at most one period old) for arming them."""

    def __init__(self) -> None:
        self.now = time.monotonic()  # the clock of both event loops
        self._items: set[Perishable] = set()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Perishable]:
        return iter(list(self._items))

    def add(self, item: Perishable) -> None:
        """Watch an item."""
        self._items.add(item)

    def discard(self, item: Perishable) -> None:
        """Forget an item; unknown items are fine."""
        self._items.discard(item)

    def sweep(self, now: float) -> None:
        """Call `expire` on everything whose deadline has passed."""
        self.now = now
        for item in [item for item in self._items if item.deadline <= now]:
            item.expire(now)

    async def run(self) -> None:
        """Sweep every 100 ms until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.sweep(loop.time())
            await asyncio.sleep(PERIOD)
