"""The lexical rules of HTTP/1.1 as precompiled patterns (RFC 9110 section 5, RFC 9112 sections 2 to 5).

Pure. Everything here is stricter than llhttp where llhttp leaves the check to its user (docs of httptools; measured).
"""

import re
from typing import Final

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A method or a field name (RFC 9110 section 5.6.2)."""

REQUEST_LINE: Final = re.compile(
    rb"(?P<method>[!#$%&'*+\-.^_`|~0-9A-Za-z]+) (?P<target>[\x21-\x7e]+) HTTP/(?P<version>[0-9]\.[0-9])\r\n"
)
"""Exactly one space between the parts, visible ASCII only in the target (RFC 9112 section 3)."""

STATUS_LINE: Final = re.compile(rb"HTTP/1\.(?P<minor>[01]) (?P<status>[1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
"""RFC 9112 section 4; the reason phrase may be absent, which Tomcat does."""

FIELD_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)")
"""One field line without its line end (RFC 9112 section 5); obs-fold does not match."""

FIELD_LINES: Final = re.compile(rb"(?m:^)" + FIELD_LINE.pattern + rb"\r\n")
"""The same with line ends, for all lines of a head at once: each match is one whole line."""

CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
"""Digits only and no list: a sign, a comma or a second line is an attack or a bug (RFC 9112 section 6.3)."""

CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e]*)?")
"""The size of a chunk; extensions are read and dropped (RFC 9112 section 7.1.1)."""

CHUNK_LINE_BEGUN: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,15}(?:;[\t\x20-\x7e]*)?\r?)?")
"""What a chunk line may look like before its end has arrived, so that rubbish is refused at once."""

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,254})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_ABSOLUTE_FORM: Final = re.compile(rb"(?i:https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)*")
_HEAD_BEGUN: Final = re.compile(rb"\r?\Z|[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: |\Z)")


def is_host(value: bytes) -> bool:
    """Say whether `value` is a host name or address with an optional port: no userinfo, path, comma or space."""
    return _HOST.fullmatch(value) is not None


def split_absolute_form(target: bytes) -> tuple[bytes, bytes] | None:
    """Split an http(s) absolute-form target into (authority, origin-form); None when it is something else."""
    match = _ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        return None
    return match["authority"], (match["path"] or b"/") + match["rest"]


def skip_empty_lines(data: bytes | bytearray) -> int:
    """Return where a message starts: empty lines before it are forgiven (RFC 9112 section 2.2)."""
    match = _EMPTY_LINES.match(data)
    return match.end() if match is not None else 0


def is_hopeless(head: bytes | bytearray, start: int) -> bool:
    """Say whether an unfinished head can no longer become a sound one; bytes before `start` were judged before."""
    if _BARE_LF.search(head, start) or head.find(b"\0", start) >= 0:
        return True
    line_end = head.find(b"\r\n")
    if line_end < 0:
        return _HEAD_BEGUN.match(head) is None
    return line_end + 2 > start and REQUEST_LINE.match(head) is None
