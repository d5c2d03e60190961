"""What a connection may look like: the fields that somebody gives in, a checked row out. Pure.

The commands and the management API both ask here; what is refused names its fields (gateway/unacceptable.py).
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from certs.certificates import read_certificates
from certs.errors import CertificateRejected
from gateway.store import Connection, Credentials
from gateway.store.rows import DIRECT
from gateway.unacceptable import Unacceptable, literally

MAX_TIMEOUT_SECONDS = 3600

_BASE_URL = re.compile(
    r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[a-z0-9._~-]+)*/?", re.ASCII | re.IGNORECASE
)
_PORTS = {"http": 80, "https": 443}

Seal = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class ConnectionFields:
    """What may be said of a connection; None means: not given."""

    via: str | None = None
    base_url: str | None = None
    credentials: str | None = None
    username: str | None = None
    secret: str | None = field(default=None, repr=False)
    timeout_seconds: float | None = None
    rewrite_links: bool | None = None
    ca_pem: str | None = None


def new_connection(name: str, fields: ConnectionFields, seal: Seal) -> Connection:
    """Return the row for a new connection; raises Unacceptable."""
    if fields.via is None or fields.credentials is None:
        raise Unacceptable("via", "{via} and {credentials} are needed")
    return changed_connection(Connection(name, fields.via, Credentials(fields.credentials)), fields, seal)


def changed_connection(before: Connection, fields: ConnectionFields, seal: Seal) -> Connection:
    """Return the row for a changed connection: what is not given stays; raises Unacceptable.

    Another way to reach Jira drops the old way's address and CA. Credentials named anew are given whole:
    a user name or secret that is not given again is gone.
    """
    after = before
    if fields.via is not None and fields.via != before.via:
        after = replace(after, via=fields.via, base_url=None, ca_pem=None)
    if fields.credentials is not None:
        after = replace(after, credentials=Credentials(fields.credentials), username=None, sealed_secret=None)
    after = replace(
        after,
        base_url=after.base_url if fields.base_url is None else read_base_url(fields.base_url),
        username=after.username if fields.username is None else _read_username(fields.username),
        sealed_secret=after.sealed_secret if fields.secret is None else seal(_read_secret(fields.secret)),
        timeout_seconds=after.timeout_seconds
        if fields.timeout_seconds is None
        else _read_timeout(fields.timeout_seconds),
        rewrite_links=after.rewrite_links if fields.rewrite_links is None else fields.rewrite_links,
        ca_pem=after.ca_pem if fields.ca_pem is None else _read_ca(fields.ca_pem),
    )
    _check(after)
    return after


def takes_secret_elsewhere(before: Connection, fields: ConnectionFields) -> bool:
    """Say whether a change would send the stored secret to another place than the one that it was given for.

    Whoever may change a connection but never saw its secret could read it there. Raises Unacceptable.
    """
    if before.sealed_secret is None or fields.secret is not None or fields.credentials is not None:
        return False  # there is none, or the old one goes
    if fields.via is not None and fields.via != before.via:
        return True
    return fields.base_url is not None and _origin(read_base_url(fields.base_url)) != _origin(before.base_url or "")


def _origin(base_url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(base_url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def read_base_url(text: str) -> str:
    """Return a Jira's base URL with its context path, without a slash at the end; raises Unacceptable."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise Unacceptable("base_url", "{base_url} is no address: write it as https://jira.example.com/jira")
    if parts.username is not None or parts.query or parts.fragment or "?" in text or "#" in text:
        raise Unacceptable("base_url", "{base_url} holds more than scheme, host, port and context path")
    if any(segment in {"", ".", ".."} for segment in parts.path.strip("/").split("/")) and parts.path.strip("/"):
        raise Unacceptable("base_url", "{base_url} has an ambiguous path: write it without //, . and ..")
    if not _BASE_URL.fullmatch(text):
        raise Unacceptable("base_url", "{base_url} has an unusual host or path: write letters, digits and any of .-_~")
    return text.rstrip("/")


def _read_username(text: str) -> str:
    if not text or ":" in text or not text.isprintable():
        raise Unacceptable("username", "{username} is empty, or holds ':' or control characters (RFC 7617)")
    return text


def _read_secret(text: str) -> str:
    if not text or not text.isprintable():
        raise Unacceptable("secret", "{secret} is empty, holds more than one line, or control characters")
    return text


def _read_timeout(seconds: float) -> float:
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_TIMEOUT_SECONDS):
        raise Unacceptable("timeout_seconds", f"{{timeout_seconds}} is not between 0 and {MAX_TIMEOUT_SECONDS} seconds")
    return seconds


def _read_ca(pem: str) -> str:
    try:
        read_certificates(pem.encode())
    except CertificateRejected as error:
        raise Unacceptable("ca_pem", "{ca_pem}: " + literally(str(error))) from None
    return pem


def _check(row: Connection) -> None:
    """Refuse what contradicts itself, in the order in which people would notice."""
    direct, own = row.via == DIRECT, row.credentials is Credentials.GATEWAY
    problems = (
        ("base_url", "{via} direct needs {base_url}: where this Jira is", direct and row.base_url is None),
        (
            "base_url",
            "{base_url} goes with {via} direct: an agent has its own JIRA_AGENT_JIRA_URL",
            not direct and row.base_url is not None,
        ),
        (
            "ca_pem",
            "{ca_pem} goes with {via} direct: an agent has its own JIRA_AGENT_JIRA_CA_FILE",
            not direct and row.ca_pem is not None,
        ),
        (
            "credentials",
            "{credentials} agent needs an agent: use gateway or caller with {via} direct",
            direct and row.credentials is Credentials.AGENT,
        ),
        (
            "secret",
            "{credentials} gateway needs {secret} (a token, or with {username} a password)",
            own and row.sealed_secret is None,
        ),
        (
            "secret",
            "{username} and {secret} go with {credentials} gateway",
            not own and (row.username is not None or row.sealed_secret is not None),
        ),
    )
    for blamed, problem, applies in problems:
        if applies:
            raise Unacceptable(blamed, problem)
