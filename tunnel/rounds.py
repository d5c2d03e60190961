"""The looks at the links of an event loop: each is looked at once a tick, by one timer for all.

A timer each cost more than the looks: a gateway has thousands of links, most of them idle. A tenth of them is looked at
at a time, so that requests do not wait for a thousand looks.
"""

import asyncio
from typing import Final, Protocol
from weakref import WeakKeyDictionary

PARTS: Final = 10


class Watched(Protocol):
    """What is looked at."""

    def look(self) -> None:
        """Do what is due; must not raise."""


class Rounds:
    """Those that are looked at every `tick` seconds; while there are none, there is no timer."""

    __slots__ = ("_loop", "_next", "_parts", "_tick", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: float) -> None:
        self._loop = loop
        self._tick = tick
        self._parts: list[dict[Watched, None]] = [{} for _ in range(PARTS)]
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Rounds {self._tick} s {[len(part) for part in self._parts]}>"

    def add(self, watched: Watched) -> None:
        """Look at it from now on, for the first time within a tick."""
        min(self._parts, key=len)[watched] = None
        if self._timer is None:
            self._go_on()

    def discard(self, watched: Watched) -> None:
        """Look at it no more."""
        for part in self._parts:
            part.pop(watched, None)
        if self._timer is not None and not any(self._parts):
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        self._timer = self._loop.call_later(self._tick / PARTS, self._look)

    def _look(self) -> None:
        self._go_on()  # before anybody is looked at: the last of them may leave
        part, self._next = self._parts[self._next], (self._next + 1) % PARTS
        for watched in list(part):
            if watched in part:  # a look before may have ended it
                watched.look()


_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float, Rounds]] = WeakKeyDictionary()


def rounds_of(loop: asyncio.AbstractEventLoop, tick: float) -> Rounds:
    """Return the rounds of this loop with this tick."""
    of_loop = _rounds.setdefault(loop, {})
    if tick not in of_loop:
        of_loop[tick] = Rounds(loop, tick)
    return of_loop[tick]
