"""The two addresses an agent knows: the gateways it dials and the one Jira it serves. Pure parsing.

A frame never names a host (docs/contract.md §6 rule 2): every byte sent to a Jira goes to the `JiraAddress` of the
settings.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "wss": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?")
_CONTEXT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where one gateway accepts tunnels and enrolments."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``wss://host[:port]``; raises ValueError with a problem and a fix."""
        parts = _split(text, ("wss",), "write wss://host[:port]")
        if parts.path not in {"", "/"}:
            raise ValueError("has a path; write wss://host[:port] only")
        return cls(_host(parts), _port(parts))

    @property
    def url(self) -> str:
        """The address as ``wss://host:port``."""
        return f"wss://{_authority(self.host)}:{self.port}"

    @property
    def hooks_url(self) -> str:
        """Where this gateway would take webhooks itself: its host on the port of https."""
        return f"https://{_authority(self.host)}/hooks/"

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class JiraAddress:
    """The origin and context path of the Jira that this agent serves."""

    scheme: str
    host: str
    port: int
    context_path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``http(s)://host[:port][/context]``; raises ValueError with a problem and a fix."""
        fix = "write http(s)://host[:port][/context], as Jira's base URL"
        parts = _split(text, ("https", "http"), fix)
        context_path = parts.path.rstrip("/")
        if not _CONTEXT_PATH.fullmatch(context_path) or {".", ".."} & set(context_path.split("/")):
            raise ValueError(f"has an unusual context path; {fix}")
        return cls(parts.scheme, _host(parts), _port(parts), context_path)

    @property
    def is_tls(self) -> bool:
        """Whether Jira is spoken to over TLS."""
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        """What goes into ``Host``: the port only where it is not the scheme's own (RFC 9112 §3.2)."""
        host = _authority(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL with context path, without a trailing slash."""
        return f"{self.scheme}://{self.host_header}{self.context_path}"

    def __str__(self) -> str:
        return self.url


def parse_webhook_url(text: str) -> str:
    """Return ``http(s)://host[:port][/path]`` without a trailing slash; raises ValueError with a problem and a fix."""
    fix = "write http(s)://host[:port][/path], as Jira reaches this agent"
    parts = _split(text, ("https", "http"), fix)
    path = parts.path.rstrip("/")
    if not _CONTEXT_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError(f"has an unusual path; {fix}")
    port = _port(parts)
    authority = _authority(_host(parts))
    return f"{parts.scheme}://{authority}{'' if port == DEFAULT_PORTS[parts.scheme] else f':{port}'}{path}"


def _split(text: str, schemes: tuple[str, ...], fix: str) -> SplitResult:
    try:
        parts = urlsplit(text.strip())
        _ = parts.port
    except ValueError:
        raise ValueError(f"is not a URL; {fix}") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}; {fix}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"holds a user name or password; {fix}, credentials have variables of their own")
    if parts.query or parts.fragment:
        raise ValueError(f"has a query or fragment; {fix}")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    if not _HOST.fullmatch(host):
        raise ValueError("has no valid host name; write the name or address as DNS knows it")
    return host


def _port(parts: SplitResult) -> int:
    return parts.port or DEFAULT_PORTS[parts.scheme]


def _authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host
