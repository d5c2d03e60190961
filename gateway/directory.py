"""Who may do what, in memory: the immutable view of the store that the request path asks.

Built from one `Snapshot`, replaced as a whole when the store changes (`watch`). Lookups are dictionary
reads: no I/O, no await. Expiry is judged at the time of the question, not of the snapshot.
"""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from pydantic import SecretBytes

from gateway.sealing import SecretKey, WrongSecretKey
from gateway.store import Connection, Credentials, Instance, Scope, Snapshot, Store, StoreError, Token
from gateway.tokens import hash_token
from gateway.triggers import read_subscriptions

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What the bearer of a token may do. `rate` is in requests per second."""

    name: str
    connections: frozenset[str]
    scopes: frozenset[Scope]
    read_only: bool
    rate: float | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ConnectionEntry:
    """A connection as the request path needs it.

    `authorization` is the header value for Jira with credentials `gateway`, else None. `agent` is None for a
    direct connection, `base_url` for one through an agent.
    """

    name: str
    agent: str | None
    base_url: str | None
    credentials: Credentials
    authorization: SecretBytes | None
    rewrite_links: bool
    timeout_seconds: float
    ca_pem: str | None = field(default=None, repr=False)


class Directory:
    """One version of everything that is configured."""

    __slots__ = ("_agents", "_connections", "_instances", "_revoked_serials", "_tokens", "subscriptions", "version")

    def __init__(self, snapshot: Snapshot, key: SecretKey) -> None:
        """Index the snapshot. A connection whose secret does not open is left out, and logged."""
        self.version = snapshot.version
        self._agents = {agent.name: agent for agent in snapshot.agents}
        self._instances = {(row.agent, row.instance): row for row in snapshot.instances}
        self._revoked_serials = frozenset(row.serial for row in snapshot.instances if row.revoked_at)
        self._connections = dict(_connections(snapshot, key))
        self._tokens = dict(_tokens(snapshot))
        self.subscriptions = read_subscriptions(snapshot, key)

    def __repr__(self) -> str:
        return f"<Directory {self.version}: {len(self._connections)} connections, {len(self._agents)} agents>"

    def token(self, presented: bytes, now: datetime) -> TokenGrant | None:
        """Return what this token may do, or None when it is unknown, expired or revoked."""
        return self.grant(hash_token(presented), now)

    def grant(self, token_hash: str, now: datetime) -> TokenGrant | None:
        """Return the same for `gateway.tokens.hash_token` of a token."""
        found = self._tokens.get(token_hash)
        if found is None:
            return None
        grant, until = found
        return None if until is not None and until <= now else grant

    def connection(self, name: str) -> ConnectionEntry | None:
        """Return the connection of this name."""
        return self._connections.get(name)

    def connections(self) -> list[ConnectionEntry]:
        """Return all connections."""
        return list(self._connections.values())

    def connections_of(self, agent: str) -> list[ConnectionEntry]:
        """Return the connections that this agent carries."""
        return [entry for entry in self._connections.values() if entry.agent == agent]

    def direct(self) -> list[ConnectionEntry]:
        """Return the connections that this gateway carries itself."""
        return [entry for entry in self._connections.values() if entry.agent is None]

    def revoked(self, agent: str, instance: str, serial: str) -> bool:
        """Say whether a certificate that our CA signed must be refused all the same.

        An enrolled instance counts by its own record. One that is not on record (its certificate was issued
        by hand) may pass while its agent's name is known and was never revoked.
        """
        if serial in self._revoked_serials:
            return True
        known = self._instances.get((agent, instance))
        if known is not None:
            return known.revoked_at is not None
        name = self._agents.get(agent)
        return name is None or name.revoked_at is not None

    def agents(self) -> list[str]:
        """Return the names of all agents that may connect."""
        return [agent.name for agent in self._agents.values() if agent.revoked_at is None]

    def instances(self) -> list[Instance]:
        """Return the records of all enrolled instances, revoked ones included."""
        return list(self._instances.values())

    def instance(self, agent: str, instance: str) -> Instance | None:
        """Return the record of an enrolled instance."""
        return self._instances.get((agent, instance))


async def watch(
    store: Store, key: SecretKey, apply: Callable[[Directory], None], *, seen: int = -1, interval: float = 0.5
) -> None:
    """Hand a new `Directory` to `apply` within `interval` seconds of each change, until cancelled.

    `seen` is the version that the caller has already. A store that cannot be read is logged once per
    outage; the directory in force stays.
    """
    failing = False
    while True:
        try:
            if await store.version() != seen:
                directory = await read_directory(store, key)
                apply(directory)
                seen = directory.version
            failing = False
        except StoreError as error:
            if not failing:
                log.warning("store_unreadable", reason=str(error), consequence="changes are not seen")
            failing = True
        await asyncio.sleep(interval)


async def read_directory(store: Store, key: SecretKey) -> Directory:
    """Return the directory as of now."""
    return Directory(await store.snapshot(), key)


def secret_place(connection: str) -> str:
    """Return the place that a connection's secret is sealed for."""
    return f"connections/{connection}/sealed_secret"


def _connections(snapshot: Snapshot, key: SecretKey) -> list[tuple[str, ConnectionEntry]]:
    entries = []
    for row in snapshot.connections:
        try:
            entries.append((row.name, _entry(row, key)))
        except WrongSecretKey as error:
            log.error("connection_unusable", connection=row.name, reason=str(error))  # noqa: TRY400 - the reason says it all
    return entries


def _entry(row: Connection, key: SecretKey) -> ConnectionEntry:
    return ConnectionEntry(
        name=row.name,
        agent=row.agent,
        base_url=row.base_url,
        credentials=row.credentials,
        authorization=_authorization(row, key),
        rewrite_links=row.rewrite_links,
        timeout_seconds=row.timeout_seconds,
        ca_pem=row.ca_pem,
    )


def _authorization(row: Connection, key: SecretKey) -> SecretBytes | None:
    """Return the Authorization header for Jira: Basic with a user name (RFC 7617), Bearer without (RFC 6750)."""
    if row.credentials is not Credentials.GATEWAY or row.sealed_secret is None:
        return None
    secret = key.unseal(row.sealed_secret, secret_place(row.name)).get_secret_value()
    if row.username is None:
        return SecretBytes(b"Bearer " + secret)
    return SecretBytes(b"Basic " + base64.b64encode(row.username.encode() + b":" + secret))


def _tokens(snapshot: Snapshot) -> list[tuple[str, tuple[TokenGrant, datetime | None]]]:
    entries: list[tuple[str, tuple[TokenGrant, datetime | None]]] = []
    for row in snapshot.tokens:
        if row.revoked_at is not None:
            continue
        grant = _grant(row)
        entries.append((row.secret_hash, (grant, row.expires_at)))
        if row.previous_hash is not None and row.previous_expires_at is not None:
            until = min(filter(None, (row.previous_expires_at, row.expires_at)))
            entries.append((row.previous_hash, (grant, until)))
    return entries


def _grant(row: Token) -> TokenGrant:
    return TokenGrant(row.name, row.connections, row.scopes, row.read_only, row.rate, row.expires_at)
