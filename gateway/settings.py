"""Every setting of the gateway, its default and its unit (docs/contract.md §1)."""

import base64
import ipaddress
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from runtime.address import Address
from runtime.configuration import ConfigurationError, ProgramSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")


def _address(text: object) -> object:
    return Address.parse(text) if isinstance(text, str) else text


def _networks(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("holds something that is no network; write CIDRs such as 10.0.0.0/8,fd00::/8") from None


def _addresses(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return tuple(ipaddress.ip_address(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("holds something that is no IP address; write one, or one per family") from None


def _url(schemes: tuple[str, ...], example: str) -> AfterValidator:
    def check(text: str | None) -> str | None:
        if text is None:
            return None
        problem = f"is not an address; write {example}"
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(problem) from None
        if parts.scheme not in schemes or not _is_host(parts.hostname) or "@" in parts.netloc:
            raise ValueError(problem)
        if parts.query or parts.fragment:
            raise ValueError(problem)
        if parts.path.strip("/") or port == 0:
            raise ValueError(f"has a path; only scheme, host and port belong here: {example}")
        return text.rstrip("/")

    return AfterValidator(check)


def _is_host(host: str | None) -> bool:
    """Tell a host name or an IP address (urlsplit has lowered it) from what only a URL parser puts up with."""
    return bool(host) and set(host or "") <= _HOST_NAME_CHARACTERS | set("_:")


def _is_signing_secret(text: str) -> bool:
    """Tell whsec_ and 24 to 64 bytes in base64 from anything else (Standard Webhooks 1.0)."""
    prefix, found, encoded = text.partition("whsec_")
    try:
        return bool(found) and not prefix and 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False


def _domain(text: str | None) -> str | None:
    if text is None:
        return None
    domain = text.lower().strip(".")
    if not domain or not set(domain) <= _HOST_NAME_CHARACTERS:
        raise ValueError("is not a domain name; write for example jira.gateway.example.com")
    return domain


Listen = Annotated[Address, BeforeValidator(_address)]


class GatewaySettings(ProgramSettings):
    """The gateway's configuration, read once at start; nothing else reads the environment."""

    prefix: ClassVar[str] = "JIRA_GATEWAY_"
    default_env_file: ClassVar[Path] = Path("/etc/jira-gateway/gateway.env")

    api_listen: Listen = Field(Address("127.0.0.1", 8080), description="callers: host:port")
    api_cert_file: Path | None = Field(None, description="TLS certificate chain for callers (PEM)")
    api_key_file: Path | None = Field(None, description="its private key (PEM, mode 0600)")
    api_plaintext: bool = Field(False, description="1: no TLS on a public address, behind a TLS load balancer")
    tunnel_listen: Listen = Field(Address("0.0.0.0", 8443), description="agents, mutual TLS: host:port")
    admin_listen: Listen = Field(Address("127.0.0.1", 9090), description="/healthz /readyz /metrics, read-only")
    public_url: Annotated[str | None, _url(("http", "https"), "https://gateway.example.com")] = Field(
        None, description="what callers dial (derived from the listener on loopback)"
    )
    tunnel_url: Annotated[str | None, _url(("wss",), "wss://gateway.example.com:8443")] = Field(
        None, description="what agents dial (derived from the listener on loopback)"
    )
    connection_domain: Annotated[str | None, AfterValidator(_domain)] = Field(
        None, description="<connection>.<domain> addresses a connection by host name (off)"
    )
    database_url: str | None = Field(None, description="sqlite:///path (gateway.db in the state directory)")
    state_dir: Path = Field(Path("/var/lib/jira-gateway"), description="CA, server key, database, control socket")
    secret_key: SecretStr | None = Field(None, description="seals stored secrets (made in the state directory)")
    egress_ip: Annotated[tuple[IPAddress, ...], BeforeValidator(_addresses)] = Field(
        (), description="local source address of every outbound connection, one per family (any)"
    )
    egress_public_ip: Annotated[tuple[IPAddress, ...], BeforeValidator(_addresses)] = Field(
        (), description="what the world sees when behind NAT (the same)"
    )
    egress_check_url: str | None = Field(None, description="an HTTP echo service that proves it (off)")
    allow_networks: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = Field(
        (), description="CIDRs exempt from the SSRF check (none)"
    )
    ca_file: Path | None = Field(None, description="extra CAs for direct connections (PEM)")
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = Field(
        (), description="whose PROXY protocol and X-Forwarded-For are believed (none)"
    )
    max_body_bytes: int = Field(4 * 1024**3, gt=0, description="largest request body (4 GiB)")
    retention_days: int = Field(30, gt=0, description="how long events are kept")
    events_max_bytes: int = Field(10 * 1024**3, ge=1024**2, description="size of the events that are kept (10 GiB)")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: JSON unless a terminal")
    otel_endpoint: Annotated[str | None, _url(("http", "https"), "http://127.0.0.1:4318")] = Field(
        None, description="OpenTelemetry collector (OTLP/HTTP) that gets a span per request (off)"
    )
    otel_share: float = Field(1.0, ge=0, le=1, description="how much of what callers do not trace is traced")
    alert_url: SecretStr | None = Field(None, description="where alerts are posted; may hold a token (off)")
    alert_secret: SecretStr | None = Field(None, description="whsec_…: signs alerts (Standard Webhooks)")
    access_log: bool = Field(True, description="one line per request; 0: only what fails is logged")
    drain_seconds: float = Field(25, ge=0, le=600, description="how long requests in flight may finish at a stop")
    memory_budget_bytes: int = Field(48 * 1024**2, ge=1024**2, description="bodies in flight, whole process")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.api_cert_file is None) != (self.api_key_file is None):
            present, missing = ("CERT", "KEY") if self.api_key_file is None else ("KEY", "CERT")
            raise ConfigurationError(
                f"JIRA_GATEWAY_API_{missing}_FILE", "is not set", f"JIRA_GATEWAY_API_{present}_FILE needs it"
            )
        self._check_alerts()
        plain = self.api_cert_file is None and not self.api_plaintext
        if plain and not self.api_listen.is_loopback:
            raise ConfigurationError(
                "JIRA_GATEWAY_API_LISTEN",
                f"{self.api_listen} is reachable from outside without TLS",
                "set JIRA_GATEWAY_API_CERT_FILE and JIRA_GATEWAY_API_KEY_FILE, "
                "or JIRA_GATEWAY_API_PLAINTEXT=1 behind a TLS load balancer",
            )
        if self.public_url is None and not self.api_listen.is_loopback:
            raise ConfigurationError(
                "JIRA_GATEWAY_PUBLIC_URL",
                "is not set",
                "set it to what callers dial, e.g. https://gateway.example.com",
            )
        if self.tunnel_url is None and not self._tunnel_is_local:
            raise ConfigurationError(
                "JIRA_GATEWAY_TUNNEL_URL",
                "is not set",
                "set it to what agents dial, e.g. wss://gateway.example.com:8443",
            )
        return self

    def _check_alerts(self) -> None:
        if (self.alert_url is None) != (self.alert_secret is None):
            present, missing = ("URL", "SECRET") if self.alert_secret is None else ("SECRET", "URL")
            fix = f"JIRA_GATEWAY_ALERT_{present} needs it"
            if missing == "SECRET":
                fix += ': echo "whsec_$(openssl rand -base64 32)"'
            raise ConfigurationError(f"JIRA_GATEWAY_ALERT_{missing}", "is not set", fix)
        if self.alert_secret is not None and not _is_signing_secret(self.alert_secret.get_secret_value()):
            raise ConfigurationError(
                "JIRA_GATEWAY_ALERT_SECRET",
                "is not a signing secret of Standard Webhooks",
                'make one: echo "whsec_$(openssl rand -base64 32)"',
            )

    @property
    def _tunnel_is_local(self) -> bool:
        return self.tunnel_listen.is_loopback

    @property
    def callers_use_tls(self) -> bool:
        """Whether the API listener itself speaks TLS."""
        return self.api_cert_file is not None

    def derived_public_url(self, bound: Address) -> str:
        """Return the public URL, or the one of the listener that was bound on loopback."""
        return self.public_url or f"{'https' if self.callers_use_tls else 'http'}://{bound}"

    def derived_tunnel_url(self, bound: Address) -> str:
        """Return the tunnel URL, or the one of the listener that was bound on loopback."""
        return self.tunnel_url or f"wss://{bound}"
