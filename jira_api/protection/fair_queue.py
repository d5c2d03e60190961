"""A short queue that is fair to callers: they take turns, whoever comes with more waits for himself only.

When it is full, a newcomer with fewer requests in it takes the place of the newest one of whoever has most.
"""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Queueable(Protocol):
    """A request that can wait; `caller` names whose it is."""

    @property
    def caller(self) -> bytes:
        """Whose turn it is when this one goes."""


W = TypeVar("W", bound=Queueable)


class FairQueue(Generic[W]):
    """At most `limit` waiters, each caller's in the order of arrival."""

    __slots__ = ("_lanes", "_size", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # The order of the outer dict is whose turn is next; dicts let a waiter leave from the middle.
        self._lanes: dict[bytes, dict[W, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[W]:
        """Iterate over a copy."""
        return iter([waiter for lane in self._lanes.values() for waiter in lane])

    def __repr__(self) -> str:
        return f"<FairQueue {self._size}/{self.limit} of {len(self._lanes)} callers>"

    def push(self, waiter: W) -> W | None:
        """Add a waiter; return the one that has no place any more (perhaps this one), None when there was room."""
        displaced = None
        if self._size >= self.limit:
            displaced = self._displaced_by(waiter)
            if displaced is waiter:
                return waiter
            self.discard(displaced)
        self._lanes.setdefault(waiter.caller, {})[waiter] = None
        self._size += 1
        return displaced

    def discard(self, waiter: W) -> None:
        """Forget a waiter; one that does not wait is fine."""
        lane = self._lanes.get(waiter.caller)
        if lane is None or waiter not in lane:
            return
        del lane[waiter]
        self._size -= 1
        if not lane:
            del self._lanes[waiter.caller]

    def pop(self, may_go: Callable[[W], bool]) -> W | None:
        """Take the next waiter that may go, of the caller whose turn it is; None when none may."""
        for caller, lane in self._lanes.items():
            for waiter in lane:
                if may_go(waiter):
                    del self._lanes[caller]
                    self._lanes[caller] = lane  # behind the others
                    self.discard(waiter)
                    return waiter
        return None

    def _displaced_by(self, newcomer: W) -> W:
        longest = max(self._lanes.values(), key=len, default={newcomer: None})
        own = self._lanes.get(newcomer.caller, {})
        return next(reversed(longest)) if len(longest) > len(own) + 1 else newcomer
