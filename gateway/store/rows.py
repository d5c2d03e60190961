"""What the store hands out: frozen rows with plain types.

Times are aware UTC datetimes with millisecond precision. Secrets are never here in the clear: a
connection's password is sealed (gateway/sealing.py), a token and an enrolment code are only hashes.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.store.event_rows import Hook, Trigger

DIRECT = "direct"
"""The value of `Connection.via` that means: without an agent."""


class Credentials(StrEnum):
    """Who supplies the credentials that Jira sees (docs/contract.md §3.3)."""

    AGENT = "agent"
    GATEWAY = "gateway"
    CALLER = "caller"


class Scope(StrEnum):
    """What a token may be used for."""

    CALL = "call"
    EVENTS = "events"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent name. `revoked_at` is the last time the whole name was revoked; an invite lets it return."""

    name: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """One enrolled process of an agent, with its newest certificate."""

    agent: str
    instance: str
    serial: str
    enrolled_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Invite:
    """One enrolment code, by the hash of its secret; `used_at` is set exactly once."""

    secret_hash: str
    agent: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """A configured Jira: where it is, how it is reached and whose credentials it sees."""

    name: str
    via: str
    credentials: Credentials
    base_url: str | None = None
    username: str | None = None
    sealed_secret: bytes | None = field(default=None, repr=False)
    rewrite_links: bool = True
    timeout_seconds: float = 60.0
    ca_pem: str | None = field(default=None, repr=False)

    @property
    def agent(self) -> str | None:
        """The agent whose links carry this connection, or None when it is direct."""
        return None if self.via == DIRECT else self.via


@dataclass(frozen=True, slots=True)
class Token:
    """A caller's token: the SHA-256 of its secret and what it may do.

    After a rotation with overlap the previous secret stays good until `previous_expires_at`.
    """

    name: str
    secret_hash: str = field(repr=False)
    created_at: datetime
    connections: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = frozenset({Scope.CALL})
    read_only: bool = False
    rate: float | None = None
    expires_at: datetime | None = None
    previous_hash: str | None = field(default=None, repr=False)
    previous_expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the request path needs, read in one transaction. `version` is the changes counter."""

    version: int
    agents: tuple[Agent, ...]
    instances: tuple[Instance, ...]
    connections: tuple[Connection, ...]
    tokens: tuple[Token, ...]
    triggers: tuple[Trigger, ...] = ()
    hooks: tuple[Hook, ...] = ()
