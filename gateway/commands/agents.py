"""`jira-gateway agents`: invite, list, show and revoke."""

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.options import EnvFile, Json, Name, group, read_duration, read_name
from gateway.commands.printing import duration, print_fields, print_json, print_table, put, say
from runtime.exits import CommandFailed

if TYPE_CHECKING:
    from gateway.certificate_authority import Invitation
    from gateway.commands.desk import Desk
    from gateway.store import Agent, Instance

LONGEST_INVITE = timedelta(hours=24)

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

    if name == "direct":
        raise typer.BadParameter("'direct' means without an agent: choose another name")
    if ttl > LONGEST_INVITE:
        raise typer.BadParameter("a code works for at most 24h")
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

    visit = enter(env_file)
    agents, instances = visit.work(_agents)
    links = visit.links()
    rows = [_summary(agent, instances, links) for agent in agents]
    if as_json:
        return print_json(rows)
    return print_table(
        rows, ("name", "state", "instances", "links", "created_at"), empty="No agents: jira-gateway agents invite NAME"
    )


@app.command()
def show(name: Name, *, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Show an agent: its instances, open codes, connections and live links."""
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands

    visit = enter(env_file)
    agent = visit.work(lambda desk: _details(desk, name))
    links = visit.links()
    agent["links"] = None if links is None else [link for link in links if link.get("agent") == name]
    if as_json:
        return print_json(agent)
    return _print_details(agent)


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

    count = at_desk(env_file, lambda desk: _revoke(desk, name, instance))
    say(f"Revoked {name}/{instance}." if instance else f"Revoked {name}: {count} live instances.")


async def _invite(desk: "Desk", name: str, ttl: timedelta) -> "Invitation":
    from gateway.certificate_authority import CertificateAuthority, invite  # noqa: PLC0415 - see gateway.commands

    authority = CertificateAuthority(desk.settings.state_dir)
    authority.create_if_absent(desk.now)
    settings = desk.settings
    if settings.tunnel_url is None and settings.tunnel_listen.port == 0:
        raise CommandFailed("JIRA_GATEWAY_TUNNEL_URL: is not set; set it to what agents dial", 78)
    address = settings.derived_tunnel_url(settings.tunnel_listen)
    return await invite(desk.store, authority, name, address, ttl=ttl, by=(desk.actor, desk.now))


async def _agents(desk: "Desk") -> "tuple[list[Agent], list[Instance]]":
    return await desk.store.agents(), await desk.store.instances()


async def _revoke(desk: "Desk", name: str, instance: str | None) -> int:
    async with desk.store.change(desk.actor, desk.now) as change:
        if instance is None:
            return await change.revoke_agent(name)
        await change.revoke_instance(name, instance)
        return 1


async def _details(desk: "Desk", name: str) -> dict[str, Any]:
    from gateway.store import NotFound  # noqa: PLC0415 - see gateway.commands

    agent = next((row for row in await desk.store.agents() if row.name == name), None)
    if agent is None:
        raise NotFound("agent", name)
    instances = [row for row in await desk.store.instances() if row.agent == name]
    invites = [row for row in await desk.store.invites() if row.agent == name]
    return {
        "name": name,
        "state": _state(agent, instances),
        "created_at": agent.created_at,
        "revoked_at": agent.revoked_at,
        "connections": [row.name for row in await desk.store.connections() if row.agent == name],
        "open_codes": [
            {"created_at": row.created_at, "expires_at": row.expires_at}
            for row in invites
            if row.used_at is None and row.expires_at > desk.now
        ],
        "instances": [
            {
                "instance": row.instance,
                "serial": row.serial,
                "enrolled_at": row.enrolled_at,
                "expires_at": row.expires_at,
                "revoked_at": row.revoked_at,
            }
            for row in instances
        ],
    }


def _summary(agent: "Agent", instances: "list[Instance]", links: list[dict[str, Any]] | None) -> dict[str, Any]:
    own = [row for row in instances if row.agent == agent.name]
    per_agent = Counter(link.get("agent") for link in links or ())
    return {
        "name": agent.name,
        "state": _state(agent, own),
        "instances": sum(row.revoked_at is None for row in own),
        "links": None if links is None else per_agent[agent.name],
        "created_at": agent.created_at,
        "revoked_at": agent.revoked_at,
    }


def _state(agent: "Agent", instances: "list[Instance]") -> str:
    if any(row.revoked_at is None for row in instances):
        return "enrolled"
    return "revoked" if agent.revoked_at or instances else "invited"


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
