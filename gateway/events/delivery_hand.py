"""The deliveries of one trigger that are in memory: waiting, under way, or settled a moment ago. Pure.

Nothing is in hand twice. What was settled is remembered for longer than a look at the store takes, because one that
began before shows it as it was.
"""

from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from gateway.events.delivery_room import Room, size_of
from gateway.store import Delivery

MAX_WAITING: Final = 256
MAX_WAITING_BYTES: Final = 4 << 20
REMEMBERED: Final = timedelta(seconds=30)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_Version: TypeAlias = tuple[int, int]


class Hand:
    """What a worker has in hand; one that was sent is under way until its outcome is durable."""

    def __init__(self, room: Room) -> None:
        self.under_way = 0
        self._room = room
        self._all: dict[int, Delivery] = {}  # waiting and under way
        self._waiting: deque[Delivery] = deque()
        self._waiting_bytes = 0
        self._settled: dict[int, tuple[_Version, datetime]] = {}  # as it was taken, and when it was settled

    def __repr__(self) -> str:
        return f"<Hand {self.under_way} under way, {self.waiting} waiting>"

    def __len__(self) -> int:
        return len(self._all)

    @property
    def waiting(self) -> int:
        """How many are not begun."""
        return len(self._waiting)

    @property
    def numbers(self) -> Collection[int]:
        """The numbers of all that are in hand."""
        return self._all.keys()

    @property
    def issues(self) -> set[str | None]:
        """The issues of all that are in hand."""
        return {issue_of(delivery) for delivery in self._all.values()} - {None}

    def is_new(self, delivery: Delivery) -> bool:
        """Say whether it is not in hand, and not what the store showed before it was settled."""
        if delivery.number in self._all:
            return False
        settled = self._settled.get(delivery.number)
        return settled is None or settled[0] != _version(delivery)

    def take(self, delivery: Delivery) -> bool:
        """Take a new delivery; False when there is no room. There always is for the first one."""
        size, is_first = size_of(delivery), not self._all
        if len(self._waiting) >= MAX_WAITING or (self._waiting_bytes + size > MAX_WAITING_BYTES and not is_first):
            return False
        if not self._room.take(size, at_any_rate=is_first):
            return False
        self._all[delivery.number] = delivery
        self._waiting.append(delivery)
        self._waiting_bytes += size
        return True

    def begin(self) -> Delivery:
        """Return the one that waited longest; it is under way now."""
        delivery = self._waiting.popleft()
        self._waiting_bytes -= size_of(delivery)
        self.under_way += 1
        return delivery

    def settle(self, delivery: Delivery, now: datetime) -> None:
        """Forget one whose outcome is durable, but for what a look at the store may still show of it for a moment."""
        self.under_way -= 1
        self._leave(delivery)
        self._settled.pop(delivery.number, None)
        self._settled[delivery.number] = (_version(delivery), now)
        while True:
            number, (_, settled_at) = next(iter(self._settled.items()))
            if now - settled_at < REMEMBERED:
                return
            del self._settled[number]

    def drop_waiting(self) -> bool:
        """Let go of what is not begun; say whether there was anything."""
        dropped = bool(self._waiting)
        for delivery in self._waiting:
            self._leave(delivery)
        self._waiting.clear()
        self._waiting_bytes = 0
        return dropped

    def drop_all(self) -> None:
        """Let go of everything; what is under way is abandoned."""
        for delivery in list(self._all.values()):
            self._leave(delivery)
        self._waiting.clear()
        self._waiting_bytes = self.under_way = 0

    def _leave(self, delivery: Delivery) -> None:
        del self._all[delivery.number]
        self._room.give_back(size_of(delivery))


def issue_of(delivery: Delivery) -> str | None:
    """Return the issue by which deliveries are put in order."""
    return delivery.event.issue_id or delivery.event.issue_key


def _version(delivery: Delivery) -> _Version:
    """Return what tells a delivery that was made due again from the one that was in hand, as the store keeps it."""
    moment = delivery.next_at
    return delivery.attempts, 0 if moment is None else (moment - _EPOCH) // _MILLISECOND
