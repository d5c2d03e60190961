"""What one caller may cost, and the account of the sockets that share a listener."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from http1.known_fields import KnownFields
from http1.memory import Memory, Unbounded
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
    idle_give_way: bool = False  # to a newcomer when there are that many, those of who has the most first
    discard_bytes: int = 256 * 1024  # rest of a body that is read after an early answer so that the socket can stay
    linger_idle_seconds: float = 5.0
    linger_seconds: float = 30.0
    linger_bytes: int = 64 * 1024 * 1024


class OpenSocket(Protocol):
    """What the account needs of a socket."""

    @property
    def peer(self) -> str:
        """Whose it is: an address."""

    def give_way(self) -> bool:
        """Close now unless a request is being answered, and say so."""

    def close_when_idle(self) -> None:
        """Close now when no request is under way."""

    def abort(self) -> None:
        """Close now, whatever is under way."""


class OpenSockets:
    """The sockets of one listener: how many there are, how many were turned away, and how they all end."""

    def __init__(self, memory: Memory | None = None) -> None:
        """`memory`: None where nothing large is carried."""
        self.memory: Memory = memory if memory is not None else Unbounded()
        self.open: dict[OpenSocket, None] = {}  # the oldest first
        self.refused = 0
        self.draining = False
        self.last_answers = False  # every answer is the last one of its socket
        self.known = KnownFields()

    def admit(self, socket: OpenSocket, limits: Limits) -> bool:
        """Take a socket into the account; False when it must close at once."""
        is_full = len(self.open) >= limits.max_connections
        if self.draining or (is_full and not (limits.idle_give_way and self._make_room())):
            self.refused += 1
            return False
        self.open[socket] = None
        return True

    def _make_room(self) -> bool:
        """Close the oldest socket that answers nothing, of whoever has the most."""
        count = Counter(socket.peer for socket in self.open)
        for socket in sorted(self.open, key=lambda socket: -count[socket.peer]):
            if socket.give_way():
                del self.open[socket]
                return True
        return False

    def drain(self) -> None:
        """Take nobody in any more and close what is idle; every answer from now on is the last one of its socket."""
        self.draining = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close what is idle; every answer from now on is the last one of its socket."""
        self.last_answers = True
        for socket in list(self.open):
            socket.close_when_idle()

    def abort(self) -> None:
        """Close everything now."""
        for socket in list(self.open):
            socket.abort()
