"""The messages by which an agent measures its line to a gateway (docs/protocol.md §12). Pure; no link, no session.

Owns their form and their bounds. Who may ask, and how often, is the gateway's business; what the figures mean is the
agent's.
"""

import json
from dataclasses import asdict, dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

PATH: Final = "/probe/v1"
BALLAST_BYTES: Final = 16 * 1024
MAX_ECHO_BYTES: Final = 64
MAX_ECHOES: Final = 32
MAX_SECONDS: Final = 5.0
MAX_BYTES: Final = 64 * 1024 * 1024
VISIT_SECONDS: Final = 25.0
_MAX_WELCOME: Final = 4096
_MAX_TEXT: Final = 100
_DONE: Final = Struct(">BQQ")


class Kind(IntEnum):
    """The first byte of a binary message."""

    ECHO = 1
    SEND = 2
    BALLAST = 3
    DONE = 4


class ProbeRejected(Exception):
    """The peer's message is none of docs/protocol.md §12, or one too many."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a gateway says first: its clock (milliseconds since 1970), who it is, how its end of the socket sends."""

    time: int
    software: str
    congestion: str

    def to_json(self) -> str:
        """Return the text message."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, message: bytes | str) -> "Welcome":
        """Read the text message; unknown keys are ignored.

        Raises:
            ProbeRejected: it is something else.
        """
        if isinstance(message, bytes) or len(message) > _MAX_WELCOME:
            raise ProbeRejected("it does not begin with a welcome")
        try:
            fields = json.loads(message)
        except (ValueError, RecursionError):
            raise ProbeRejected("its welcome is no JSON") from None
        time = fields.get("time") if isinstance(fields, dict) else None
        if type(time) is not int or not 0 <= time < 1 << 53:
            raise ProbeRejected("its welcome tells no time")
        return cls(time, _text(fields.get("software")), _text(fields.get("congestion")))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many bytes arrived, and in how many seconds from the first message to the last."""

    size: int
    seconds: float

    @property
    def bits_per_second(self) -> float:
        """The rate; 0 when nothing was measured."""
        return self.size * 8 / self.seconds if self.seconds > 0 else 0.0

    def to_bytes(self) -> bytes:
        """Return the message DONE."""
        return _DONE.pack(Kind.DONE, self.size, round(self.seconds * 1e6))

    @classmethod
    def from_bytes(cls, message: bytes | str) -> "Tally":
        """Read the message DONE; raises ProbeRejected."""
        if not isinstance(message, bytes) or len(message) != _DONE.size or message[0] != Kind.DONE:
            raise ProbeRejected("it does not end with a tally")
        _, count, microseconds = _DONE.unpack(message)
        return cls(count, microseconds / 1e6)


def read_kind(message: bytes | str) -> Kind:
    """Return what an agent's message is.

    Raises:
        ProbeRejected: it is of no known kind, or not of that kind's size.
    """
    if not isinstance(message, bytes) or not message:
        raise ProbeRejected("a text or empty message")
    try:
        kind = Kind(message[0])
    except ValueError:
        raise ProbeRejected("an unknown kind of message") from None
    size = len(message)
    fits = {
        Kind.ECHO: size <= 1 + MAX_ECHO_BYTES,
        Kind.SEND: size == 1,
        Kind.BALLAST: size == BALLAST_BYTES,  # exactly: many small ones would cost more than they measure
        Kind.DONE: size == 1,
    }
    if not fits[kind]:
        raise ProbeRejected("a message of a wrong size")
    return kind


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _MAX_TEXT and value.isprintable() else ""
