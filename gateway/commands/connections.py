"""`jira-gateway connections`: add, update, list, show, test, remove; permissions and explain are permissions.py's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands import permissions
from gateway.commands.options import EnvFile, Json, Name, group, read_name, read_secret, read_text
from gateway.commands.printing import print_fields, print_json, print_table, say
from runtime.exits import DENIED, CommandFailed

if TYPE_CHECKING:
    from gateway.operations.desk import Desk
    from gateway.store import Connection

app = group("Connections: each names one Jira, how it is reached and whose credentials it sees.")

_CREDENTIALS = ("agent", "gateway", "caller")


def _credentials(value: str) -> str:
    if value not in _CREDENTIALS:
        raise typer.BadParameter(f"{value!r} is none of agent, gateway, caller")
    return value


Via = Annotated[
    str | None, typer.Option("--via", metavar="AGENT|direct", parser=read_name, help="Through which agent, or direct.")
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Jira's address with context path (--via direct only).")
]
CredentialsOption = Annotated[
    str | None,
    typer.Option(
        "--credentials",
        metavar="agent|gateway|caller",
        parser=_credentials,
        help="Whose login Jira sees: kept at the agent, sealed here, or sent by the caller.",
    ),
]
Username = Annotated[
    str | None, typer.Option("--username", metavar="U", help="With --credentials gateway: for Basic; none: bearer.")
]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", metavar="F|-", help="File with password or token; -: standard input."),
]
Timeout = Annotated[float | None, typer.Option("--timeout", metavar="S", help="Seconds Jira may take (60).")]
RewriteLinks = Annotated[
    bool | None,
    typer.Option(
        "--rewrite-links/--no-rewrite-links", help="Point links in answers at the gateway (yes).", show_default=False
    ),
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", metavar="F", help="CAs of Jira's certificate, PEM (--via direct only).")
]


@app.command()
def add(
    name: Name,
    *,
    via: Via = None,
    base_url: BaseUrl = None,
    credentials: CredentialsOption = None,
    username: Username = None,
    secret_file: SecretFile = None,
    timeout: Timeout = None,
    rewrite_links: RewriteLinks = None,
    ca_file: CaFile = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Add a connection. Callers reach it as <PUBLIC_URL>/jira/NAME/… with a token that names it.

    \b
    Examples:
      jira-gateway connections add hq --via headquarters --credentials agent
      jira-gateway connections add hq --via headquarters --credentials gateway --username bot --secret-file -
      jira-gateway connections add cloud --via direct --base-url https://x.atlassian.net --credentials caller
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.connection_rules import ConnectionFields  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import connections  # noqa: PLC0415 - see gateway.commands

    if via is None or credentials is None:
        raise typer.BadParameter("--via and --credentials are needed")
    secret = None if secret_file is None else read_secret(secret_file)
    ca_pem = None if ca_file is None else read_text(ca_file)
    fields = ConnectionFields(via, base_url, credentials, username, secret, timeout, rewrite_links, ca_pem)
    made = at_desk(env_file, lambda desk: connections.add(desk, name, fields))
    _print_saved(made, "Added", as_json=as_json)
    _warn_of_address(made, env_file)


@app.command()
def update(
    name: Name,
    *,
    via: Via = None,
    base_url: BaseUrl = None,
    credentials: CredentialsOption = None,
    username: Username = None,
    secret_file: SecretFile = None,
    timeout: Timeout = None,
    rewrite_links: RewriteLinks = None,
    ca_file: CaFile = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Change a connection; what is not given stays. New --credentials are given whole.

    \b
    Examples:
      jira-gateway connections update hq --timeout 120
      jira-gateway connections update hq --secret-file /run/secrets/jira-password
    """  # noqa: D301 - see add
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.connection_rules import ConnectionFields  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import connections  # noqa: PLC0415 - see gateway.commands

    secret = None if secret_file is None else read_secret(secret_file)
    ca_pem = None if ca_file is None else read_text(ca_file)
    fields = ConnectionFields(via, base_url, credentials, username, secret, timeout, rewrite_links, ca_pem)
    if fields == ConnectionFields():
        raise typer.BadParameter("nothing to change: give at least one of the flags of 'connections add'")
    changed = at_desk(env_file, lambda desk: connections.update(desk, name, fields))
    _print_saved(changed, "Updated", as_json=as_json)
    _warn_of_address(changed, env_file)


@app.command("list")
def list_connections(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """List all connections."""
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.operations.connections import describe  # noqa: PLC0415 - see gateway.commands

    rows = [describe(row) for row in at_desk(env_file, lambda desk: desk.store.connections())]
    if as_json:
        return print_json(rows)
    columns = ("name", "via", "base_url", "credentials", "username", "timeout_seconds", "rewrite_links")
    return print_table(rows, columns, empty="No connections: jira-gateway connections add NAME --via AGENT …")


@app.command()
def show(name: Name, *, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Show a connection and the tokens that may use it; never its secret."""
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    row = at_desk(env_file, lambda desk: _details(desk, name))
    return print_json(row) if as_json else print_fields(row)


@app.command("test")
def try_out(name: Name, *, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Ask the running gateway to try this connection now; status 1 when that fails, 69 when nothing runs."""
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands
    from gateway.operations.connections import find  # noqa: PLC0415 - see gateway.commands

    visit = enter(env_file)
    visit.work(lambda desk: find(desk, name))
    result = visit.ask("test-connection", {"name": name})
    if as_json:
        print_json(result)
    else:
        print_table(result["checks"], ("check", "result", "detail", "action"), empty="Nothing was checked.")
    if not result.get("ok", False):
        raise CommandFailed(f"the connection {name} does not work", DENIED)


@app.command()
def remove(
    name: Name,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also take it out of the tokens that name it.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Remove a connection, if no token names it. A later one of the same name is not reached by old tokens."""
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import connections  # noqa: PLC0415 - see gateway.commands

    at_desk(env_file, lambda desk: connections.remove(desk, name, force=force))
    say(f"Removed {name}.")


app.command()(permissions.permissions)
app.command()(permissions.explain)


async def _details(desk: "Desk", name: str) -> dict[str, Any]:
    from gateway.operations.connections import describe, find, tokens_of  # noqa: PLC0415 - see gateway.commands

    return describe(await find(desk, name)) | {"tokens": await tokens_of(desk, name)}


def _print_saved(connection: "Connection", done: str, *, as_json: bool) -> None:
    from gateway.operations.connections import describe  # noqa: PLC0415 - see gateway.commands

    if as_json:
        return print_json(describe(connection))
    return say(f"{done} {connection.name}.")


def _warn_of_address(connection: "Connection", env_file: Path | None) -> None:
    """Say when a direct connection cannot work as it is: its host is unknown here, or may not be dialled."""
    if connection.agent is not None:
        return
    import asyncio  # noqa: PLC0415 - see gateway.commands

    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands
    from gateway.doctor import check_direct  # noqa: PLC0415 - see gateway.commands

    check = asyncio.run(check_direct(enter(env_file).settings, connection))
    if check.result == "fail":
        say(f"Warning: {check.detail}; {check.action}.")
