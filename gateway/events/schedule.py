"""When a delivery is tried again, and when no more: the outcome of an attempt in, a decision out. Pure.

The schedule is the example of Standard Webhooks 1.0: ten attempts in about 75 hours. A subscriber that says
`Retry-After` is believed when it asks for later, and never for sooner.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, NamedTuple

from gateway.store import State

DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long to wait after the first failure, after the second, and so on; after one more the delivery is dead."""

JITTER: Final = 0.1
MAX_RETRY_AFTER: Final = timedelta(hours=24)
_LONGEST: Final = 64  # characters of a Retry-After that are looked at
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt. `status` is that of a whole answer; `error` is None only when that was a 2xx.

    `retry_after` is what the subscriber said, as it said it.
    """

    status: int | None
    error: str | None
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the subscriber has it."""
        return self.error is None

    @property
    def is_gone(self) -> bool:
        """Whether the subscriber wants no more events at all (410)."""
        return self.status == HTTPStatus.GONE


class Decision(NamedTuple):
    """What the delivery is from now on; `next_at` only while it is pending, `settled_at` only when it is not."""

    state: State
    attempts: int
    next_at: datetime | None
    settled_at: datetime | None


def next_attempt(attempts: int, outcome: Attempt, now: datetime, dice: Callable[[], float]) -> Decision:
    """Decide after an attempt that ended `now`.

    `attempts` were made before it; `dice` returns a number from 0 to 1.
    """
    made = attempts + 1
    if outcome.is_success:
        return Decision(State.DELIVERED, made, None, now)
    if outcome.is_gone or made > len(DELAYS):
        return Decision(State.DEAD, made, None, now)
    delay = DELAYS[attempts] * (1 + JITTER * (2 * dice() - 1))
    asked = None if outcome.retry_after is None else wait_asked_for(outcome.retry_after, now)
    wait = delay if asked is None else max(delay, asked)
    return Decision(State.PENDING, made, _rounded_up(now + wait), None)


def wait_asked_for(retry_after: str, now: datetime) -> timedelta | None:
    """Return how long a `Retry-After` asks to wait (RFC 9110 section 10.2.3), at most a day; None: it says nothing."""
    text = retry_after.strip()
    if not text or len(text) > _LONGEST or not text.isascii():
        return None
    if text.isdigit():
        return min(timedelta(seconds=min(int(text), 10**9)), MAX_RETRY_AFTER)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return max(timedelta(0), min(when - now, MAX_RETRY_AFTER))


def _rounded_up(moment: datetime) -> datetime:
    """Return a moment that the store keeps whole: it cuts to milliseconds, which would be sooner."""
    excess = moment.microsecond % 1000
    return moment if not excess else moment + _MILLISECOND - timedelta(microseconds=excess)
