"""Agents and their enrolment codes: invite, revoke and describe."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from gateway.certificate_authority import CertificateAuthority, Invitation
from gateway.certificate_authority import invite as make_invite
from gateway.operations.desk import Desk
from gateway.store import Agent, Instance, Invite, NotFound
from gateway.store.rows import DIRECT
from gateway.unacceptable import Unacceptable

LONGEST_INVITE = timedelta(hours=24)

Links = Sequence[dict[str, Any]]
"""What gateway.status.link_rows tells of links: of live ones, and of those that were lately wedged."""


def check_invite(name: str, ttl: timedelta) -> None:
    """Refuse an invite that must not be made; raises Unacceptable."""
    if name == DIRECT:
        raise Unacceptable("name", "'direct' means without an agent: choose another name")
    if ttl > LONGEST_INVITE:
        raise Unacceptable("ttl", "a code works for at most 24h")


async def invite(desk: Desk, authority: CertificateAuthority, name: str, address: str, ttl: timedelta) -> Invitation:
    """Make a one-time code for an agent's name; `address` is the tunnel that it dials.

    Raises:
        Unacceptable: not this name, or not for so long.
        CertsError: the CA or the address cannot be used.
    """
    check_invite(name, ttl)
    return await make_invite(desk.store, authority, name, address, ttl=ttl, by=(desk.actor, desk.now))


async def revoke(desk: Desk, name: str, instance: str | None) -> int:
    """Revoke an agent, or one instance of it, and return how many were live; raises NotFound."""
    async with desk.store.change(desk.actor, desk.now) as change:
        if instance is None:
            return await change.revoke_agent(name)
        await change.revoke_instance(name, instance)
        return 1


async def summaries(desk: Desk, links: Links | None) -> list[dict[str, Any]]:
    """Return one row per agent; `links` is None when nobody knows the live links."""
    agents, instances = await desk.store.agents(), await desk.store.instances()
    return [_summary(agent, instances, links) for agent in agents]


async def details(desk: Desk, name: str, links: Links | None) -> dict[str, Any]:
    """Return everything about one agent; raises NotFound."""
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
            if invite_state(row, desk) == "open"
        ],
        "instances": [_instance(row) for row in instances],
        "links": None if links is None else [link for link in links if link.get("agent") == name],
    }


def switched(links: Links | None) -> list[str]:
    """Return a line for each instance whose administrator has paused or narrowed it, as it says itself."""
    lines = {}
    for link in links or ():
        if link.get("switch", "open") != "open":  # a gateway that is not restarted yet after an upgrade tells none
            reason = f": {link['switch_reason']}" if link["switch_reason"] else ""
            lines[f"{link['agent']}/{link['instance']}"] = f"{link['switch']} by its administrator{reason}"
    return [f"{instance} is {what}." for instance, what in sorted(lines.items())]


def invite_state(row: Invite, desk: Desk) -> str:
    """Return what became of an enrolment code: open, used or expired."""
    if row.used_at is not None:
        return "used"
    return "open" if row.expires_at > desk.now else "expired"


def _instance(row: Instance) -> dict[str, Any]:
    fields = ("instance", "serial", "enrolled_at", "expires_at", "revoked_at")
    return {field: getattr(row, field) for field in fields}


def _summary(agent: Agent, instances: list[Instance], links: Links | None) -> dict[str, Any]:
    own = [row for row in instances if row.agent == agent.name]
    mine = [link for link in links or () if link.get("agent") == agent.name]
    wedged = sum(link.get("wedged_at") is not None for link in mine)
    return {
        "name": agent.name,
        "state": _state(agent, own),
        "instances": sum(row.revoked_at is None for row in own),
        "links": None if links is None else len(mine) - wedged,
        "wedged": None if links is None else wedged,
        "switch": sorted({str(link.get("switch", "open")) for link in mine}),
        "created_at": agent.created_at,
        "revoked_at": agent.revoked_at,
    }


def _state(agent: Agent, instances: list[Instance]) -> str:
    if any(row.revoked_at is None for row in instances):
        return "enrolled"
    return "revoked" if agent.revoked_at or instances else "invited"
