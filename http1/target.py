"""The canonicaliser: one reading of a request target, or a refusal.

Tomcat, proxies and libraries disagree about `..;/`, `%2e`, `//`, `%2f` and their relatives, so a target that
two parties could read differently is refused, never repaired. What passes has exactly one meaning: `raw` is
what goes to Jira, byte for byte, and `segments` is what the policy compares. The bytes are never rebuilt from
the decoded form. Nothing here knows Jira's resources.
"""

import re
from typing import NamedTuple

# RFC 3986 pchar without ";" (Tomcat's path parameters), plus Tomcat's relaxedPathChars "[", "]" and "|", which
# stock Jira enables. "%" is absent on purpose: escapes take the slow path.
_PLAIN = rb"A-Za-z0-9._~!$&'()*+,=:@\[\]|-"
# Nothing to go back to, but not possessive: CPython 3.11.2 then accepts what it must not (docs/facts.md L19).
_PATH = rb"((?:/(?!\.\.?(?:[/?]|\Z))[" + _PLAIN + rb"]+)+/?|/)"
# Any visible ASCII but "#": Tomcat's relaxedQueryChars cover raw JQL, and what is left Jira judges itself.
_QUERY = rb"(?:\?([!\"$-~]*))?"

_CLEAN_TARGET = re.compile(_PATH + _QUERY)
_CLEAN_QUERY = re.compile(rb"[!\"$-~]*")
_SEGMENT = re.compile(rb"(?:[" + _PLAIN + rb"]|%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_DECODED_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# C0 controls, DEL and the C1 controls: none belongs into a name, and log readers differ about them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class AmbiguousTarget(Exception):
    """The target has no single reading; `reason` is one clause for people, such as "a dot segment"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Target(NamedTuple):
    """A target with one meaning.

    `raw` and `raw_path` are the bytes as received; `path` is the path decoded once (it keeps one trailing slash);
    `segments` are its decoded segments (a trailing slash adds none); `query` is raw and without its "?".
    """

    raw: bytes
    raw_path: bytes
    path: str
    segments: tuple[str, ...]
    query: bytes


def parse_target(raw: bytes) -> Target:
    """Read an origin-form target (RFC 9112 §3.2.1) strictly.

    Raises:
        AmbiguousTarget: two servers could read this target differently.
    """
    clean = _CLEAN_TARGET.fullmatch(raw)
    if clean is None:
        return _parse_escaped(raw)
    raw_path, query = clean.groups(b"")
    path = raw_path.decode("ascii")
    return Target(raw, raw_path, path, _split(path), query)


def _split(path: str) -> tuple[str, ...]:
    inner = path[1:-1] if path[-1] == "/" else path[1:]
    return tuple(inner.split("/")) if inner else ()


def _parse_escaped(raw: bytes) -> Target:
    """Read a target that holds escapes, or find out what is wrong with it."""
    raw_path, _, query = raw.partition(b"?")
    if raw_path[:1] != b"/":
        raise AmbiguousTarget("the path does not begin with a slash")
    if _CLEAN_QUERY.fullmatch(query) is None:
        raise AmbiguousTarget("a raw character in the query that must be percent-encoded")
    inner = raw_path[1:-1] if raw_path[-1:] == b"/" and len(raw_path) > 1 else raw_path[1:]
    segments = tuple(_decode_segment(segment) for segment in inner.split(b"/"))
    trailing = "/" if raw_path[-1:] == b"/" else ""
    return Target(raw, raw_path, "/" + "/".join(segments) + trailing, segments, query)


def _decode_segment(segment: bytes) -> str:
    if not segment:
        raise AmbiguousTarget("an empty path segment")
    if _SEGMENT.fullmatch(segment) is None:
        raise AmbiguousTarget(_what_is_wrong(segment))
    decoded = _decode_escapes(segment) if b"%" in segment else segment.decode("ascii")
    if decoded.strip() in {".", ".."}:  # Windows file systems drop the blanks
        raise AmbiguousTarget("a dot segment")
    return decoded


def _decode_escapes(segment: bytes) -> str:
    unescaped = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), segment)
    try:
        decoded = unescaped.decode("utf-8")
    except UnicodeDecodeError:  # overlong forms and surrogates included
        raise AmbiguousTarget("an escape that is not valid UTF-8") from None
    if _CONTROL.search(decoded):
        raise AmbiguousTarget("an encoded control character")
    if any(character in decoded for character in "/\\;"):
        raise AmbiguousTarget("an encoded slash, backslash or semicolon")
    if _DECODED_ESCAPE.search(decoded):
        raise AmbiguousTarget("a doubly encoded escape")
    return decoded


def _what_is_wrong(segment: bytes) -> str:
    """Name the first reason why a raw segment is refused, the dangerous ones first."""
    if b";" in segment:
        return "a path parameter (;)"
    if b"\\" in segment:
        return "a backslash"
    if b"#" in segment:
        return "a fragment (#)"
    if not segment.isascii() or min(segment) <= 0x20 or 0x7F in segment:
        return "a raw byte in the path that must be percent-encoded"
    if _ESCAPE.sub(b"", segment).count(b"%"):
        return "a percent sign without two hex digits"
    return "a character in the path that must be percent-encoded"
