"""Origins of a Jira: the address forms under which it writes links to itself.

An origin here is `scheme://host[:port]` plus the context path, without a trailing slash. Schemes and hosts compare
without regard to case, a default port may be written or not, the context path is exact (RFC 3986 §6.2).
"""

import re
from typing import NamedTuple

_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}
_ORIGIN = re.compile(
    rb"(?P<scheme>https?)://(?P<host>[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    rb"(?P<path>/[A-Za-z0-9._~!$&'()*+,=:@/%-]*)?",
    re.IGNORECASE,
)


class Origin(NamedTuple):
    """A parsed origin; scheme and host in lower case, `port` None when it is the default, `context` "" for the root."""

    scheme: bytes
    host: bytes
    port: bytes | None
    context: bytes

    @property
    def default_port(self) -> bytes:
        """The port that goes without saying for this scheme."""
        return _DEFAULT_PORTS[self.scheme]


def parse_origin(url: bytes) -> Origin:
    """Parse a base URL of Jira.

    Raises:
        ValueError: it is no http(s) URL without user, query and fragment.
    """
    match = _ORIGIN.fullmatch(url)
    if match is None:
        raise ValueError(f"no base URL: {url!r}")
    scheme = match["scheme"].lower()
    port = match["port"] if match["port"] != _DEFAULT_PORTS[scheme] else None
    return Origin(scheme, match["host"].lower(), port, (match["path"] or b"").rstrip(b"/"))


def origin_variants(url: bytes) -> tuple[bytes, ...]:
    """Return the spellings of a base URL that mean the same: as given, in lower case, with and without default port."""
    origin = parse_origin(url)
    stem = origin.scheme + b"://" + origin.host
    ports = [b":" + origin.port] if origin.port else [b"", b":" + origin.default_port]
    spellings = [url.rstrip(b"/"), *(stem + port + origin.context for port in ports)]
    return tuple(dict.fromkeys(spellings))


def origin_pattern(origin: Origin) -> bytes:
    r"""Return a pattern for everything after "http" in a link to `origin`, up to the end of its context path.

    A slash may be escaped as JSON allows (`\/`).
    """
    scheme_rest = origin.scheme.removeprefix(b"http")
    port = b":" + origin.port if origin.port else b"(?::" + origin.default_port + b")?"
    context = rb"\\?/".join(map(re.escape, origin.context.split(b"/")))
    return scheme_rest + rb":\\?/\\?/(?i:" + re.escape(origin.host) + b")" + port + context
