"""How long to wait before the next dial. Pure: the clock and the dice come in as arguments.

Full jitter from the first retry on, because a thousand agents lose a gateway in the same millisecond
(docs/facts.md N1). The ceiling doubles to 8 s during the first ten minutes of an outage, so that service is
back within 15 s of its end, and to 60 s after that. Only a link that lived for a stable minute ends the
outage: a gateway that accepts and then drops must not be dialled in a hot loop. Before its first link a slot dials
sooner: agents do not start in the same millisecond, and a gateway that starts with its agent is there in a second.
"""

from collections.abc import Callable
from dataclasses import dataclass

STARTING_CEILING_SECONDS = 0.25
STARTING_DIALS = 8
FIRST_CEILING_SECONDS = 2.0
CEILING_SECONDS = 8.0
LONG_OUTAGE_SECONDS = 660.0
"""Ten minutes and a margin: the last dial of an outage of ten minutes may take its whole deadline to fail."""
LONG_OUTAGE_CEILING_SECONDS = 60.0
STABLE_SECONDS = 60.0
MAX_RETRY_AFTER_SECONDS = 3600.0
"""A gateway may ask for more, but must not be able to send an agent away for good."""
SLOW_SECONDS = (60.0, 120.0)
"""Range of waits after a refusal that a person has to resolve, such as a rejected certificate."""


@dataclass(slots=True)
class Backoff:
    """The waits of one dialled slot. `dice` returns a float in [0, 1), as random.random does."""

    dice: Callable[[], float]
    failures: int = 0
    outage_began: float | None = None
    opened_at: float | None = None
    early_dials: int = STARTING_DIALS
    """How many more come early: those before the first link, as long as no gateway asks for patience."""

    def opened(self, now: float) -> None:
        """Note that a link came up at `now` (monotonic seconds)."""
        self.opened_at = now
        self.early_dials = 0

    def failed(self, now: float, *, retry_after: float = 0.0) -> float:
        """Return the seconds to wait after a failed dial or a lost link; not less than `retry_after`, up to an hour."""
        if self.early_dials and not retry_after:
            self.early_dials -= 1
            return self.dice() * STARTING_CEILING_SECONDS
        self.early_dials = 0
        self._note_failure(now)
        return min(retry_after, MAX_RETRY_AFTER_SECONDS) + self.dice() * self._ceiling(now)

    def refused(self, now: float, *, retry_after: float = 0.0) -> float:
        """Return the seconds to wait after a refusal that will not end by itself."""
        self._note_failure(now)
        shortest, longest = SLOW_SECONDS
        return max(min(retry_after, MAX_RETRY_AFTER_SECONDS), shortest + self.dice() * (longest - shortest))

    def _note_failure(self, now: float) -> None:
        was_stable = self.opened_at is not None and now - self.opened_at >= STABLE_SECONDS
        if was_stable or self.outage_began is None:
            self.failures = 0
            self.outage_began = now
        self.opened_at = None
        self.failures += 1

    def _ceiling(self, now: float) -> float:
        if self.outage_began is not None and now - self.outage_began >= LONG_OUTAGE_SECONDS:
            cap = LONG_OUTAGE_CEILING_SECONDS
        else:
            cap = CEILING_SECONDS
        # The exponent is bounded so that a year of failures does not build a huge integer.
        return min(cap, FIRST_CEILING_SECONDS * 2.0 ** min(self.failures - 1, 16))
