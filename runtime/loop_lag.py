"""How late the event loop is: a task that sleeps for a quarter second and looks at the clock.

What blocks the loop (a long callback, a machine without CPU) makes every request wait for as long. A histogram tells
how often, `longest` how bad it was lately.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from runtime.histogram import Histogram

SAMPLE_SECONDS: Final = 0.25
LAG_BOUNDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds; uvloop's own timers count whole milliseconds."""
HALF_MINUTE: Final = 30.0


class LoopLag:
    """`run` it once; everybody may read."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self.histogram = Histogram(LAG_BOUNDS)
        self._before = 0.0  # the longest of the half minute that is over
        self._current = 0.0
        self._turned_at = clock()

    def __repr__(self) -> str:
        return f"<LoopLag {self.longest:.3f} s>"

    @property
    def longest(self) -> float:
        """Seconds; the longest lag of the last half to whole minute."""
        return max(self._before, self._current)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            asked = self._clock()
            await asyncio.sleep(SAMPLE_SECONDS)
            self.note(self._clock() - asked - SAMPLE_SECONDS)

    def note(self, lag: float) -> None:
        """Count one sample, in seconds; a timer that is early by its own rounding counts as on time."""
        now = self._clock()
        if now - self._turned_at >= HALF_MINUTE:
            self._before, self._current, self._turned_at = self._current, 0.0, now
        self.histogram.observe(max(lag, 0.0))
        self._current = max(self._current, lag)
