"""The bytes that bodies of a process may hold together (docs/protocol.md §5).

One object per process, shared by its sessions and sockets. Every window is reserved here before it is granted, and what
waits to be sent is counted here, so what peers can make us hold is bounded by `total_bytes`, whatever the number of
links and streams: the fuller it is, the less of one stream may wait.
"""

from typing import Final

from tunnel.errors import LocalProtocolError
from tunnel.frames import KIB

WIDE_WINDOW: Final = 256 * KIB
PLAIN_WINDOW: Final = 64 * KIB
NARROW_WINDOW: Final = 16 * KIB
DEFAULT_BUDGET: Final = 48 * KIB * KIB
HIGH_WATER: Final = 128 * KIB
"""What may wait of one stream while there is plenty."""


class Budget:
    """Counts bytes, and says how large a new window may be and how much of a stream may wait."""

    __slots__ = ("granted", "total_bytes", "waiting")

    def __init__(self, total_bytes: int = DEFAULT_BUDGET) -> None:
        self.total_bytes = total_bytes
        self.granted = 0  # by windows: what peers may send, and what they sent and was not consumed
        self.waiting = 0  # that were taken in otherwise and wait to be sent; whoever holds them counts them here

    def __repr__(self) -> str:
        return f"<Budget {self.granted}+{self.waiting}/{self.total_bytes}>"

    @property
    def is_ample(self) -> bool:
        """Less than half is held: windows may be wide, and grow."""
        return (self.granted + self.waiting) * 2 < self.total_bytes

    @property
    def is_short(self) -> bool:
        """More than three quarters are held: windows shrink, and little is read at a time."""
        return (self.granted + self.waiting) * 4 > self.total_bytes * 3

    @property
    def high_water(self) -> int:
        """What may wait of one stream before its source is to stop; at half of it, the source may go on."""
        if self.is_ample:
            return HIGH_WATER
        return NARROW_WINDOW if self.is_short else PLAIN_WINDOW

    def reserve(self, size: int) -> bool:
        """Take exactly `size` bytes, or nothing; no bytes can always be taken."""
        if size and self.granted + self.waiting + size > self.total_bytes:
            return False
        self.granted += size
        return True

    def reserve_window(self, limit: int) -> int | None:
        """Take a first window of at most `limit` bytes, as wide as there is room for; None when there is none."""
        size = min(limit, self._first_window())
        return size if self.reserve(size) else None

    def _first_window(self) -> int:
        if self.is_ample:
            return WIDE_WINDOW
        return NARROW_WINDOW if self.is_short else PLAIN_WINDOW

    def release(self, size: int) -> None:
        """Give back `size` bytes."""
        if size > self.granted:
            raise LocalProtocolError(f"released {size} of {self.granted} granted bytes")
        self.granted -= size
