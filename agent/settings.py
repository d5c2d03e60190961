"""Every setting of the agent: its name, default, unit and what may be in it.

The rest of the code receives plain values. The table is that of docs/contract.md §1.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, IPvAnyAddress, SecretStr, model_validator

from agent.addresses import GatewayAddress, JiraAddress, parse_webhook_url
from runtime.address import Address
from runtime.configuration import ConfigurationError, ProgramSettings

SYSTEM_STATE_DIR = Path("/var/lib/jira-agent")
MAX_LINKS = 64
_LINKS = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class LinkRange:
    """How many links the agent holds at least and at most."""

    minimum: int
    maximum: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``N`` or ``MIN-MAX``; raises ValueError with a problem and a fix."""
        found = _LINKS.fullmatch(text)
        if found is None:
            raise ValueError("is not a number of links; write N or MIN-MAX, for example 2-16")
        minimum = int(found[1])
        maximum = int(found[2] or minimum)
        if not 1 <= minimum <= maximum <= MAX_LINKS:
            raise ValueError(f"is out of range; 1 <= MIN <= MAX <= {MAX_LINKS}")
        return cls(minimum, maximum)

    def __str__(self) -> str:
        return str(self.minimum) if self.minimum == self.maximum else f"{self.minimum}-{self.maximum}"


def _parsed_by(parse: Callable[[str], object]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _listed(parse: Callable[[str], object] = str) -> BeforeValidator:
    def split(text: str) -> tuple[object, ...]:
        return tuple(parse(item.strip()) for item in text.split(",") if item.strip())

    return _parsed_by(split)


def _state_dir() -> Path:
    if os.geteuid() == 0 or os.access(SYSTEM_STATE_DIR, os.W_OK):
        return SYSTEM_STATE_DIR
    return Path.home() / ".local" / "state" / "jira-agent"


class AgentSettings(ProgramSettings):
    """The agent's settings, validated once at start."""

    prefix: ClassVar[str] = "JIRA_AGENT_"
    default_env_file: ClassVar[Path] = Path("/etc/jira-agent/agent.env")

    gateway_url: Annotated[tuple[GatewayAddress, ...], _listed(GatewayAddress.parse)] = Field(
        default=(), description="wss://host[:port] of the gateways, comma-separated (stored at enrolment)"
    )
    jira_url: Annotated[JiraAddress | None, _parsed_by(JiraAddress.parse)] = Field(
        default=None, description="base URL of Jira with its context path (required once enrolled)"
    )
    jira_username: str | None = Field(default=None, description="Jira user whose password is kept here")
    jira_password: SecretStr | None = Field(default=None, description="password of JIRA_USERNAME")
    jira_token: SecretStr | None = Field(default=None, description="personal access token, instead of a password")
    jira_ca_file: Path | None = Field(default=None, description="CA bundle for Jira's certificate (system store)")
    source_ip: IPvAnyAddress | None = Field(default=None, description="local address for connections to Jira (any)")
    policy_file: Path | None = Field(default=None, description="TOML policy; without it the built-in profiles")
    policy_profile: Annotated[tuple[str, ...], _listed()] = Field(
        default=("read-only",), description="built-in profiles: read-only, issues, webhooks, full-rest"
    )
    state_dir: Path = Field(default_factory=_state_dir, description="key, certificate, spool, control socket")
    links: Annotated[LinkRange, _parsed_by(LinkRange.parse)] = Field(
        default=LinkRange(2, 16), description="parallel links, N or MIN-MAX"
    )
    proxy_url: SecretStr | None = Field(default=None, description="HTTP CONNECT proxy, http(s)://user:pass@host:port")
    proxy_ca_file: Path | None = Field(default=None, description="CA bundle of an https:// proxy (system store)")
    webhook_listen: Annotated[Address | None, _parsed_by(Address.parse)] = Field(
        default=None, description="address where Jira posts webhooks (off)"
    )
    webhook_cert_file: Path | None = Field(
        default=None, description="certificate chain of WEBHOOK_LISTEN; without it Jira posts plain HTTP"
    )
    webhook_key_file: Path | None = Field(default=None, description="key of WEBHOOK_CERT_FILE")
    webhook_url: Annotated[str | None, _parsed_by(parse_webhook_url)] = Field(
        default=None, description="how Jira reaches WEBHOOK_LISTEN (required unless that is a loopback address)"
    )
    webhook_targets: Annotated[tuple[str, ...], _listed()] = Field(
        default=(),
        description="URL prefixes that a webhook registration passing through may name (/hooks/ below WEBHOOK_URL and "
        "on the gateways' hosts)",
    )
    spool_max_bytes: int = Field(
        default=1 << 30, ge=1 << 20, description="webhooks kept on disk until a gateway has them"
    )
    audit_max_bytes: int = Field(
        default=1 << 30, ge=1 << 20, description="audit log kept on disk; the oldest part goes for the newest"
    )
    admin_listen: Annotated[Address, _parsed_by(Address.parse)] = Field(
        default=Address("127.0.0.1", 9091), description="/healthz /readyz /metrics /status, read-only"
    )
    max_concurrency: int = Field(default=64, ge=1, le=4096, description="requests in flight to Jira")
    enroll_code: SecretStr | None = Field(default=None, description="one-time code for `enroll`")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level logged")
    log_format: Literal["auto", "json", "console"] = Field(default="auto", description="JSON unless a terminal")
    drain_seconds: float = Field(default=25.0, ge=0, le=3600, description="time for open streams at shutdown")
    memory_budget_bytes: int = Field(default=48 << 20, ge=1 << 20, description="bodies in flight, whole process")

    @model_validator(mode="after")
    def _one_kind_of_credentials(self) -> Self:
        has_password = self.jira_username is not None or self.jira_password is not None
        if self.jira_token is not None and has_password:
            raise ConfigurationError(
                "JIRA_AGENT_JIRA_TOKEN",
                "is set together with JIRA_AGENT_JIRA_USERNAME or JIRA_AGENT_JIRA_PASSWORD",
                "keep one of the two",
            )
        if self.jira_password is not None and self.jira_username is None:
            raise ConfigurationError(
                "JIRA_AGENT_JIRA_USERNAME", "is not set, but JIRA_AGENT_JIRA_PASSWORD is", "set both"
            )
        if self.jira_username is not None and self.jira_password is None:
            raise ConfigurationError(
                "JIRA_AGENT_JIRA_PASSWORD", "is not set, but JIRA_AGENT_JIRA_USERNAME is", "set both"
            )
        return self

    @model_validator(mode="after")
    def _webhooks_arrive(self) -> Self:
        if (self.webhook_cert_file is None) != (self.webhook_key_file is None):
            missing = "KEY" if self.webhook_key_file is None else "CERT"
            other = "CERT" if missing == "KEY" else "KEY"
            raise ConfigurationError(
                f"JIRA_AGENT_WEBHOOK_{missing}_FILE", f"is not set, but JIRA_AGENT_WEBHOOK_{other}_FILE is", "set both"
            )
        if self.webhook_listen is not None and self.webhook_url is None and not self.webhook_listen.is_loopback:
            raise ConfigurationError(
                "JIRA_AGENT_WEBHOOK_URL",
                "is not set, and JIRA_AGENT_WEBHOOK_LISTEN is no loopback address",
                "set it to how Jira reaches this agent, e.g. http://agent.corp.local:9443",
            )
        return self

    def webhook_base_url(self, bound: Address | None = None) -> str | None:
        """Return how Jira reaches the webhook listener; None without one. `bound` is where it came to listen."""
        if self.webhook_listen is None:
            return None
        if self.webhook_url is not None:
            return self.webhook_url
        scheme = "http" if self.webhook_cert_file is None else "https"
        return parse_webhook_url(f"{scheme}://{bound or self.webhook_listen}")

    def required_jira(self) -> JiraAddress:
        """Return Jira's address; raises `ConfigurationError` when it is not set."""
        if self.jira_url is None:
            raise ConfigurationError(
                "JIRA_AGENT_JIRA_URL",
                "is not set",
                "set it to Jira's base URL, e.g. https://jira.corp.local/jira",
            )
        return self.jira_url
