"""How many requests are in flight to Jira, and the short queue before it. Pure and synchronous.

Jira's own thread pool is finite: what exceeds `limit` waits in a first-in-first-out queue of
`queue_limit`, and what exceeds that is refused at once, so that the gateway may replay it elsewhere
(nothing of it reached Jira). How long a waiter waits is its own deadline: it leaves the queue by `leave`.
"""

from enum import Enum, auto
from typing import Protocol

QUEUE_LIMIT = 256


class Admission(Enum):
    """What became of a request that asked for a place."""

    ADMITTED = auto()
    QUEUED = auto()
    REFUSED = auto()


class Waiter(Protocol):
    """A request in the queue; `admitted` is called once, when its turn has come."""

    def admitted(self) -> None:
        """Go on: a place is yours until you call `Limiter.release`."""


class Limiter:
    """The places towards one Jira."""

    __slots__ = ("_waiting", "in_flight", "limit", "queue_limit")

    def __init__(self, limit: int, queue_limit: int = QUEUE_LIMIT) -> None:
        self.limit = limit
        self.queue_limit = queue_limit
        self.in_flight = 0
        # A dict keeps the order of arrival and lets a waiter leave from the middle in constant time.
        self._waiting: dict[Waiter, None] = {}

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    def enter(self, waiter: Waiter) -> Admission:
        """Ask for a place; on QUEUED `waiter.admitted()` is called later."""
        if self.in_flight < self.limit:
            self.in_flight += 1
            return Admission.ADMITTED
        if len(self._waiting) >= self.queue_limit:
            return Admission.REFUSED
        self._waiting[waiter] = None
        return Admission.QUEUED

    def leave(self, waiter: Waiter) -> None:
        """Give up waiting."""
        self._waiting.pop(waiter, None)

    def release(self) -> None:
        """Give a place back; it goes to the longest waiter at once."""
        if self._waiting:
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            waiter.admitted()
        else:
            self.in_flight -= 1

    def __repr__(self) -> str:
        return f"<Limiter {self.in_flight}/{self.limit} waiting {len(self._waiting)}/{self.queue_limit}>"
