"""Tokens: create, rotate, revoke and describe."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from gateway.naming import parse_expiry
from gateway.operations.desk import Desk
from gateway.store import NotFound, Scope, Token
from gateway.tokens import format_rate, hash_token, make_token
from gateway.unacceptable import Unacceptable

DEFAULT_EXPIRY = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class TokenFields:
    """What may be said of a new token. `expires` is a duration or `never`, None the default; `rate` per second."""

    connections: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = frozenset({Scope.CALL})
    read_only: bool = False
    rate: float | None = None
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A token's secret, shown once."""

    name: str
    secret: SecretStr
    expires_at: datetime | None


async def create(desk: Desk, name: str, fields: TokenFields) -> NewSecret:
    """Make a token.

    Raises:
        Unacceptable: it names no connection, or its expiry cannot be read.
        AlreadyExists: the name is taken.
        NotFound: it names a connection that does not exist.
    """
    check_reach(fields)
    lifetime = DEFAULT_EXPIRY if fields.expires is None else parse_expiry("expires", fields.expires)
    secret = make_token()
    limits = {name: getattr(fields, name) for name in ("connections", "scopes", "read_only", "rate")}
    made = NewSecret(name, secret, None if lifetime is None else desk.now + lifetime)
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.add_token(Token(name, _hash(secret), desk.now, expires_at=made.expires_at, **limits))
    return made


def check_reach(fields: TokenFields) -> None:
    """Refuse a token that could do nothing; only one for administration needs no connection."""
    if not fields.connections and fields.scopes != {Scope.ADMIN}:
        raise Unacceptable("connections", "name at least one {connections} that the token may use")


async def rotate(desk: Desk, name: str, expires: str | None, overlap: timedelta | None) -> NewSecret:
    """Give a token a new secret and a new term: `expires`, else the usual one (none if it had none).

    Raises:
        Unacceptable: the expiry cannot be read.
        NotFound: there is no such token, or it was revoked.
    """
    endless = {row.name for row in await desk.store.tokens() if row.expires_at is None}
    usual = None if name in endless else DEFAULT_EXPIRY
    lifetime = usual if expires is None else parse_expiry("expires", expires)
    made = NewSecret(name, make_token(), None if lifetime is None else desk.now + lifetime)
    keep_until = None if overlap is None else desk.now + overlap
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.rotate_token(name, _hash(made.secret), expires_at=made.expires_at, keep_until=keep_until)
    return made


async def revoke(desk: Desk, name: str) -> None:
    """Revoke a token; raises NotFound also when it was revoked before."""
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.revoke_token(name)


async def find(desk: Desk, name: str) -> Token:
    """Return the token of this name, a revoked one too; raises NotFound."""
    found = next((row for row in await desk.store.tokens() if row.name == name), None)
    if found is None:
        raise NotFound("token", name)
    return found


def describe(token: Token, now: datetime) -> dict[str, Any]:
    """Return everything about a token that is no secret, and whether it still works."""
    row = asdict(token)
    for secret in ("secret_hash", "previous_hash", "previous_expires_at"):
        del row[secret]
    row["rate"] = None if token.rate is None else format_rate(token.rate)
    expired = token.expires_at is not None and token.expires_at <= now
    return {"name": token.name, "state": "revoked" if token.revoked_at else "expired" if expired else "active"} | row


def _hash(secret: SecretStr) -> str:
    return hash_token(secret.get_secret_value().encode())
