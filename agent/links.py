"""How many links the line deserves. Pure: counters in, a number out.

On a lossless line few links batch best; under loss, one TCP connection stalls everything it carries, so more are worth
their cost (docs/facts.md N2: at 0.5 % loss one connection falls to 6 %). The count doubles while segments are lost,
grows by one while a long line is busy all the time, and falls by one after a quiet minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.line import LineCounters

LOSS = 0.001
LEAST_SEGMENTS = 200
"""Fewer segments in one interval say nothing about a loss of 0.1 %."""
BUSY = 0.8
LONG_LINE_SECONDS = 0.005
"""On a shorter round trip the processor is the limit, and more links only cost more of it."""
QUIET_SECONDS = 60.0


@dataclass(slots=True)
class LinkCount:
    """The wanted number of links. Call `observe` every few seconds with the counters of each live link."""

    minimum: int
    maximum: int
    wanted: int = 0
    _before: dict[int, LineCounters] = field(default_factory=dict)
    _observed_at: float | None = None
    _quiet_since: float | None = None

    def __post_init__(self) -> None:
        self.wanted = self.minimum

    def observe(self, now: float, lines: Mapping[int, LineCounters]) -> int:
        """Return how many links there should be, given the counters by link number at `now` (monotonic seconds)."""
        interval = 0.0 if self._observed_at is None else now - self._observed_at
        segments = retransmitted = 0
        busiest = 0.0
        for number, line in lines.items():
            before = self._before.get(number)
            if before is None or before.segments > line.segments:
                continue  # a new socket under that number
            segments += line.segments - before.segments
            retransmitted += line.retransmitted - before.retransmitted
            if interval > 0 and line.rtt >= LONG_LINE_SECONDS:
                busiest = max(busiest, (line.busy_seconds - before.busy_seconds) / interval)
        self._before = dict(lines)
        self._observed_at = now
        self.wanted = self._decide(now, segments, retransmitted, busiest)
        return self.wanted

    def _decide(self, now: float, segments: int, retransmitted: int, busiest: float) -> int:
        if segments >= LEAST_SEGMENTS and retransmitted >= segments * LOSS:
            self._quiet_since = None
            return min(self.maximum, self.wanted * 2)
        if busiest >= BUSY:
            self._quiet_since = None
            return min(self.maximum, self.wanted + 1)
        if segments >= LEAST_SEGMENTS:
            self._quiet_since = None  # in use and fine: leave it as it is
            return self.wanted
        if self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since >= QUIET_SECONDS:
            self._quiet_since = now
            return max(self.minimum, self.wanted - 1)
        return self.wanted
