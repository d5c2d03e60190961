"""Error codes of the wire and the exceptions of the tunnel.

The tree: TunnelError <- LocalProtocolError (our bug), RemoteProtocolError (the peer's; the link closes),
StreamRefused (this stream cannot be opened now), LinkClosed (the link is gone, with the reason).
Fields are data; the text is for people and nothing branches on it (docs/protocol.md §9).
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class ErrorCode(IntEnum):
    """Why a stream or a link ended (docs/protocol.md §9)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL = 2
    FLOW_CONTROL = 3
    CANCEL = 4
    DEADLINE = 5
    OVERLOADED = 16
    DRAINING = 17
    PAUSED = 18
    POLICY_DENIED = 19
    BAD_REQUEST = 20
    JIRA_UNREACHABLE = 21
    JIRA_TLS = 22
    JIRA_PROTOCOL = 23
    JIRA_TIMEOUT = 24
    JIRA_UNAVAILABLE = 25
    JIRA_LOGIN_REJECTED = 26
    LINK_LOST = 255  # local only


class Progress(IntEnum):
    """How far a request got, as known by whoever reports its end (docs/protocol.md §4.5)."""

    NOT_SENT = 0
    SENT = 1
    ANSWERED = 2


class CloseReason(Enum):
    """Why a link ended; the value is the word for logs and status pages."""

    PEER_CLOSED = "peer closed"
    PEER_WENT_AWAY = "peer went away"  # it had sent GOAWAY first
    PEER_ERROR = "protocol error of the peer"
    NO_HELLO = "no hello in time"
    SILENT = "silent"
    STALLED = "writes stalled"
    WEDGED = "streams get no answer"  # docs/protocol.md §8.1
    ABORTED = "aborted here"


class TunnelError(Exception):
    """Everything that the tunnel raises."""


class LocalProtocolError(TunnelError):
    """Our own code broke the rules of a stream: a bug."""


@dataclass(eq=False)
class RemoteProtocolError(TunnelError):
    """The peer broke docs/protocol.md; the link must close with GOAWAY(code)."""

    code: ErrorCode
    detail: str

    def __str__(self) -> str:
        return f"{self.code.name}: {self.detail}"


@dataclass(eq=False)
class StreamRefused(TunnelError):
    """No stream can be opened: OVERLOADED, DRAINING, BAD_REQUEST (head too large) or LINK_LOST."""

    code: ErrorCode

    def __str__(self) -> str:
        return f"stream refused: {self.code.name}"


@dataclass(eq=False)
class LinkClosed(TunnelError):
    """A link is gone. `retry_after_ms` is what the peer's GOAWAY asked for, 0 when it said nothing."""

    reason: CloseReason
    code: ErrorCode = ErrorCode.NO_ERROR
    detail: str = ""
    retry_after_ms: int = 0

    def __str__(self) -> str:
        return f"link closed: {self.reason.value} ({self.code.name}) {self.detail}".rstrip()
