"""Which fields belong to one hop only, and what the framing fields of a received head mean.

Pure. Two tables decide: HOP_BY_HOP (RFC 9110 section 7.6.1, plus Host and Expect, which this package handles itself)
and NEVER_IN_TRAILERS (RFC 9110 section 6.5.1). Look-alikes with underscores are refused: CGI-style servers read them
as the real ones.
"""

from typing import Final

from http1.errors import MalformedMessage
from http1.grammar import CONTENT_LENGTH, FIELD_LINE
from http1.messages import NO_BODY, STREAMED, Headers

HOP_BY_HOP: Final = frozenset({
    b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip
LOOK_ALIKES: Final = frozenset({b"content_length", b"transfer_encoding"})
SPECIAL: Final = HOP_BY_HOP | LOOK_ALIKES
"""Lower-case names that a parser hands to Framing instead of keeping them."""

NEVER_IN_TRAILERS: Final = HOP_BY_HOP | LOOK_ALIKES | frozenset({
    b"authorization", b"cache-control", b"content-encoding", b"content-range", b"content-type", b"cookie",
    b"location", b"max-forwards", b"pragma", b"range", b"set-cookie", b"tunnel-authorization", b"www-authenticate",
})  # fmt: skip


class Framing:
    """What the hop-by-hop fields of one head said. Fields arrive in order through `add`, lower-case names."""

    __slots__ = ("codings", "connection", "expect", "hosts", "lengths")

    def __init__(self) -> None:
        self.lengths: list[bytes] = []
        self.codings: list[bytes] = []
        self.connection: list[bytes] = []
        self.hosts: list[bytes] = []
        self.expect = False

    def add(self, name: bytes, value: bytes) -> None:
        """Take one field whose lower-case name is in SPECIAL; raises MalformedMessage for a look-alike."""
        if name == b"content-length":
            self.lengths.append(value)
        elif name == b"host":
            self.hosts.append(value)
        elif name == b"connection":
            self.connection += [token.strip(b" \t").lower() for token in value.split(b",")]
        elif name == b"transfer-encoding":
            self.codings.append(value.lower())
        elif name == b"expect":
            self.expect = value.lower() == b"100-continue"
        elif name in LOOK_ALIKES:
            raise MalformedMessage(f"the field {name.decode()} looks like a framing field")

    def body(self, *, http_1_0: bool) -> int:
        """Tell how the body is framed: NO_BODY, STREAMED or its length (RFC 9112 section 6.3).

        Raises MalformedMessage.
        """
        if self.codings:
            self._check_coding(http_1_0=http_1_0)
            return STREAMED
        if not self.lengths:
            return NO_BODY
        if len(self.lengths) > 1 or not CONTENT_LENGTH.fullmatch(self.lengths[0]):
            raise MalformedMessage("Content-Length is repeated or is not a plain number")
        return int(self.lengths[0])

    def _check_coding(self, *, http_1_0: bool) -> None:
        if self.lengths:
            raise MalformedMessage("Content-Length and Transfer-Encoding exclude each other")
        if http_1_0:
            raise MalformedMessage("Transfer-Encoding does not exist in HTTP/1.0")
        if self.codings != [b"chunked"]:
            raise MalformedMessage("Transfer-Encoding must be exactly 'chunked', once")

    def keeps_alive(self, *, http_1_0: bool) -> bool:
        """Say whether the peer means to reuse the socket (RFC 9112 section 9.3)."""
        if b"close" in self.connection:
            return False
        return not http_1_0 or b"keep-alive" in self.connection

    @property
    def names_fields(self) -> bool:
        """Whether Connection names more than what becomes of the socket."""
        return self.connection not in ([b"close"], [b"keep-alive"])

    def drop_named(self, headers: Headers) -> Headers:
        """Leave out the fields that Connection names: they were meant for this hop only."""
        named = set(self.connection)
        return [field for field in headers if field[0].lower() not in named]


def parse_trailers(block: bytes) -> Headers:
    """Read the field lines of a trailer section (`block` without the final empty line); forbidden ones are dropped.

    Raises MalformedMessage for a line that is not a field line.
    """
    trailers: Headers = []
    for line in block.split(b"\r\n"):
        match = FIELD_LINE.fullmatch(line)
        if match is None:
            raise MalformedMessage("a trailer is not a field line")
        trailers.append((match[1], match[2].rstrip(b" \t")))
    return allowed_trailers(trailers)


def allowed_trailers(trailers: Headers) -> Headers:
    """Keep the trailers that may be one: nothing that frames, routes, authenticates or describes the content."""
    return [field for field in trailers if field[0].lower() not in NEVER_IN_TRAILERS]
