"""The heads of HTTP/1.1 messages, and the one int that says how a body is framed.

Knows nothing of sockets or parsers. Framing and hop-by-hop fields never appear in `headers`: the parsers consume them
and the encoders write them again from `body`, so no field of one hop can leak into the next.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from http1.known_fields import FieldSet

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Field lines in order of arrival: names as received (case kept), values without outer whitespace, repeats kept."""

NO_BODY: Final = -2
"""`body`: the message has no body and no framing fields."""

STREAMED: Final = -1
"""`body`: the length is unknown until the end (chunked, or ended by the close of the socket)."""


@dataclass(slots=True)
class RequestHead:
    """The head of a request.

    `target` is always in origin-form, byte for byte as received; `host` is not in `headers`. With `fields`, `headers`
    are those of a set that other requests have too, and must not be changed.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: int
    keep_alive: bool = True
    expect_continue: bool = False
    http_1_0: bool = False
    host: bytes = b""
    fields: "FieldSet | None" = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class ResponseHead:
    """The head of a final response (1xx never reach anyone)."""

    status: int
    headers: Headers
    body: int
    keep_alive: bool = True
