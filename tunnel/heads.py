"""Request and answer heads, and their bytes in HEADERS and TRAILERS (docs/protocol.md §4.1, §4.3).

The fields of a head are joined and split by LF in one C call each, because this runs twice per request and side;
counts make the result exact, so a field that holds an LF cannot become two.
"""

from dataclasses import dataclass, field
from itertools import chain
from struct import Struct
from typing import Any, Final

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
class SharedFields:
    """What the heads of many requests have in common, so that it is written and read once (decision 0025).

    All meta but the first, all headers, and the bytes of both. Nothing in it is ever changed, but for `derived`: that
    is the receiving program's, and holds what it worked out from these fields alone.
    """

    meta: dict[bytes, bytes]
    headers: Pairs
    text: bytes
    derived: Any = None

    @property
    def fields(self) -> int:
        """How many fields `text` holds."""
        return 2 * (len(self.meta) + len(self.headers))


@dataclass(slots=True)
class RequestHead:
    """A request. `body` is NO_BODY, STREAMED or its length; `meta` is for the programs and never goes to Jira.

    With `shared`, `headers` and all of `meta` but its first are those of the shared fields.
    """

    method: bytes
    target: bytes
    headers: Pairs
    body: int = NO_BODY
    timeout_ms: int = 0
    meta: dict[bytes, bytes] = field(default_factory=dict)
    shared: SharedFields | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class ResponseHead:
    """An answer. `body` as in RequestHead; for HEAD and 304 it may name a length that is not sent."""

    status: int
    headers: Pairs
    body: int = NO_BODY
    meta: dict[bytes, bytes] = field(default_factory=dict)


class HeadTooLarge(LocalProtocolError):
    """A head does not fit one frame of 64 KiB."""


def share_fields(meta: dict[bytes, bytes], headers: Pairs) -> SharedFields:
    """Make what many heads have in common; `meta` must not be empty. Raises as encode_request does."""
    return SharedFields(meta, headers, _join([*chain.from_iterable(meta.items()), *chain.from_iterable(headers)]))


def encode_request(head: RequestHead, stream: int, credit: int, *, end: bool) -> bytes:
    """A request as a whole HEADERS frame.

    Raises:
        HeadTooLarge: it does not fit one frame.
        LocalProtocolError: a field holds CR, LF or NUL, or a number is out of range.
    """
    meta, headers, shared = head.meta, head.headers, head.shared
    if shared is None:
        text = _join([head.method, head.target, *chain.from_iterable(meta.items()), *chain.from_iterable(headers)])
    else:
        name, value = next(iter(meta.items()))
        text = b"\n".join((head.method, head.target, name, value, shared.text))
        _check(text, 4 + shared.fields)
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
    text = _join([field for pair in (*meta.items(), *headers) for field in pair])
    if not NO_BODY <= head.body <= _MAX_BODY or head.status not in _STATUS:
        raise LocalProtocolError("body or status out of range")
    flags, length = (END_STREAM if end else 0), _FIXED_BYTES + len(text)
    counts = len(meta), len(headers)
    return _FRAME.pack(HEADERS, flags, stream, length, RESPONSE, head.body, head.status, 0, *counts) + text


def _join(fields: list[bytes]) -> bytes:
    text = b"\n".join(fields)
    _check(text, len(fields))
    return text


def _check(text: bytes, fields: int) -> None:
    if text.count(b"\n") != (fields - 1 if fields else 0) or b"\r" in text or b"\0" in text:
        raise LocalProtocolError("a field of a head holds CR, LF or NUL")
    if len(text) + _FIXED_BYTES > MAX_PAYLOAD or fields > _MAX_COUNT:
        raise HeadTooLarge(f"a head of {len(text)} bytes and {fields} fields is too large")


Known = dict[bytes, SharedFields]
"""The shared fields that came on one link, by their bytes. Who keeps one empties it every few seconds."""

_MOST_KNOWN: Final = 64
_LONGEST_KNOWN: Final = 2048
_MOST_FIELDS_KNOWN: Final = 128  # a head of empty fields takes fifty times its bytes when it is read


def decode_head(payload: bytes, known: Known | None = None) -> tuple[RequestHead | ResponseHead, int]:
    """Read HEADERS into a head and the credit for its answer (0 for an answer); without `known` nothing is kept."""
    if len(payload) < _FIXED_BYTES:
        raise refuse("HEADERS is cut")
    kind, body, number, credit, metas, count = _FIXED.unpack_from(payload)
    if body < NO_BODY:
        raise refuse(f"unknown kind of body {body}")
    text = payload[_FIXED_BYTES:]
    if b"\r" in text or b"\0" in text:
        raise refuse("a field holds CR or NUL")
    if kind == REQUEST:
        return _decode_request(text, body, number, metas, count, known), credit
    if kind != RESPONSE or credit or number not in _STATUS:
        raise refuse(f"HEADERS of kind {kind} with status {number} and credit {credit}")
    meta, headers = _read_pairs(_split(text), metas, count)
    return ResponseHead(number, headers, body, meta), 0


def _decode_request(
    text: bytes, body: int, timeout_ms: int, metas: int, count: int, known: Known | None
) -> RequestHead:
    """Read a request. What follows its first meta may be known: then only the counts are compared."""
    begin = text.split(b"\n", 4)
    rest = begin[4] if len(begin) == 5 and metas > 1 else b""
    shared = known.get(rest) if known and rest else None
    if shared is not None and len(shared.meta) == metas - 1 and len(shared.headers) == count:
        method, target, name, value, _ = begin
        meta, headers = {name: value, **shared.meta}, shared.headers
        if len(meta) != metas:
            raise refuse("HEADERS repeats a meta")
    else:
        method, target, *fields = _split(text) if len(begin) > 1 else (b"", b"")
        meta, headers = _read_pairs(fields, metas, count)
        shared = _remember(rest, meta, headers, known) if known is not None and rest else None
    if not method or not target:
        raise refuse("a request without method or target")
    return RequestHead(method, target, headers, body, timeout_ms, meta, shared)


def _remember(text: bytes, meta: dict[bytes, bytes], headers: Pairs, known: Known) -> SharedFields | None:
    if len(text) > _LONGEST_KNOWN or 2 * (len(meta) + len(headers)) > _MOST_FIELDS_KNOWN:
        return None
    if len(known) >= _MOST_KNOWN:
        known.clear()
    first = next(iter(meta))
    shared = known[text] = SharedFields({name: meta[name] for name in meta if name != first}, headers, text)
    return shared


def _read_pairs(fields: list[bytes], metas: int, count: int) -> tuple[dict[bytes, bytes], Pairs]:
    """Return meta and headers of the fields that follow the start of a head."""
    if len(fields) != 2 * (metas + count):
        raise refuse("HEADERS holds another number of fields than it says")
    one_by_one = iter(fields)
    pairs = list(zip(one_by_one, one_by_one, strict=True))
    if not metas:
        return {}, pairs
    meta = dict(pairs[:metas])
    if len(meta) != metas:
        raise refuse("HEADERS repeats a meta")
    return meta, pairs[metas:]


def _split(text: bytes) -> list[bytes]:
    return text.split(b"\n") if text else []


def encode_trailers(trailers: Pairs, stream: int) -> bytes:
    """Trailers as a whole TRAILERS frame; raises as encode_request does."""
    text = _join([*chain.from_iterable(trailers)])
    return frame(FrameType.TRAILERS, _COUNT.pack(len(trailers)) + text, stream=stream)


def decode_trailers(payload: bytes) -> Pairs:
    """Read TRAILERS."""
    if len(payload) < _COUNT.size:
        raise refuse("TRAILERS is cut")
    text = payload[_COUNT.size :]
    if b"\r" in text or b"\0" in text:
        raise refuse("a field holds CR or NUL")
    fields = _split(text)
    if len(fields) != 2 * int.from_bytes(payload[: _COUNT.size]):
        raise refuse("TRAILERS holds another number of fields than it says")
    return list(zip(fields[::2], fields[1::2], strict=True))


assert _FRAME.size == HEADER_BYTES + _FIXED_BYTES  # noqa: S101 - the two layouts are one by definition
