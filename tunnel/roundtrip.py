"""The round trip of a link, from PING and its ACK (docs/protocol.md §4.8).

Windows grow by the least of the latest samples: a sample taken while the line is full measures the queue, not the line.
"""

from typing import Final

_SAMPLES: Final = 8


class RoundTrip:
    """At most one PING under way; the caller passes the time."""

    __slots__ = ("_count", "_samples", "_sent_at", "latest", "least")

    def __init__(self) -> None:
        self.latest: float | None = None
        self.least: float | None = None  # seconds; None before the first sample
        self._samples: tuple[float, ...] = ()  # a deque takes 760 bytes on each of thousands of links
        self._count = 0
        self._sent_at: float | None = None

    def start(self, now: float) -> bytes:
        """Note that a PING leaves; returns its payload."""
        self._count += 1
        self._sent_at = now
        return self._count.to_bytes(8)

    def finish(self, payload: bytes, now: float) -> None:
        """Note an ACK; one that answers no PING, or an older one, counts for nothing."""
        if self._sent_at is None or payload != self._count.to_bytes(8):
            return
        self.latest = now - self._sent_at
        self._samples = (*self._samples, self.latest)[-_SAMPLES:]
        self.least = min(self._samples)
        self._sent_at = None
