"""What has gone over one link, or over several: sums that outlive their links. Pure."""

from dataclasses import dataclass

LANES = ("control", "head", "small", "bulk", "blocked")
"""Where bytes wait to be sent (docs/protocol.md §7); blocked: their stream has no credit."""


@dataclass(slots=True)
class Traffic:
    """Bytes of messages in both directions, and for how long streams had bytes to send and no credit, in seconds."""

    received_bytes: int = 0
    sent_bytes: int = 0
    blocked_seconds: float = 0.0

    def add(self, other: "Traffic") -> None:
        """Add what another link carried."""
        self.received_bytes += other.received_bytes
        self.sent_bytes += other.sent_bytes
        self.blocked_seconds += other.blocked_seconds
