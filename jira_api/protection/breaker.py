"""Whether a Jira is there at all: after several hangs or refusals in a row nothing is sent until a probe succeeds.

The probe is not a caller's request: whoever owns the breaker asks Jira itself when `on_doubt` is called, and reports
what it found. An answer to a request that was under way closes the breaker too.
"""

from collections.abc import Callable
from typing import Final

FAILURES_TO_OPEN: Final = 5
SPAN_SECONDS: Final = 1.0  # a restart that everybody hits in the same moment is over before it is worth a breaker
HANG_SECONDS: Final = 1.0  # whoever waited less cannot say that Jira hangs


class Breaker:
    """Open (nothing passes) since `opened_at` (clock time) because of `reason`, or closed: both None."""

    __slots__ = ("_clock", "_failures", "_first_began_at", "on_doubt", "opened_at", "reason")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._first_began_at = 0.0
        self.opened_at: float | None = None
        self.reason: str | None = None
        self.on_doubt: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<Breaker {'closed' if self.reason is None else 'open'} failures={self._failures}>"

    def answered(self) -> None:
        """Note a sign of life."""
        if self._failures or self.reason is not None:
            self._failures = 0
            self.opened_at = self.reason = None

    def failed(self, began_at: float, reason: str) -> bool:
        """Note a hang or a refusal of a request that began at `began_at`; return whether this opens the breaker."""
        if not self._failures or began_at < self._first_began_at:
            self._first_began_at = began_at
        self._failures += 1
        spans = self._clock() - self._first_began_at
        if self.reason is not None or self._failures < FAILURES_TO_OPEN or spans < SPAN_SECONDS:
            return False
        return self.open(reason)

    def open(self, reason: str) -> bool:
        """Open, or keep open for this reason; return whether it was closed."""
        was_closed = self.reason is None
        self.reason = reason
        if was_closed:
            self.opened_at = self._clock()
            self.on_doubt()
        return was_closed
