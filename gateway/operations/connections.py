"""Connections: add, change, remove and describe."""

from dataclasses import asdict
from typing import Any

from pydantic import SecretBytes

from gateway.connection_rules import ConnectionFields, changed_connection, new_connection
from gateway.directory import secret_place
from gateway.operations.desk import Desk
from gateway.store import Connection, NotFound


async def add(desk: Desk, name: str, fields: ConnectionFields) -> Connection:
    """Store a new connection.

    Raises:
        Unacceptable: the fields contradict each other or a rule.
        AlreadyExists: the name is taken.
        NotFound: its agent was never invited.
    """
    row = new_connection(name, fields, lambda secret: _seal(desk, name, secret))
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.add_connection(row)
    return row


async def update(desk: Desk, name: str, fields: ConnectionFields) -> Connection:
    """Change a connection: what is not given stays; raises as `add` does, and NotFound."""
    row = changed_connection(await find(desk, name), fields, lambda secret: _seal(desk, name, secret))
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.update_connection(row)
    return row


async def remove(desk: Desk, name: str, *, force: bool) -> None:
    """Delete a connection, with `force` also from tokens that name it; raises NotFound, InUse."""
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.remove_connection(name, force=force)


async def find(desk: Desk, name: str) -> Connection:
    """Return the connection of this name; raises NotFound."""
    found = next((row for row in await desk.store.connections() if row.name == name), None)
    if found is None:
        raise NotFound("connection", name)
    return found


async def tokens_of(desk: Desk, name: str) -> list[str]:
    """Return the names of the live tokens that may use this connection."""
    live = [token for token in await desk.store.tokens() if token.revoked_at is None]
    return [token.name for token in live if name in token.connections]


def describe(connection: Connection) -> dict[str, Any]:
    """Return everything about a connection that is no secret."""
    row = asdict(connection)
    row["has_secret"] = row.pop("sealed_secret") is not None
    row["has_ca"] = row.pop("ca_pem") is not None
    return row


def _seal(desk: Desk, name: str, secret: str) -> bytes:
    return desk.key.seal(SecretBytes(secret.encode()), secret_place(name))
