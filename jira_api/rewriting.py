"""Which answers get their links rewritten, and what that does to their headers and to the caller's request.

Answers of one Jira have few different sets of header names, so what to do with each header is planned once
per set (`plan_answer`) and only looked up afterwards: this runs for every answer.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from jira_api.headers import response_headers

Headers = list[tuple[bytes, bytes]]

_JSON = re.compile(rb"\s*application/(?:json|[a-z0-9!#$&^_.+-]+\+json)\s*(?:;|\Z)", re.IGNORECASE)
_READABLE_CODINGS = frozenset({b"", b"identity", b"gzip", b"x-gzip"})
_BODILESS = frozenset({204, 205, 304})
_PARTIAL = 206
# They describe the bytes that Jira sent and not those that the caller gets.
_OUTDATED = frozenset({
    b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges",
})  # fmt: skip
_LOCATIONS = frozenset({b"location", b"content-location"})
_GZIP_QUALITY = re.compile(rb"(?:x-)?gzip\s*(?:;\s*q\s*=\s*([0-9.]*))?", re.IGNORECASE)
_MAX_PLANS = 128  # of up to 64 KiB each, when a server makes up names


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """What to do with the headers of an answer, by position.

    `kept` are positions in Jira's headers, None for all of them; every other position counts in what was kept.
    `lasting` are those that stay when the body is rewritten, None for all.
    """

    kept: tuple[int, ...] | None
    content_type: int | None
    content_encoding: int | None
    locations: tuple[int, ...]
    cookies: tuple[int, ...]
    etags: tuple[int, ...]
    lasting: tuple[int, ...] | None

    def select(self, headers: Headers) -> Headers:
        """Return the headers that pass, as a new list."""
        return headers.copy() if self.kept is None else [headers[index] for index in self.kept]

    def content_coding(self, kept: Headers) -> bytes:
        """Return the Content-Encoding, "" when there is none."""
        return b"" if self.content_encoding is None else kept[self.content_encoding][1]

    def for_rewritten_body(self, kept: Headers) -> Headers:
        """Return the headers for a rewritten body: no length, no digests, and weak ETags (RFC 9110 §8.8.1)."""
        for index in self.etags:
            name, value = kept[index]
            kept[index] = (name, b"W/" + value if value.startswith(b'"') else value)
        return kept if self.lasting is None else [kept[index] for index in self.lasting]


@lru_cache(maxsize=_MAX_PLANS)
def plan_answer(names: tuple[bytes, ...], *, caller_credentials: bool) -> AnswerPlan:
    """Plan for an answer with these header names, in this order."""
    numbered = [(name, b"%d" % index) for index, name in enumerate(names)]
    passing = response_headers(numbered, caller_credentials=caller_credentials)
    kept = tuple(int(index) for _, index in passing)
    lower = [name.lower() for name, _ in passing]

    def at(wanted: frozenset[bytes]) -> tuple[int, ...]:
        return tuple(index for index, name in enumerate(lower) if name in wanted)

    outdated = at(_OUTDATED)
    return AnswerPlan(
        kept=None if len(kept) == len(names) else kept,
        content_type=_last(at(frozenset({b"content-type"}))),
        content_encoding=_last(at(frozenset({b"content-encoding"}))),
        locations=at(_LOCATIONS),
        cookies=at(frozenset({b"set-cookie"})),
        etags=at(frozenset({b"etag"})),
        lasting=tuple(index for index, name in enumerate(lower) if name not in _OUTDATED) if outdated else None,
    )


def _last(indexes: tuple[int, ...]) -> int | None:
    return indexes[-1] if indexes else None


def should_rewrite(status: int, content_type: bytes, content_coding: bytes, path: str) -> bool:
    """Tell whether the body of this answer is JSON whose links we rewrite; `path` is decoded, below Jira's base URL.

    Never attachments, partial answers, or codings that we do not read. Answers to HEAD have no body to rewrite, but
    the same headers apply to them.
    """
    if status < 200 or status == _PARTIAL or status in _BODILESS or path.startswith("/secure/"):
        return False
    return _is_json(content_type) and content_coding.strip().lower() in _READABLE_CODINGS


@lru_cache(maxsize=_MAX_PLANS)
def _is_json(content_type: bytes) -> bool:
    return _JSON.match(content_type) is not None


def strong_if_match(value: bytes) -> bytes:
    """Return an If-Match whose entity tags are as Jira gave them, before they were weakened for a rewritten body.

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
