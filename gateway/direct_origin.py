"""From a direct connection's row to where its Jira is: host, port, context path, TLS and how to dial. No requests."""

import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.directory import ConnectionEntry
from gateway.egress import Dialer
from gateway.outbound_tls import client_context
from gateway.settings import GatewaySettings
from http1.origin import Origin

_PORTS = {"http": 80, "https": 443}


class DirectJira(NamedTuple):
    """A Jira's origin, and the path below which it answers (no trailing slash, b"" for the root)."""

    origin: Origin
    context_path: bytes


class Origins:
    """Makes the origins of direct connections. Those without CAs of their own share one TLS context."""

    def __init__(self, settings: GatewaySettings, dialer: Dialer) -> None:
        """Read the extra CAs; raises `ConfigurationError`."""
        self._ca_file = settings.ca_file
        self._dialer = dialer
        self._shared: ssl.SSLContext | None = None
        if settings.ca_file is not None:
            self._shared = client_context(settings.ca_file)  # a CA file that cannot be used is told at the start

    def __repr__(self) -> str:
        return f"<Origins ca_file={self._ca_file} egress={self._dialer.egress}>"

    def make(self, entry: ConnectionEntry) -> DirectJira:
        """Return where the Jira of this connection is; its base URL has passed `connection_rules.read_base_url`."""
        parts = urlsplit(entry.base_url or "")
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        bare = f"[{host}]" if ":" in host else host
        origin = Origin(
            host=host,
            port=port,
            tls=self._tls(entry.ca_pem) if parts.scheme == "https" else None,
            server_hostname=host,
            host_header=(bare if port == _PORTS[parts.scheme] else f"{bare}:{port}").encode("ascii"),
            resolve=self._dialer.resolve,
        )
        return DirectJira(origin, parts.path.rstrip("/").encode("ascii"))

    def _tls(self, ca_pem: str | None) -> ssl.SSLContext:
        if ca_pem is not None:
            return client_context(self._ca_file, ca_pem)
        if self._shared is None:
            self._shared = client_context(self._ca_file)
        return self._shared
