"""Request and answer heads, and their bytes in HEADERS and TRAILERS (docs/protocol.md §4.1, §4.3).

The fields of a head are joined and split by LF in one C call each, because this runs twice per request and side;
counts make the result exact, so a field that holds an LF cannot become two.
"""

from dataclasses import dataclass, field
from itertools import chain
from struct import Struct
from typing import Final

from tunnel.errors import LocalProtocolError
from tunnel.frames import END_STREAM, HEADER_BYTES, HEADERS, MAX_PAYLOAD, FrameType, frame, refuse

NO_BODY: Final = -2  # no body and no framing headers
STREAMED: Final = -1  # a body whose length is not known yet

REQUEST: Final = 1
RESPONSE: Final = 2

Pairs = list[tuple[bytes, bytes]]

_FRAME = Struct(">BBIIBqIIHH")  # frame header, then the fixed part of HEADERS: one pack for both
_FIXED = Struct(">BqIIHH")  # kind, body, status or timeout, credit, metas, headers
_FIXED_BYTES: Final = _FIXED.size
_COUNT = Struct(">H")
_MAX_COUNT: Final = 0xFFFF
_MAX_TIMEOUT_MS: Final = 2**32 - 1
_MAX_BODY: Final = 2**63 - 1
_STATUS = range(100, 1000)


@dataclass(slots=True)
class RequestHead:
    """A request. `body` is NO_BODY, STREAMED or its length; `meta` is for the programs and never goes to Jira."""

    method: bytes
    target: bytes
    headers: Pairs
    body: int = NO_BODY
    timeout_ms: int = 0
    meta: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class ResponseHead:
    """An answer. `body` as in RequestHead; for HEAD and 304 it may name a length that is not sent."""

    status: int
    headers: Pairs
    body: int = NO_BODY
    meta: dict[bytes, bytes] = field(default_factory=dict)


class HeadTooLarge(LocalProtocolError):
    """A head does not fit one frame of 64 KiB."""


def encode_request(head: RequestHead, stream: int, credit: int, *, end: bool) -> bytes:
    """A request as a whole HEADERS frame.

    Raises:
        HeadTooLarge: it does not fit one frame.
        LocalProtocolError: a field holds CR, LF or NUL, or a number is out of range.
    """
    meta, headers = head.meta, head.headers
    fields = [head.method, head.target, *chain.from_iterable(meta.items()), *chain.from_iterable(headers)]
    text = _join(fields)
    if not NO_BODY <= head.body <= _MAX_BODY or not 0 <= head.timeout_ms <= _MAX_TIMEOUT_MS:
        raise LocalProtocolError("body or timeout out of range")
    if not head.method or not head.target:
        raise LocalProtocolError("a request without method or target")
    flags, length = (END_STREAM if end else 0), _FIXED_BYTES + len(text)
    counts = len(meta), len(headers)
    return _FRAME.pack(HEADERS, flags, stream, length, REQUEST, head.body, head.timeout_ms, credit, *counts) + text


def encode_response(head: ResponseHead, stream: int, *, end: bool) -> bytes:
    """An answer as a whole HEADERS frame; raises as encode_request does."""
    meta, headers = head.meta, head.headers
    text = _join([*chain.from_iterable(meta.items()), *chain.from_iterable(headers)])
    if not NO_BODY <= head.body <= _MAX_BODY or head.status not in _STATUS:
        raise LocalProtocolError("body or status out of range")
    flags, length = (END_STREAM if end else 0), _FIXED_BYTES + len(text)
    counts = len(meta), len(headers)
    return _FRAME.pack(HEADERS, flags, stream, length, RESPONSE, head.body, head.status, 0, *counts) + text


def _join(fields: list[bytes]) -> bytes:
    text = b"\n".join(fields)
    if text.count(b"\n") != max(len(fields) - 1, 0) or b"\r" in text or b"\0" in text:
        raise LocalProtocolError("a field of a head holds CR, LF or NUL")
    if len(text) + _FIXED_BYTES > MAX_PAYLOAD or len(fields) > _MAX_COUNT:
        raise HeadTooLarge(f"a head of {len(text)} bytes and {len(fields)} fields is too large")
    return text


def decode_head(payload: bytes) -> tuple[RequestHead | ResponseHead, int]:
    """Read HEADERS into a head and the credit for its answer (0 for an answer)."""
    if len(payload) < _FIXED_BYTES:
        raise refuse("HEADERS is cut")
    kind, body, number, credit, metas, count = _FIXED.unpack_from(payload)
    if body < NO_BODY:
        raise refuse(f"unknown kind of body {body}")
    fields = _split(payload, _FIXED_BYTES)
    first = 2 if kind == REQUEST else 0
    start = first + 2 * metas
    if len(fields) != start + 2 * count:
        raise refuse("HEADERS holds another number of fields than it says")
    pairs = iter(fields[start:])
    headers = list(zip(pairs, pairs, strict=True))
    meta = dict(zip(fields[first:start:2], fields[first + 1 : start : 2], strict=True)) if metas else {}
    if len(meta) != metas:
        raise refuse("HEADERS repeats a meta")
    if kind == REQUEST:
        return _request(fields, headers, body, number, meta), credit
    if kind != RESPONSE or credit or number not in _STATUS:
        raise refuse(f"HEADERS of kind {kind} with status {number} and credit {credit}")
    return ResponseHead(number, headers, body, meta), 0


def _request(fields: list[bytes], headers: Pairs, body: int, timeout_ms: int, meta: dict[bytes, bytes]) -> RequestHead:
    method, target = fields[0], fields[1]
    if not method or not target:
        raise refuse("a request without method or target")
    return RequestHead(method, target, headers, body, timeout_ms, meta)


def _split(payload: bytes, start: int) -> list[bytes]:
    text = payload[start:]
    if b"\r" in text or b"\0" in text:
        raise refuse("a field holds CR or NUL")
    return text.split(b"\n") if text else []


def encode_trailers(trailers: Pairs, stream: int) -> bytes:
    """Trailers as a whole TRAILERS frame; raises as encode_request does."""
    text = _join([*chain.from_iterable(trailers)])
    return frame(FrameType.TRAILERS, _COUNT.pack(len(trailers)) + text, stream=stream)


def decode_trailers(payload: bytes) -> Pairs:
    """Read TRAILERS."""
    if len(payload) < _COUNT.size:
        raise refuse("TRAILERS is cut")
    fields = _split(payload, _COUNT.size)
    if len(fields) != 2 * int.from_bytes(payload[: _COUNT.size]):
        raise refuse("TRAILERS holds another number of fields than it says")
    return list(zip(fields[::2], fields[1::2], strict=True))


assert _FRAME.size == HEADER_BYTES + _FIXED_BYTES  # noqa: S101 - the two layouts are one by definition
