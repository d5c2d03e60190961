"""Jira's secret and the proxy's: the only file of the agent that unmasks them.

`JiraCredentials.inject` is the one place where a secret is put on a request. Nothing here is logged, and
no object here has a repr that tells more than the kind of credentials.
"""

import base64
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import SecretBytes, SecretStr

from runtime.configuration import ConfigurationError

if TYPE_CHECKING:
    from agent.settings import AgentSettings


class CredentialKind(Enum):
    """How the agent logs in to Jira."""

    NONE = "none"
    BASIC = "basic"
    BEARER = "bearer"


class JiraCredentials:
    """The login that the on-premise administrator keeps on this machine."""

    __slots__ = ("_header", "kind")

    def __init__(self, kind: CredentialKind, authorization: SecretBytes | None = None) -> None:
        self.kind = kind
        self._header = authorization

    @property
    def is_set(self) -> bool:
        """Whether there is a login at all."""
        return self._header is not None

    def is_same_as(self, other: "JiraCredentials") -> bool:
        """Say whether Jira would get the same login."""
        return self.kind is other.kind and self._header == other._header  # noqa: SLF001 - its own class

    def inject(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Append ``Authorization``; call it last, on headers that passed the allow-list."""
        if self._header is not None:
            headers.append((b"Authorization", self._header.get_secret_value()))

    def __repr__(self) -> str:
        return f"<JiraCredentials {self.kind.value}>"


def jira_credentials(settings: "AgentSettings") -> JiraCredentials:
    """Return the login of the settings; raises `ConfigurationError` for one that no header can carry."""
    if settings.jira_token is not None:
        token = settings.jira_token.get_secret_value()
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigurationError("JIRA_AGENT_JIRA_TOKEN", "holds characters that no token has", "copy it again")
        return JiraCredentials(CredentialKind.BEARER, SecretBytes(b"Bearer " + token.encode("ascii")))
    if settings.jira_username is not None and settings.jira_password is not None:
        if ":" in settings.jira_username:
            raise ConfigurationError(
                "JIRA_AGENT_JIRA_USERNAME", "holds a colon, which Basic login cannot carry", "use a token"
            )
        pair = f"{settings.jira_username}:{settings.jira_password.get_secret_value()}".encode()
        return JiraCredentials(CredentialKind.BASIC, SecretBytes(b"Basic " + base64.b64encode(pair)))
    return JiraCredentials(CredentialKind.NONE)


def proxy_url(secret: SecretStr) -> str:
    """Return the proxy's URL with its credentials, for the dialer's library call and nothing else.

    Raises `ConfigurationError` when it is not ``http(s)://[user:password@]host:port``.
    """
    text = secret.get_secret_value()
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigurationError(
            "JIRA_AGENT_PROXY_URL",
            "is not a proxy address",
            "write http://user:password@host:port (percent-encode special characters)",
        )
    return text


def proxy_name(secret: SecretStr) -> str:
    """Return ``host:port`` of the proxy, for logs and status."""
    parts = urlsplit(proxy_url(secret))
    return f"{parts.hostname}:{parts.port}"


def revealed_code(secret: SecretStr) -> str:
    """Return the enrolment code, for the one attempt to use it."""
    return secret.get_secret_value()


def revealed_secrets(settings: "AgentSettings") -> tuple[str, ...]:
    """Return every secret of the settings, and the parts of the proxy's, for whoever looks for them in a text."""
    found = [value for name in type(settings).model_fields if isinstance(value := getattr(settings, name), SecretStr)]
    texts = [secret.get_secret_value() for secret in found]
    if settings.proxy_url is not None:
        parts = urlsplit(settings.proxy_url.get_secret_value())
        texts += [unquote(part) for part in (parts.password, parts.username) if part]
        texts += [part for part in (parts.password,) if part]
    if settings.jira_username is not None and settings.jira_password is not None:
        texts.append(f"{settings.jira_username}:{settings.jira_password.get_secret_value()}")
    return tuple(texts)
