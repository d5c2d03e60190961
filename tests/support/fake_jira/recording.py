"""What the stand-in remembers of each request: every raw byte of the head, and the body up to a cap.

Pure data. Times are those of the event loop's monotonic clock, in seconds.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

BODY_CAP = 64 * 1024


@dataclass(slots=True, eq=False)
class RecordedRequest:
    """One request as it arrived, and what became of it."""

    connection: int
    peer: str
    raw_head: bytes
    arrived: float
    method: str = ""
    target: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    mapped_path: str | None = None  # where Tomcat's mapping led, without the context path
    user: str | None = None
    body: bytes = b""  # decoded from its framing, cut at BODY_CAP
    body_size: int = 0
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    completed: bool = False  # the whole request arrived
    status: int | None = None  # of the answer, once its head was written
    answered: bool = False  # the whole answer was handed to the socket
    aborted: bool = False  # the client went away before that
    aborted_at: float | None = None
    ended_at: float | None = None
    hash_body: bool = True
    _hash: Any = field(default_factory=hashlib.sha256)

    def take_body(self, data: bytes) -> None:
        """Account for a piece of the body."""
        self.body_size += len(data)
        if self.hash_body:
            self._hash.update(data)
        room = BODY_CAP - len(self.body)
        if room > 0:
            self.body += data[:room]

    @property
    def body_sha256(self) -> str:
        """Of everything received so far, hexadecimal."""
        return str(self._hash.hexdigest())

    def header(self, name: str) -> bytes | None:
        """The first header of that name, whatever its case."""
        wanted = name.lower().encode()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def header_names(self) -> list[str]:
        """Names as received, in order."""
        return [name.decode("latin-1") for name, _ in self.headers]

    def to_json(self) -> dict[str, Any]:
        """For the control port: bytes as latin-1 text."""
        return {
            "connection": self.connection,
            "peer": self.peer,
            "raw_head": self.raw_head.decode("latin-1"),
            "arrived": self.arrived,
            "method": self.method,
            "target": self.target.decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
            "mapped_path": self.mapped_path,
            "user": self.user,
            "body": self.body.decode("latin-1"),
            "body_size": self.body_size,
            "body_sha256": self.body_sha256,
            "trailers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.trailers],
            "completed": self.completed,
            "status": self.status,
            "answered": self.answered,
            "aborted": self.aborted,
            "aborted_at": self.aborted_at,
            "ended_at": self.ended_at,
        }
