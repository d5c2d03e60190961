"""`jira-gateway tokens`: create, rotate, list and revoke."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.options import EnvFile, Json, Name, group, read_duration, read_expiry, read_name
from gateway.commands.printing import print_json, print_table, put, say, text

if TYPE_CHECKING:
    from gateway.operations.desk import Desk
    from gateway.operations.tokens import NewSecret

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
    from gateway.operations import tokens  # noqa: PLC0415 - see gateway.commands
    from gateway.store import Scope  # noqa: PLC0415 - see gateway.commands

    if expires is not None:
        read_expiry(expires)  # a usage error before anything else
    scopes = frozenset(map(Scope, scope or ["call"]))
    fields = tokens.TokenFields(frozenset(connection or ()), scopes, read_only, rate, expires)
    _print_token(at_desk(env_file, lambda desk: tokens.create(desk, name, fields)), as_json=as_json)


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
    from gateway.operations import tokens  # noqa: PLC0415 - see gateway.commands

    if expires is not None:
        read_expiry(expires)  # a usage error before anything else
    made = at_desk(env_file, lambda desk: tokens.rotate(desk, name, expires, overlap))
    _print_token(made, as_json=as_json)


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
    from gateway.operations import tokens  # noqa: PLC0415 - see gateway.commands

    at_desk(env_file, lambda desk: tokens.revoke(desk, name))
    say(f"Revoked {name}.")


async def _rows(desk: "Desk") -> list[dict[str, Any]]:
    from gateway.operations.tokens import describe  # noqa: PLC0415 - see gateway.commands

    return [describe(token, desk.now) for token in await desk.store.tokens()]


def _print_token(made: "NewSecret", *, as_json: bool) -> None:
    secret = made.secret.get_secret_value()
    if as_json:
        return print_json({"name": made.name, "token": secret})
    until = "never expires" if made.expires_at is None else f"expires {text(made.expires_at)}"
    say(f"The token {made.name} is shown once and {until}:")
    return put(secret)
