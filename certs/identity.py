"""Who an agent is: a name given by the gateway's operator, and the instance enrolled under it.

The one place that knows how an identity is written in a certificate (docs/security.md): a single URI
`spiffe://jira-tunnel/agent/<name>/<instance>`. Strict on purpose: two spellings of one identity are two chances
to slip past a check.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Self

from certs.errors import CertificateRejected, NameRejected

URI_PREFIX = "spiffe://jira-tunnel/agent/"
NAME_RULE = "use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


def check_name(name: str) -> str:
    """Return the name of an agent or instance if it follows the grammar.

    Raises:
        NameRejected: it does not.
    """
    if not _NAME.fullmatch(name):
        raise NameRejected(name, NAME_RULE)
    return name


def new_instance_id() -> str:
    """Return an id for a freshly enrolled instance; never the same twice (64 random bits)."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, order=True)
class AgentIdentity:
    """An agent's name and one instance of it. Construction refuses names outside the grammar (NameRejected)."""

    name: str
    instance: str

    def __post_init__(self) -> None:
        check_name(self.name)
        check_name(self.instance)

    def __str__(self) -> str:
        return f"{self.name}/{self.instance}"

    @property
    def uri(self) -> str:
        """The identity as the certificate carries it."""
        return f"{URI_PREFIX}{self.name}/{self.instance}"

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """Read an identity from a certificate's URI.

        Raises:
            CertificateRejected: it is not exactly what `uri` writes.
        """
        name, separator, instance = uri.removeprefix(URI_PREFIX).partition("/")
        if not (uri.startswith(URI_PREFIX) and separator and _NAME.fullmatch(name) and _NAME.fullmatch(instance)):
            raise CertificateRejected("the certificate does not name an agent", "present the one made by enrolment")
        return cls(name, instance)
