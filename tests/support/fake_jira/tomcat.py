"""How Tomcat, as Jira configures it, reads a request: the head's grammar and the mapping of targets to paths.

The mapping is deliberately as lenient as the real one (`;params` dropped, `%2e` decoded, `..` and `//`
normalised), so that a path which slips through a policy really reaches `/secure/admin` here.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) +([^ ]+) +HTTP/1\.([01])\Z")
_REFUSED_IN_PATH = re.compile(rb'[\x00-\x20\x7f-\xff"#<>\\^`{}]')  # relaxedPathChars="[]|"
_REFUSED_IN_QUERY = re.compile(rb"[\x00-\x20\x7f-\xff#]")  # relaxedQueryChars allows the rest
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_REFUSED_ESCAPES = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)


class BadRequest(Exception):
    """Tomcat answers this status before Jira sees anything."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(slots=True)
class Head:
    """A parsed request head. `body` is -2 none, -1 chunked, else the length."""

    method: str
    target: bytes
    minor: int
    headers: list[tuple[bytes, bytes]]
    body: int
    keep_alive: bool

    def header(self, name: str) -> str | None:
        """The first value of that name as text."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), None)


def parse_head(raw: bytes) -> Head:
    """Parse everything up to the blank line. Raises BadRequest."""
    lines = raw[:-4].split(b"\r\n")
    match = _REQUEST_LINE.match(lines[0])
    if match is None:
        raise BadRequest("Invalid request line")
    headers = [_parse_header(line) for line in lines[1:]]
    names = [name.lower() for name, _ in headers]
    minor = int(match[3])
    if names.count(b"host") != 1 and (minor == 1 or b"host" in names):
        raise BadRequest("The Host header is missing or repeated")
    head = Head(match[1].decode(), match[2], minor, headers, _body_kind(headers), keep_alive=minor == 1)
    connection = (head.header("connection") or "").lower()
    if "close" in connection:
        head.keep_alive = False
    elif "keep-alive" in connection:
        head.keep_alive = True
    return head


def _parse_header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or _TOKEN.match(name) is None:
        raise BadRequest("Invalid header line")
    if any(byte < 0x20 and byte != 0x09 for byte in value):
        raise BadRequest("Control character in a header value")
    return name, value.strip(b" \t")


def _body_kind(headers: list[tuple[bytes, bytes]]) -> int:
    codings = [value.lower() for name, value in headers if name.lower() == b"transfer-encoding"]
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if codings:
        if codings != [b"chunked"]:
            raise BadRequest("Unknown transfer coding", 501)
        return -1
    if len(lengths) > 1 or (lengths and not re.fullmatch(rb"[0-9]+", lengths[0])):
        raise BadRequest("Invalid or repeated Content-Length")
    return int(lengths[0]) if lengths else -2


def map_target(target: bytes) -> tuple[str, bytes]:
    """The path that Tomcat dispatches on (decoded, normalised) and the raw query. Raises BadRequest."""
    absolute = re.match(rb"https?://[^/?]*", target, re.IGNORECASE)
    if absolute is not None:
        target = target[absolute.end() :] or b"/"
    raw_path, _, query = target.partition(b"?")
    if raw_path == b"*":
        return "*", b""
    if not raw_path.startswith(b"/") or _REFUSED_IN_PATH.search(raw_path) or _REFUSED_IN_QUERY.search(query):
        raise BadRequest("Invalid character found in the request target")
    without_parameters = re.sub(rb";[^/]*", b"", raw_path)
    if _BAD_ESCAPE.search(without_parameters) or _REFUSED_ESCAPES.search(without_parameters):
        raise BadRequest("Invalid escape in the request target")
    try:
        decoded = unquote_to_bytes(without_parameters).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The path is not UTF-8") from None
    return _normalise(decoded), query


def _normalise(path: str) -> str:
    kept: list[str] = []
    segments = re.sub("/+", "/", path).split("/")[1:]
    for segment in segments:
        if segment == "..":
            if not kept:
                raise BadRequest("The path leaves the root")
            kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
