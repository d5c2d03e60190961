"""`jira-gateway tokens`: create, rotate, list and revoke."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.options import EnvFile, Json, Name, group, read_duration, read_expiry, read_name
from gateway.commands.printing import print_json, print_table, put, say, text

if TYPE_CHECKING:
    from pydantic import SecretStr

    from gateway.commands.desk import Desk
    from gateway.store import Token

DEFAULT_EXPIRY = timedelta(days=90)

app = group("Tokens: what callers present, and what each may do.")

Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="90d", help="When it ends: 90d (default), 12h, … or never.", show_default=False),
]


def _rate(value: str) -> float:
    from gateway.tokens import RateInvalid, parse_rate  # noqa: PLC0415 - see gateway.commands

    try:
        return parse_rate(value)
    except RateInvalid as error:
        raise typer.BadParameter(str(error)) from None


def _scope(value: str) -> str:
    if value not in {"call", "events", "admin"}:
        raise typer.BadParameter(f"{value!r} is no scope: call, events or admin")
    return value


@app.command()
def create(
    name: Name,
    *,
    connection: Annotated[
        list[str] | None,
        typer.Option("--connection", metavar="C", parser=read_name, help="A connection it may use; repeatable."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only requests that change nothing.")] = False,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="call|events|admin", parser=_scope, help="Default: call; repeatable."),
    ] = None,
    expires: Expires = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N/s", parser=_rate, help="Requests allowed; default: no limit.")
    ] = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it once. It is stored only as a hash: who loses it rotates it.

    \b
    Examples:
      jira-gateway tokens create ci --connection headquarters
      jira-gateway tokens create reports --connection headquarters --read-only --rate 10/s --expires 30d
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.store import Scope  # noqa: PLC0415 - see gateway.commands

    scopes = frozenset(map(Scope, scope or ["call"]))
    if not connection and scopes != {Scope.ADMIN}:
        raise typer.BadParameter("name at least one --connection that the token may use")
    lifetime = DEFAULT_EXPIRY if expires is None else read_expiry(expires)
    limits = {"connections": frozenset(connection or ()), "scopes": scopes, "read_only": read_only, "rate": rate}
    secret, expires_at = at_desk(env_file, lambda desk: _create(desk, name, limits, lifetime))
    _print_token(name, secret, expires_at, as_json=as_json)


@app.command()
def rotate(
    name: Name,
    *,
    expires: Expires = None,
    overlap: Annotated[
        timedelta | None,
        typer.Option(parser=read_duration, metavar="1h", help="How long the old secret still works; default: not."),
    ] = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Give a token a new secret, and a new term (90d unless it never ends).

    \b
    Example, for a caller that cannot change at this very moment:
      jira-gateway tokens rotate ci --overlap 1h
    """  # noqa: D301 - see create
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    if expires is not None:
        read_expiry(expires)  # a usage error before anything else
    secret, expires_at = at_desk(env_file, lambda desk: _rotate(desk, name, expires, overlap))
    _print_token(name, secret, expires_at, as_json=as_json)


@app.command("list")
def list_tokens(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """List all tokens and what they may do; never their secrets."""
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    rows = at_desk(env_file, _rows)
    if as_json:
        return print_json(rows)
    columns = ("name", "state", "connections", "scopes", "read_only", "rate", "expires_at")
    return print_table(rows, columns, empty="No tokens: jira-gateway tokens create NAME --connection C")


@app.command()
def revoke(name: Name, *, env_file: EnvFile = None) -> None:
    """Revoke a token: it is refused within a second."""
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    at_desk(env_file, lambda desk: _revoke(desk, name))
    say(f"Revoked {name}.")


async def _create(
    desk: "Desk", name: str, limits: dict[str, Any], lifetime: timedelta | None
) -> "tuple[SecretStr, datetime | None]":
    from gateway.store import Token  # noqa: PLC0415 - see gateway.commands
    from gateway.tokens import hash_token, make_token  # noqa: PLC0415 - see gateway.commands

    secret = make_token()
    expires_at = None if lifetime is None else desk.now + lifetime
    token = Token(name, hash_token(secret.get_secret_value().encode()), desk.now, expires_at=expires_at, **limits)
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.add_token(token)
    return secret, expires_at


async def _rotate(
    desk: "Desk", name: str, expires: str | None, overlap: timedelta | None
) -> "tuple[SecretStr, datetime | None]":
    from gateway.tokens import hash_token, make_token  # noqa: PLC0415 - see gateway.commands

    endless = {row.name for row in await desk.store.tokens() if row.expires_at is None}
    usual = None if name in endless else DEFAULT_EXPIRY
    lifetime = usual if expires is None else read_expiry(expires)
    secret = make_token()
    expires_at = None if lifetime is None else desk.now + lifetime
    keep_until = None if overlap is None else desk.now + overlap
    async with desk.store.change(desk.actor, desk.now) as change:
        hashed = hash_token(secret.get_secret_value().encode())
        await change.rotate_token(name, hashed, expires_at=expires_at, keep_until=keep_until)
    return secret, expires_at


async def _rows(desk: "Desk") -> list[dict[str, Any]]:
    return [_row(token, desk.now) for token in await desk.store.tokens()]


async def _revoke(desk: "Desk", name: str) -> None:
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.revoke_token(name)


def _row(token: "Token", now: datetime) -> dict[str, Any]:
    from gateway.tokens import format_rate  # noqa: PLC0415 - see gateway.commands

    row = asdict(token)
    for secret in ("secret_hash", "previous_hash", "previous_expires_at"):
        del row[secret]
    row["rate"] = None if token.rate is None else format_rate(token.rate)
    expired = token.expires_at is not None and token.expires_at <= now
    return {"name": token.name, "state": "revoked" if token.revoked_at else "expired" if expired else "active"} | row


def _print_token(name: str, secret: "SecretStr", expires_at: datetime | None, *, as_json: bool) -> None:
    if as_json:
        return print_json({"name": name, "token": secret.get_secret_value(), "expires_at": expires_at})
    until = "never expires" if expires_at is None else f"expires {text(expires_at)}"
    say(f"The token {name} is shown once and {until}:")
    return put(secret.get_secret_value())
