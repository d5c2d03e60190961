"""Turn the bytes of an upstream server into one response at a time, trusting nothing (docs/facts.md L12).

Pure: bytes in, callbacks out. Interim responses (1xx) are skipped and counted. An answer without framing ends with
the stream and is accepted as STREAMED; the socket is then over.
"""

from typing import Final, Protocol

from http1.bodies import NO_TRAILERS, BodyReader, BodyUntilEof, reader_for
from http1.errors import MalformedMessage
from http1.fields import Framing
from http1.grammar import STATUS_LINE
from http1.head_reader import HeadBuffer, sort_names, split_fields
from http1.messages import NO_BODY, STREAMED, Headers, ResponseHead

MAX_INTERIM: Final = 16
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 256


class ResponseSink(Protocol):
    """Who receives what the parser found. `on_body_end` comes exactly once per response, also when there is no body."""

    def on_head(self, head: ResponseHead) -> None:
        """A final response begins."""

    def on_body(self, data: bytes) -> None:
        """Bytes of its body (never empty)."""

    def on_body_end(self, trailers: Headers) -> None:
        """The response is complete."""


class ResponseParser:
    """The receiving half of one socket towards an upstream server."""

    __slots__ = ("_body", "_head", "_interim", "_method", "_sink", "expecting", "surplus")

    def __init__(self, sink: ResponseSink) -> None:
        self._sink = sink
        self._head = HeadBuffer()
        self._body: BodyReader | None = None
        self._method = b""
        self._interim = 0
        self.expecting = False  # a response is due or under way
        self.surplus = False  # bytes came that belong to no response: the socket must not be reused

    @property
    def has_begun(self) -> bool:
        """Some bytes of the response due have come."""
        return self.expecting and (self._body is not None or self._interim > 0 or len(self._head) > 0)

    def expect(self, method: bytes) -> None:
        """Await the response to a request with this method."""
        self._method = method
        self._interim = 0
        self.expecting = True

    def feed(self, data: bytes) -> None:
        """Take bytes. Raises MalformedMessage; after that the parser must not be used again."""
        rest = data
        while rest:
            if not self.expecting:
                self.surplus = True
                return
            rest = self._feed_head(rest) if self._body is None else self._feed_body(self._body, rest)

    def feed_eof(self) -> None:
        """The stream ended. Raises MalformedMessage when a response was due and is not complete."""
        if isinstance(self._body, BodyUntilEof):
            self._finish(NO_TRAILERS)
        elif self.expecting:
            raise MalformedMessage("the answer was cut short" if self.has_begun else "no answer came")

    def _feed_head(self, data: bytes) -> bytes:
        found = self._head.take(data)
        if found is None:
            self._judge_unfinished()
            return b""
        head, rest = found
        response = self._parse_head(head)
        if response is None:
            return rest
        self._sink.on_head(response)
        if self._body is None:
            self.surplus = bool(rest)
            self._finish(NO_TRAILERS)
            return b""
        return rest

    def _feed_body(self, reader: BodyReader, data: bytes) -> bytes:
        content, rest = reader.decode(data)
        if content:
            self._sink.on_body(content)
        if rest is not None:
            self.surplus = bool(rest)
            self._finish(reader.trailers)
        return b""

    def _finish(self, trailers: Headers) -> None:
        self._body = None
        self.expecting = False
        self._sink.on_body_end(trailers)

    def _judge_unfinished(self) -> None:
        begun = self._head.unfinished
        if len(begun) > MAX_HEAD_BYTES:
            raise MalformedMessage("the head of the answer is too long")
        if not b"HTTP/1.".startswith(begun[:7]) or begun.find(b"\0", self._head.searched) >= 0:
            raise MalformedMessage("the answer is not HTTP/1.1")

    def _parse_head(self, head: bytes) -> ResponseHead | None:
        """Parse one head; None for an interim response."""
        line = STATUS_LINE.match(head)
        if line is None or len(head) > MAX_HEAD_BYTES:
            raise MalformedMessage("the answer is not HTTP/1.1, or its head is too long")
        minor, digits = line.groups()
        status = int(digits)
        if status < 200:
            self._count_interim(status)
        fields = split_fields(head[line.end() : -2])
        sorting = sort_names(tuple([field[0] for field in fields]))
        framing = Framing()
        for index, name in sorting.special:
            framing.add(name, fields[index][1])
        headers = fields if sorting.kept is None else [fields[index] for index in sorting.kept]
        if len(headers) > MAX_FIELDS:
            raise MalformedMessage("the answer has too many header fields")
        return None if status < 200 else self._response(status, headers, framing, http_1_0=minor == b"0")

    def _count_interim(self, status: int) -> None:
        self._interim += 1
        if status == 101 or self._interim > MAX_INTERIM:
            raise MalformedMessage(
                "the server switched protocols unasked" if status == 101 else "too many interim answers"
            )

    def _response(self, status: int, headers: Headers, framing: Framing, *, http_1_0: bool) -> ResponseHead:
        body = framing.body(http_1_0=http_1_0)
        if status == 204 and (body == STREAMED or body > 0):
            raise MalformedMessage("an answer with status 204 has no body")
        if framing.connection and framing.names_fields:
            headers = framing.drop_named(headers)
        keep_alive = framing.keeps_alive(http_1_0=http_1_0)
        if status in {204, 304}:
            return ResponseHead(status, headers, NO_BODY, keep_alive)
        if self._method == b"HEAD":
            return ResponseHead(status, headers, body, keep_alive)
        if body == NO_BODY:
            self._body = BodyUntilEof()
            return ResponseHead(status, headers, STREAMED, keep_alive=False)
        self._body = reader_for(body)
        return ResponseHead(status, headers, body, keep_alive)
