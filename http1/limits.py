"""What one caller may cost, and the account of the sockets that share a listener."""

from dataclasses import dataclass, field
from typing import Protocol

from http1.request_parser import RequestLimits


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one caller's socket. Times in seconds, sizes in bytes."""

    request: RequestLimits = field(default_factory=RequestLimits)
    header_seconds: float = 10.0
    body_idle_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    write_stall_seconds: float = 60.0
    max_connections: int = 10_000
    discard_bytes: int = 256 * 1024  # rest of a body that is read after an early answer so that the socket can stay
    linger_idle_seconds: float = 5.0
    linger_seconds: float = 30.0
    linger_bytes: int = 64 * 1024 * 1024


class OpenSocket(Protocol):
    """What the account needs of a socket."""

    def close_when_idle(self) -> None:
        """Close now when no request is under way."""

    def abort(self) -> None:
        """Close now, whatever is under way."""


class OpenSockets:
    """The sockets of one listener: how many there are, how many were turned away, and how they all end."""

    def __init__(self) -> None:
        self.open: set[OpenSocket] = set()
        self.refused = 0
        self.draining = False

    def admit(self, socket: OpenSocket, limit: int) -> bool:
        """Take a socket into the account; False when it must close at once."""
        if self.draining or len(self.open) >= limit:
            self.refused += 1
            return False
        self.open.add(socket)
        return True

    def drain(self) -> None:
        """Close what is idle; every answer from now on is the last one of its socket."""
        self.draining = True
        for socket in list(self.open):
            socket.close_when_idle()

    def abort(self) -> None:
        """Close everything now."""
        for socket in list(self.open):
            socket.abort()
