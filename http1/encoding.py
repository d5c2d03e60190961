"""Write heads and chunks. Whatever the lists contain, the bytes mean exactly what the head says.

Pure. Names, values and targets reach this code from the other end of a tunnel, so each is checked again here: a line
end inside a value, or a framing field in the list, would let one request become two.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from http1.errors import UnsendableHead
from http1.fields import HOP_BY_HOP, LOOK_ALIKES, allowed_trailers
from http1.grammar import TOKEN
from http1.messages import NO_BODY, STREAMED, Headers, RequestHead

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

_TARGET: Final = re.compile(rb"/[\x21-\x7e]*")
_PLAIN: Final = bytes(
    [0x09, *range(0x20, 0x7F), *range(0x80, 0x100)]
)  # what a field value may hold (RFC 9110 section 5.5)
_STATUS_LINES: Final[dict[int, bytes]] = {
    int(status): b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())
    for status in HTTPStatus
    if status >= 200
}
_MAX_KNOWN_NAMES: Final = 1024
_MAX_KNOWN_LENGTH: Final = 64  # a server may make up names of 64 KiB
_known_names: set[bytes] = set()  # names that passed _check_name before: nearly all that ever come


def encode_request(head: RequestHead, host: bytes) -> bytes:
    """Return the head of a request with Host and framing. Raises UnsendableHead."""
    if not TOKEN.fullmatch(head.method) or not _TARGET.fullmatch(head.target):
        raise UnsendableHead("the method or the target cannot be sent")
    fields = head.fields
    if fields is None:
        lines = _field_lines(head.headers)
    elif fields.lines is None:
        lines = fields.lines = _field_lines(fields.headers)
    else:
        lines = fields.lines
    framing = b""
    if head.body >= 0:
        framing = b"Content-Length: %d\r\n" % head.body
    elif head.body == STREAMED:
        framing = b"Transfer-Encoding: chunked\r\n"
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n" % (head.method, head.target, host, lines, framing)


def encode_response(status: int, headers: Headers, framing: list[bytes]) -> bytes:
    """Return the head of a response; `framing` is the framing and connection field lines. Raises UnsendableHead."""
    line = _STATUS_LINES.get(status)
    if line is None:
        if not 200 <= status <= 599:
            raise UnsendableHead(f"{status} is not the status of an answer")
        line = b"HTTP/1.1 %d " % status
    lines = [line]
    _add_fields(lines, headers)
    lines += framing
    return _join(lines)


def response_framing(body: int, *, bodyless: bool, http_1_0: bool) -> list[bytes]:
    """Return the framing field lines of an answer.

    `bodyless`: the answer to HEAD, where only a known length is told (RFC 9110 section 8.6). STREAMED on HTTP/1.0 has
    no field: the end of the stream is the end of the body.
    """
    if body >= 0:
        return [b"Content-Length: %d" % body]
    if bodyless:
        return []
    if body == NO_BODY:
        return [b"Content-Length: 0"]
    return [] if http_1_0 else [b"Transfer-Encoding: chunked"]


def encode_chunk(data: bytes) -> list[bytes]:
    """Return the pieces of one chunk; `data` must not be empty."""
    return [b"%x\r\n" % len(data), data, b"\r\n"]


def encode_last_chunk(trailers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """Return the end of a chunked body; trailers that may not be trailers are left out. Raises UnsendableHead."""
    if not trailers:
        return LAST_CHUNK
    lines = [b"0"]
    _add_fields(lines, allowed_trailers(list(trailers)))
    return _join(lines)


def _field_lines(headers: Headers) -> bytes:
    """Return the lines of these fields, each with its line end. Raises UnsendableHead."""
    lines: list[bytes] = []
    _add_fields(lines, headers)
    return _join(lines)[:-2] if lines else b""


def _add_fields(lines: list[bytes], headers: Headers) -> None:
    for name, value in headers:
        if name not in _known_names:
            _check_name(name)
        lines.append(name + b": " + value)


def _join(lines: list[bytes]) -> bytes:
    """Join lines into a head; nothing but the line ends made here may be in it."""
    head = b"\r\n".join(lines)
    if head.translate(None, _PLAIN) != b"\r\n" * (len(lines) - 1):
        raise UnsendableHead("a field value holds a line end or a control byte")
    return head + b"\r\n\r\n"


def _check_name(name: bytes) -> None:
    lowered = name.lower()
    if not TOKEN.fullmatch(name) or lowered in HOP_BY_HOP or lowered in LOOK_ALIKES:
        raise UnsendableHead(f"{name[:64]!r} cannot be sent as a field name")
    if len(_known_names) < _MAX_KNOWN_NAMES and len(name) <= _MAX_KNOWN_LENGTH:
        _known_names.add(name)
