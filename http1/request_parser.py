"""Turn a caller's bytes into requests, strictly (docs/facts.md H1): what is ambiguous is rejected, never repaired.

Pure: bytes in, callbacks out. One request at a time: behind its end the parser stops and keeps the rest until
`next_request`, so that pipelined requests are handled in order and cost no more than their bytes.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import httptools

from http1.bodies import NO_TRAILERS, BodyReader, reader_for
from http1.errors import MalformedMessage, Rejection, RequestRejected
from http1.grammar import REQUEST_LINE, is_hopeless, is_host, split_absolute_form
from http1.head_reader import FieldLines, HeadBuffer, read_fields
from http1.known_fields import FieldSet, KnownFields
from http1.messages import Headers, RequestHead

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How large a request may be, in bytes and in fields."""

    target_bytes: int = 16 * 1024
    head_bytes: int = 32 * 1024  # all field lines, without the request line
    fields: int = 128
    body_bytes: int = 4 * 1024**3


class RequestSink(Protocol):
    """Who receives what the parser found. `on_body_end` comes exactly once per request, also when there is no body."""

    def on_head(self, head: RequestHead) -> None:
        """A sound request begins."""

    def on_body(self, data: bytes) -> None:
        """Bytes of its body (never empty)."""

    def on_body_end(self, trailers: Headers) -> None:
        """The request is complete."""


class RequestParser:
    """The receiving half of one caller's socket."""

    __slots__ = ("_body", "_body_bytes", "_head", "_known", "_limits", "_rest", "_sink", "request")

    def __init__(self, sink: RequestSink, limits: RequestLimits, known: KnownFields | None = None) -> None:
        """`known`: shared by the sockets of a listener; all that share one have the same limits."""
        self._sink = sink
        self._limits = limits
        self._known = known if known is not None else KnownFields()
        self._head = HeadBuffer()
        self._rest = b""
        self._body: BodyReader | None = None
        self._body_bytes = 0
        self.request: RequestHead | None = None  # set from the head of a request until next_request()

    @property
    def has_begun(self) -> bool:
        """Some bytes of a head came, but not all."""
        return bool(self._head.unfinished)

    @property
    def waiting_bytes(self) -> int:
        """Pipelined bytes that wait for `next_request`."""
        return len(self._rest)

    def feed(self, data: bytes) -> None:
        """Take bytes. Raises RequestRejected; after that the parser must not be used again."""
        if self.request is None:
            self._feed_head(data)
        elif self._body is not None:
            self._feed_body(data)
        else:
            self._rest += data

    def next_request(self) -> None:
        """Go on behind the end of the current request, with the bytes that came meanwhile. Raises RequestRejected."""
        self.request = None
        rest, self._rest = self._rest, b""
        if rest:
            self._feed_head(rest)

    def _feed_head(self, data: bytes) -> None:
        found = self._head.take(data)
        if found is None:
            self._judge_unfinished()
            return
        try:
            head = self._parse_head(found[0])
        except MalformedMessage as error:
            raise RequestRejected(Rejection.BAD_REQUEST, f"Malformed request: {error.reason}.") from None
        self.request = head
        if head.body > self._limits.body_bytes:
            raise self._too_large()
        self._body_bytes = 0
        self._body = reader_for(head.body)
        self._sink.on_head(head)
        if self._body is None:
            self._rest = found[1]
            self._sink.on_body_end(NO_TRAILERS)
        elif found[1]:
            self._feed_body(found[1])

    def _feed_body(self, data: bytes) -> None:
        reader = self._body
        if reader is None:  # pragma: no cover - feed() and _feed_head() call this only with a reader
            return
        try:
            content, rest = reader.decode(data)
        except MalformedMessage as error:
            raise RequestRejected(Rejection.BAD_REQUEST, f"Malformed request: {error.reason}.", self.request) from None
        self._body_bytes += len(content)
        if self._body_bytes > self._limits.body_bytes:
            raise self._too_large()
        if rest is not None:
            self._body = None
            self._rest = rest
        if content:
            self._sink.on_body(content)
        if rest is not None:
            self._sink.on_body_end(reader.trailers)

    def _judge_unfinished(self) -> None:
        """Refuse a head early when it is too long already or cannot become a sound one."""
        begun = self._head.unfinished
        line_end = begun.find(b"\r\n")
        line = line_end if line_end >= 0 else len(begun)
        if is_hopeless(begun, self._head.searched):
            raise RequestRejected(Rejection.BAD_REQUEST, "Malformed request: this is not HTTP/1.1.")
        if line > self._limits.target_bytes + 32:
            raise _uri_too_long()
        if len(begun) - line > self._limits.head_bytes:
            raise _headers_too_large()

    def _parse_head(self, head: bytes) -> RequestHead:
        line = REQUEST_LINE.match(head)
        if line is None:
            raise MalformedMessage("the request line is not one of HTTP/1.1 or HTTP/1.0")
        method, target, version = line.groups()
        if version not in {b"1.1", b"1.0"}:
            raise MalformedMessage("the request line is not one of HTTP/1.1 or HTTP/1.0")
        if method not in METHODS:
            raise RequestRejected(
                Rejection.METHOD_NOT_ALLOWED,
                "This method is not served: use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.",
            )
        if len(target) > self._limits.target_bytes:
            raise _uri_too_long()
        is_old = version == b"1.0"
        block = head[line.end() :]
        fields = None if is_old else self._known.find(block)
        if fields is None:
            fields = self._read_fields(head, len(block), http_1_0=is_old)
            if not is_old:
                self._known.keep(block, fields)
        host = fields.host
        if target[:1] != b"/":
            target, host = _of_absolute_form(target)
        return RequestHead(
            method, target, fields.headers, fields.body, fields.keeps_alive, fields.expects, is_old, host, fields
        )

    def _read_fields(self, head: bytes, size: int, *, http_1_0: bool) -> FieldSet:
        if size > self._limits.head_bytes:
            raise _headers_too_large()
        lines = read_fields(head, httptools.HttpRequestParser)
        if len(lines.headers) > self._limits.fields:
            raise _headers_too_large()
        return _judge(lines, http_1_0=http_1_0)

    def _too_large(self) -> RequestRejected:
        reason = f"The body is longer than the {self._limits.body_bytes} bytes allowed."
        return RequestRejected(Rejection.BODY_TOO_LARGE, reason, self.request)


def _judge(lines: FieldLines, *, http_1_0: bool) -> FieldSet:
    """Say what the field lines of a request mean, whatever its method and target."""
    framing = lines.framing
    if any(coding != b"chunked" for coding in framing.codings) and not (http_1_0 or framing.lengths):
        raise RequestRejected(Rejection.UNSUPPORTED_CODING, "The only transfer coding understood is 'chunked'.")
    body = framing.body(http_1_0=http_1_0)
    host = _host(framing.hosts, http_1_0=http_1_0)
    headers = framing.drop_named(lines.headers) if framing.connection else lines.headers
    expects = framing.expect and not http_1_0 and body not in {0, -2}
    return FieldSet(headers, body, host, keeps_alive=framing.keeps_alive(http_1_0=http_1_0), expects=expects)


def _host(hosts: list[bytes], *, http_1_0: bool) -> bytes:
    if len(hosts) > 1 or (not hosts and not http_1_0):
        raise MalformedMessage("exactly one Host is needed")
    host = hosts[0] if hosts else b""
    if hosts and not is_host(host):
        raise MalformedMessage("Host is not a host name with an optional port")
    return host


def _of_absolute_form(target: bytes) -> tuple[bytes, bytes]:
    """Return (origin-form target, host): the authority of the target replaces Host (RFC 9112 section 3.2.2)."""
    absolute = split_absolute_form(target)
    if absolute is None or not is_host(absolute[0]):
        raise MalformedMessage("the request target is neither a path nor an http URL")
    return absolute[1], absolute[0]


def _uri_too_long() -> RequestRejected:
    return RequestRejected(Rejection.URI_TOO_LONG, "The request target is too long.")


def _headers_too_large() -> RequestRejected:
    return RequestRejected(Rejection.HEADERS_TOO_LARGE, "The header fields are too many or too long.")
