"""How many links the line deserves. Pure: counters in, a number out.

On a lossless line few links batch best; under loss, one TCP connection stalls everything it carries, so more are worth
their cost (docs/facts.md N2: at 0.5 % loss one connection falls to 6 %). The count doubles while segments are lost, and
halves when the links are hardly used any more, or after long use without loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.line import LineCounters

LOSS = 0.001
DISORDER = 0.005
"""Of the segments that arrive: each one that was lost is overtaken by those behind it, until it was sent again."""
LEAST_SEGMENTS = 200
"""Fewer segments in one interval say nothing about a loss of 0.1 %."""
IDLE_SEGMENTS = 16
"""Of one link in one interval of 5 s: pings and canaries are about six."""
QUEUE = 1.5
"""A round trip that is so many times the least one: then segments are lost because we fill a queue, and more links
would fill it sooner."""
QUIET_SECONDS = 60.0
STEP_SECONDS = 15.0
CALM_SECONDS = 300.0


@dataclass(slots=True)
class LinkCount:
    """The wanted number of links. Call `observe` every few seconds with the counters of each live link."""

    minimum: int
    maximum: int
    wanted: int = 0
    _before: dict[int, LineCounters] = field(default_factory=dict)
    _used_at: float | None = None
    _lossy_at: float = 0.0
    _fewer_at: float = 0.0

    def __post_init__(self) -> None:
        self.wanted = self.minimum

    def observe(self, now: float, lines: Mapping[int, LineCounters]) -> int:
        """Return how many links there should be, given the counters by link number at `now` (monotonic seconds)."""
        sent = retransmitted = received = disordered = 0
        for number, line in lines.items():
            before = self._before.get(number)
            if before is None or before.sent > line.sent:
                continue  # a new socket under that number
            sent += line.sent - before.sent
            received += line.received - before.received
            if line.rtt < line.least_rtt * QUEUE:
                retransmitted += line.retransmitted - before.retransmitted
                disordered += line.disordered - before.disordered
        self._before = dict(lines)
        is_used = sent + received >= max(LEAST_SEGMENTS, IDLE_SEGMENTS * len(lines))
        is_lossy = sent >= LEAST_SEGMENTS and retransmitted >= sent * LOSS
        is_lossy |= received >= LEAST_SEGMENTS and disordered >= received * DISORDER
        self.wanted = self._decide(now, is_lossy=is_lossy, is_used=is_used)
        return self.wanted

    def _decide(self, now: float, *, is_lossy: bool, is_used: bool) -> int:
        if self._used_at is None or is_used:
            self._used_at = now
        if is_lossy:
            self._lossy_at = now
            return min(self.maximum, self.wanted * 2)
        is_quiet = now - self._used_at >= QUIET_SECONDS and now - self._fewer_at >= STEP_SECONDS
        is_calm = now - max(self._lossy_at, self._fewer_at) >= CALM_SECONDS
        if is_quiet or is_calm:
            self._fewer_at = now
            return max(self.minimum, self.wanted // 2)
        return self.wanted
