"""Which answers get their links rewritten, and what that does to their headers and to the caller's request."""

import re
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

_JSON = re.compile(rb"\s*application/(?:json|[a-z0-9!#$&^_.+-]+\+json)\s*(?:;|\Z)", re.IGNORECASE)
_READABLE_CODINGS = frozenset({b"", b"identity", b"gzip", b"x-gzip"})
_BODILESS = frozenset({204, 205, 304})
_PARTIAL = 206
# They describe the bytes that Jira sent and not those that the caller gets.
_OUTDATED = frozenset({
    b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges",
})  # fmt: skip
_GZIP_QUALITY = re.compile(rb"(?:x-)?gzip\s*(?:;\s*q\s*=\s*([0-9.]*))?", re.IGNORECASE)


def should_rewrite(status: int, headers: Iterable[tuple[bytes, bytes]], path: str) -> bool:
    """Tell whether the body of this answer is JSON whose links we rewrite; `path` is decoded, below Jira's base URL.

    Never attachments, partial answers, or codings that we do not read. Answers to HEAD have no body to rewrite, but
    the same headers apply to them.
    """
    if status < 200 or status == _PARTIAL or status in _BODILESS or path.startswith("/secure/"):
        return False
    is_json = False
    for name, value in headers:
        match name.lower():
            case b"content-type":
                is_json = _JSON.match(value) is not None
            case b"content-encoding":
                if value.strip().lower() not in _READABLE_CODINGS:
                    return False
    return is_json


def content_coding(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the Content-Encoding, "" when there is none."""
    return next((value for name, value in headers if name.lower() == b"content-encoding"), b"")


def rewritten_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers for a rewritten body: no length, no digests, and a weak ETag (RFC 9110 §8.8.1)."""
    kept = ((name, value) for name, value in headers if name.lower() not in _OUTDATED)
    return [(name, _weakened(value) if name.lower() == b"etag" else value) for name, value in kept]


def _weakened(etag: bytes) -> bytes:
    return b"W/" + etag if etag.startswith(b'"') else etag


def strong_if_match(value: bytes) -> bytes:
    """Return an If-Match whose entity tags are as Jira gave them, before `rewritten_headers` weakened them.

    If-Match compares strongly (RFC 9110 §13.1.1), so that with a weak tag no update could ever succeed.
    """
    return re.sub(rb'(\A|,\s*)W/"', rb'\1"', value)


def accept_encoding(value: bytes | None) -> bytes:
    """Narrow a caller's Accept-Encoding to what can be rewritten: gzip when it is accepted, else identity."""
    accepts_any = False
    for item in (value or b"").split(b","):
        match = _GZIP_QUALITY.fullmatch(item.strip())
        if match is not None:
            return b"identity" if _is_zero(match[1]) else b"gzip"
        coding, _, parameter = item.partition(b";")
        if coding.strip() == b"*":
            accepts_any = not _is_zero(parameter.partition(b"=")[2].strip())
    return b"gzip" if accepts_any else b"identity"


def _is_zero(quality: bytes | None) -> bool:
    return bool(quality) and not (quality or b"").strip(b"0.")
