"""Receiving side of one direction of one stream: what the peer may still send, and when it gets more.

Pure arithmetic over a Budget; the caller passes the time and the round trip. Invariant, checked by
tests/properties/test_session_machine.py: size == credit + unread + owed, and size is reserved in the budget.
"""

from typing import Final

from tunnel.budget import NARROW_WINDOW, WIDE_WINDOW, Budget
from tunnel.errors import LocalProtocolError
from tunnel.frames import KIB

MAX_WINDOW: Final = 8 * KIB * KIB
UNKNOWN_LENGTH: Final = 1 << 62  # larger than any body: arithmetic needs no second case
_PORTIONS: Final = 4  # credit goes back by quarters: a window that is too small still moves most of itself per trip
_GROW_ROUND_TRIPS: Final = 4  # a window holds what is taken in so many: under loss bytes wait for one that comes again
_SHRINK_ROUND_TRIPS: Final = 16  # and much more than that is not needed
_SHRINK_SECONDS: Final = 1.0  # unless it was only a lost segment


class ReceiveWindow:
    """One window. `left` is how many bytes of the body have not arrived yet."""

    __slots__ = (
        "_budget",
        "_consumed",
        "_epoch",
        "_is_closed",
        "_slow_since",
        "credit",
        "left",
        "owed",
        "size",
        "unread",
    )

    def __init__(self, budget: Budget, size: int, left: int) -> None:
        """Own `size` bytes that the caller has already reserved in `budget`."""
        self._budget = budget
        self.size = size
        self.credit = size
        self.left = left
        self.unread = 0  # delivered, not consumed
        self.owed = 0  # consumed, not granted again
        self._consumed = 0  # since _epoch
        self._epoch = 0.0
        self._slow_since: float | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<ReceiveWindow {self.size} credit={self.credit} unread={self.unread} owed={self.owed}>"

    def widen(self, limit: int) -> int:
        """Raise a first window to `limit` or to what the body needs; returns the credit to grant, 0 for none."""
        extra = min(self.left, limit) - self.size
        if extra <= 0 or not self._budget.is_ample or not self._budget.reserve(extra):
            return 0
        self.size += extra
        self.credit += extra
        return extra

    def expect(self, left: int) -> None:
        """Learn the length of the body: credit beyond it can never be used and goes back to the budget."""
        self.left = left
        if self.credit > left:
            self._shrink(self.credit - left)
            self.credit = left

    def receive(self, size: int) -> None:
        """Note `size` delivered bytes; the caller has checked `credit` and `left`."""
        self.credit -= size
        self.left -= size
        self.unread += size

    def consume(self, size: int, now: float, round_trip: float | None) -> int:
        """Note that the consumer took `size` bytes; returns the credit to grant now, 0 for not yet."""
        if size > self.unread:
            raise LocalProtocolError(f"consumed {size} of {self.unread} delivered bytes")
        self.unread -= size
        if self._is_closed:
            self._shrink(size)
            return 0
        self.owed += size
        if self.left <= self.credit:  # what is still to come is granted already
            self._shrink(self.owed)
            self.owed = 0
            return 0
        if not self._consumed:
            self._epoch = now
        self._consumed += size
        if self.owed * _PORTIONS < self.size:
            return 0
        self._adapt(now, round_trip)
        return self._grant()

    def close(self) -> None:
        """Nothing more arrives: keep only what the consumer still has to take."""
        if not self._is_closed:
            self._is_closed = True
            self._shrink(self.size - self.unread)
            self.credit = self.owed = 0

    def abandon(self) -> None:
        """The consumer is gone as well: keep nothing."""
        self.close()
        self._shrink(self.unread)
        self.unread = 0

    def _grant(self) -> int:
        grant = min(self.owed, self.left - self.credit)
        self._shrink(self.owed - grant)
        self.owed = 0
        self.credit += grant
        return grant

    def _adapt(self, now: float, round_trip: float | None) -> None:
        if self._budget.is_short:
            self._withhold(NARROW_WINDOW)
            self._consumed = 0
            return
        elapsed = now - self._epoch
        if round_trip is None or (elapsed < round_trip and self._consumed < self.size):
            return  # bytes come in bursts: less than a round trip says nothing about the rate
        consumed, self._consumed = self._consumed * round_trip, 0  # both sides times `elapsed`, which may be 0
        capacity = self.size * elapsed
        if consumed * _SHRINK_ROUND_TRIPS >= capacity:
            self._slow_since = None
            if consumed * _GROW_ROUND_TRIPS >= capacity:
                self._grow()
            return
        if self._slow_since is None:
            self._slow_since = self._epoch
        if now - self._slow_since > _SHRINK_SECONDS:
            self._withhold(max(WIDE_WINDOW, self.size // 2))

    def _grow(self) -> None:
        extra = min(self.size, MAX_WINDOW - self.size)
        if extra > 0 and self._budget.is_ample and self._budget.reserve(extra):
            self.size += extra
            self.owed += extra

    def _withhold(self, floor: int) -> None:
        cut = min(self.owed, self.size - floor)
        if cut > 0:
            self.owed -= cut
            self._shrink(cut)

    def _shrink(self, size: int) -> None:
        self.size -= size
        self._budget.release(size)
