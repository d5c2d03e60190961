"""`jira-gateway agents`: invite, list, show and revoke."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.options import EnvFile, Json, Name, group, read_duration, read_name
from gateway.commands.printing import duration, print_fields, print_json, print_table, put, say
from runtime.exits import CommandFailed

if TYPE_CHECKING:
    from gateway.certificate_authority import Invitation
    from gateway.operations.desk import Desk

app = group("Agents: who may dial in. An invite makes a name; enrolment makes an instance of it.")


@app.command()
def invite(
    name: Name,
    *,
    ttl: Annotated[
        timedelta, typer.Option(parser=read_duration, metavar="1h", help="How long the code works, up to 24h.")
    ] = "1h",  # type: ignore[assignment] # typer parses the default too
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Print a one-time code with which one agent enrolls under NAME.

    The code holds a secret, the tunnel's address and the CA's fingerprint. Hand it over a private channel. A
    second code for the same name enrolls a second instance: both serve it, and either may fail.

    \b
    Examples:
      jira-gateway agents invite headquarters
      jira-gateway agents invite headquarters --ttl 30m | ssh jira-host jira-agent enroll -
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    made = at_desk(env_file, lambda desk: _invite(desk, name, ttl))
    code = made.code.get_secret_value()
    if as_json:
        return print_json({"name": name, "code": code, "expires_at": made.expires_at})
    say(f"Run on the agent's machine, within {duration(ttl)}: jira-agent enroll -   (and paste this line)")
    return put(code)


@app.command("list")
def list_agents(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """List all agents; links are known while the gateway runs."""
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands
    from gateway.operations.agents import summaries, switched  # noqa: PLC0415 - see gateway.commands

    visit = enter(env_file)
    links = visit.links()
    rows = visit.work(lambda desk: summaries(desk, links))
    if as_json:
        return print_json(rows)
    columns = ("name", "state", "instances", "links", "wedged", "switch", "created_at")
    print_table(rows, columns, empty="No agents: jira-gateway agents invite NAME")
    for line in switched(links):
        say(line)
    return None


@app.command()
def show(name: Name, *, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Show an agent: its instances, open codes, connections and live links."""
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands
    from gateway.operations.agents import details, switched  # noqa: PLC0415 - see gateway.commands

    visit = enter(env_file)
    links = visit.links()
    agent = visit.work(lambda desk: details(desk, name, links))
    if as_json:
        return print_json(agent)
    lines = switched(agent["links"])
    _print_details(agent)
    for line in lines:
        say(line)
    return None


@app.command()
def revoke(
    name: Name,
    *,
    instance: Annotated[
        str | None,
        typer.Option(metavar="ID", parser=read_name, help="Only this instance; see 'agents show NAME'."),
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """Revoke an agent, or one instance of it: its links close within seconds and it cannot dial in again.

    Revoking the whole name also cancels its unused codes. A new invite lets the name return, with new instances.

    \b
    Examples:
      jira-gateway agents revoke headquarters
      jira-gateway agents revoke headquarters --instance 0f3c9a1be2d47788
    """  # noqa: D301 - see invite
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import agents  # noqa: PLC0415 - see gateway.commands

    count = at_desk(env_file, lambda desk: agents.revoke(desk, name, instance))
    say(f"Revoked {name}/{instance}." if instance else f"Revoked {name}: {count} live instances.")


async def _invite(desk: "Desk", name: str, ttl: timedelta) -> "Invitation":
    from gateway.certificate_authority import CertificateAuthority  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import agents  # noqa: PLC0415 - see gateway.commands

    agents.check_invite(name, ttl)  # a usage error before a CA is made
    authority = CertificateAuthority(desk.settings.state_dir)
    authority.create_if_absent(desk.now)
    settings = desk.settings
    if settings.tunnel_url is None and settings.tunnel_listen.port == 0:
        raise CommandFailed("JIRA_GATEWAY_TUNNEL_URL: is not set; set it to what agents dial", 78)
    address = settings.derived_tunnel_url(settings.tunnel_listen)
    return await agents.invite(desk, authority, name, address, ttl)


def _print_details(agent: dict[str, Any]) -> None:
    tables = {name: agent.pop(name) for name in ("instances", "links", "open_codes")}
    print_fields(agent | {"open_codes": len(tables["open_codes"])})
    columns = ("instance", "serial", "enrolled_at", "expires_at", "revoked_at")
    print_table(tables["instances"], columns, empty="No instance has enrolled yet.")
    if tables["links"] is None:
        say("The gateway is not running here: links are not known.")
    else:
        fields = tuple(tables["links"][0]) if tables["links"] else ()
        print_table(tables["links"], fields, empty="No links.")
