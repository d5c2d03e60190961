"""The bytes that all windows of a process may hold together (docs/protocol.md §5).

One object per process, shared by its sessions. Every window is reserved here before it is granted,
so what peers can make us hold is bounded by `total_bytes`, whatever the number of links and streams.
"""

from typing import Final

from tunnel.errors import LocalProtocolError
from tunnel.frames import KIB

WIDE_WINDOW: Final = 256 * KIB
PLAIN_WINDOW: Final = 64 * KIB
NARROW_WINDOW: Final = 16 * KIB
DEFAULT_BUDGET: Final = 48 * KIB * KIB


class Budget:
    """Counts reserved bytes and says how large a new window may be."""

    __slots__ = ("granted", "total_bytes")

    def __init__(self, total_bytes: int = DEFAULT_BUDGET) -> None:
        self.total_bytes = total_bytes
        self.granted = 0

    def __repr__(self) -> str:
        return f"<Budget {self.granted}/{self.total_bytes}>"

    @property
    def is_ample(self) -> bool:
        """Less than half is granted: windows may be wide, and grow."""
        return self.granted * 2 < self.total_bytes

    @property
    def is_short(self) -> bool:
        """More than three quarters are granted: windows shrink."""
        return self.granted * 4 > self.total_bytes * 3

    def reserve(self, size: int) -> bool:
        """Take exactly `size` bytes, or nothing."""
        if self.granted + size > self.total_bytes:
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
