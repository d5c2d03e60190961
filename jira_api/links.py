"""Absolute links to Jira, made to point at the gateway: in Location and in the link keys of JSON answers.

Text that people wrote is never touched. The search is one regular expression on bytes and needs no JSON tree: in valid
JSON a quote that is not escaped opens or closes a string, so `{"self":"http` can only be a key and the beginning of
its value, while the same characters inside a string would carry backslashes. The expression begins with the literal
`"http`, which the regex engine finds at memory speed, and looks back for a key of the table (`link_keys`). Compact JSON
and the two spacings that serialisers write (`"k": "v"`, `"k" : "v"`) are recognised. It cannot backtrack far: every
part has a fixed width or a small bound, and the look-behinds are atomic.
"""

import contextlib
import re
from collections.abc import Iterable, Sequence

from jira_api.gzip_bodies import GzipBodyRewriter
from jira_api.link_keys import LINK_KEYS, NOT_ROLE_NAMES, ROLE_LINK_PATH
from jira_api.origins import Origin, origin_pattern, parse_origin

_OPENING = rb"[{,\s]"  # what stands before the quote of a key
_SEPARATORS = (b":", b": ", b" : ")
_PROJECT = re.compile(r"/rest/api/(?:2|3|latest)/project/[^/]+(?:/role)?/?")
_REPLACEMENT = re.compile(rb"https?://[!#-\[\]-~]+")


class LinkRewriter:
    """Rewrites links of one Jira; immutable and shared by all answers of a connection.

    `origins` are the base URLs under which this Jira may name itself (configured and dialled), `replacement` is the
    base URL that the caller uses for it. Origins are announced by the other side of the tunnel: one that is no base URL
    can begin no link and is left out.

    Raises:
        ValueError: `replacement` is no URL.
    """

    def __init__(self, origins: Sequence[bytes], replacement: bytes) -> None:
        self._replacement = replacement.rstrip(b"/")
        if _REPLACEMENT.fullmatch(self._replacement) is None:
            raise ValueError(f"no base URL: {replacement!r}")
        parsed = sorted(_usable(origins), key=lambda origin: -len(origin.context))
        self._contexts = tuple(origin.context for origin in parsed)
        self._location = re.compile(rb"http(?:" + _alternatives(parsed) + rb")(?=[/?#]|\Z)", re.IGNORECASE)
        self._plain = _Search(_link_pattern(parsed, roles=False), self._replacement, parsed)
        self._project = _Search(_link_pattern(parsed, roles=True), self._replacement, parsed)

    def rewrite_location(self, value: bytes) -> bytes:
        """Return a Location (or Content-Location) that leads the caller back to us.

        A path below Jira's context becomes absolute; links elsewhere and relative ones stay as they are.
        """
        match = self._location.match(value)
        if match is not None:
            return self._replacement + value[match.end() :]
        if value.startswith(b"/") and not value.startswith((b"//", b"/\\")):
            for context in self._contexts:
                if value == context or value.startswith((context + b"/", context + b"?")):
                    return self._replacement + value[len(context) :]
        return value

    def stream(self, content_encoding: bytes, path: str = "") -> "BodyRewriter | GzipBodyRewriter":
        """Begin to rewrite one body; `path` is the decoded path below Jira's base URL.

        `content_encoding` is gzip or identity ("" too): `should_rewrite` has refused the others.
        """
        body = BodyRewriter(self._project if _PROJECT.fullmatch(path) else self._plain)
        is_gzip = content_encoding.strip().lower() in {b"gzip", b"x-gzip"}
        return GzipBodyRewriter(body) if is_gzip else body


class BodyRewriter:
    """Rewrites the plain bytes of one JSON body, cut anywhere; holds back a few hundred bytes at most."""

    __slots__ = ("_held", "_search")

    def __init__(self, search: "_Search") -> None:
        self._search = search
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what is certain after the next bytes of the body."""
        pending = self._held + chunk if self._held else chunk
        end = self._search.certain_end(pending)
        self._held = pending[end:]
        # One byte more than is sent: a link's end shows in the byte after it, which itself is never part of a link.
        rewritten = self._search.rewrite(pending[: end + 1])
        return rewritten[:-1] if end < len(pending) else rewritten

    def finish(self) -> bytes:
        """Return the rest of the body."""
        held, self._held = self._held, b""
        return self._search.rewrite(held)


class _Search:
    """A compiled link pattern, and how much of a piece it can be certain about."""

    __slots__ = ("_links", "_open_region", "_reach", "_template")

    # Longest key with its quotes, separator and the byte before; longest role link.
    _KEY_REACH = max(map(len, LINK_KEYS)) + 8
    _ROLE_REACH = 160

    def __init__(self, pattern: bytes, replacement: bytes, origins: Iterable[Origin]) -> None:
        self._links = re.compile(pattern)
        self._template = (b'"' + replacement).replace(b"\\", rb"\\")
        # Escaped slashes double at most, a default port adds four bytes.
        longest = max((len(b"".join((o.scheme, o.host, o.port or b"", o.context * 2))) for o in origins), default=0)
        self._reach = longest + 16 + self._ROLE_REACH
        keys, texts = b"|".join(LINK_KEYS), b"|".join(NOT_ROLE_NAMES)
        separator = rb'"(?: ?: ?| )?'
        self._open_region = re.compile(
            _OPENING + rb'(?:"(?:' + keys + rb")(?:" + separator + rb")?)?\Z"
            # What a role link looks back at: the end of any key, and whether it is one of people's texts.
            rb'|"(?:' + texts + rb")(?:" + separator + rb")?\Z|" + separator + rb"\Z"
        )

    def rewrite(self, data: bytes) -> bytes:
        return self._links.sub(self._template, data)

    def certain_end(self, pending: bytes) -> int:
        """Return up to where no link can depend on bytes that are still to come.

        A link starts at a quote, so everything before the first quote within reach of the end is certain. If a key
        of the table leads up to that quote it must stay with it, for the pattern looks back at it.
        """
        quote = pending.find(b'"', max(0, len(pending) - self._reach))
        end = quote if quote >= 0 else len(pending)
        region = self._open_region.search(pending, max(0, end - self._KEY_REACH), end)
        return region.start() if region else end


def _usable(origins: Iterable[bytes]) -> set[Origin]:
    usable = set()
    for origin in origins:
        with contextlib.suppress(ValueError):
            usable.add(parse_origin(origin))
    return usable


def _alternatives(origins: Iterable[Origin]) -> bytes:
    return b"|".join(map(origin_pattern, origins)) or rb"(?!)"


def _link_pattern(origins: Sequence[Origin], *, roles: bool) -> bytes:
    """Return the pattern of an opening quote and an origin in the value of a link key."""
    keys = _look_back(LINK_KEYS, _OPENING + b'"')
    origin = rb"(?:" + _alternatives(origins) + rb")"
    pattern = rb'"http(?:' + keys + rb")" + origin + rb'(?=[/?#"]|\\/)'
    if not roles:
        return pattern
    any_key = rb"(?:" + b"|".join(rb'(?<="' + separator + rb'"http)' for separator in _SEPARATORS) + rb")"
    no_text = rb"(?!" + _look_back(NOT_ROLE_NAMES, b'"') + rb")"
    return pattern + rb'|"http' + any_key + no_text + origin + rb"(?=" + ROLE_LINK_PATH + rb")"


def _look_back(keys: Iterable[bytes], before: bytes) -> bytes:
    """Return a pattern that is true right after `"http` in the value of one of `keys`.

    One guard per separator keeps the many look-behinds from being tried in vain.
    """
    names = list(keys)
    forms = []
    for separator in _SEPARATORS:
        behind = (b"(?<=" + before + re.escape(key) + b'"' + separator + b'"http)' for key in names)
        forms.append(b'(?<="' + separator + b'"http)(?>' + b"|".join(behind) + b")")
    return b"(?>" + b"|".join(forms) + b")"
