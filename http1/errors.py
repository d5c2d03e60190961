"""What can go wrong with an HTTP/1.1 message, as types with data.

RequestRejected   a caller's request that may not go further (their fault; answered, then the socket closes)
ClientFailure     a request of ours that got no complete answer (reported to the receiver, never retried here)
MalformedMessage  what the pure parsers raise; the server and the client turn it into one of the two above
UnsendableHead    a head that would not arrive as what it says (our caller's fault; nothing was written)
"""

from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http1.messages import RequestHead


class Rejection(Enum):
    """Why a request was refused before the application saw it."""

    BAD_REQUEST = auto()
    METHOD_NOT_ALLOWED = auto()
    REQUEST_TIMEOUT = auto()
    BODY_TOO_LARGE = auto()
    URI_TOO_LONG = auto()
    HEADERS_TOO_LARGE = auto()
    UNSUPPORTED_CODING = auto()


class FailureKind(Enum):
    """Why there is no complete answer."""

    UNREACHABLE = auto()
    TLS = auto()
    PROTOCOL = auto()
    CLOSED = auto()


class Progress(IntEnum):
    """How far a request got: decides who may try again. The values are those of the tunnel."""

    NOT_SENT = 0
    SENT = 1
    ANSWERED = 2


class Http1Error(Exception):
    """Base of all errors of this package."""


class MalformedMessage(Http1Error):
    """The peer's bytes break the grammar or a limit of HTTP/1.1 (RFC 9112). `reason` is one sentence for humans."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequestRejected(Http1Error):
    """A request that never becomes an exchange. `request` is there when its head was complete and sound."""

    def __init__(self, rejection: Rejection, reason: str, request: "RequestHead | None" = None) -> None:
        super().__init__(reason)
        self.rejection = rejection
        self.reason = reason
        self.request = request


class UnsendableHead(Http1Error):
    """A head with a name, value, method, target or status that cannot be written unambiguously. Nothing was sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClientFailure(Http1Error):
    """No complete answer: what happened, and how far the request got."""

    def __init__(self, kind: FailureKind, progress: Progress, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.progress = progress
        self.reason = reason
