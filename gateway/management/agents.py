"""`/agents` and `/invites`: list, get, invite and revoke."""

from gateway.management import models
from gateway.management.office import Visit
from gateway.naming import parse_duration
from gateway.operations import agents


async def list_all(visit: Visit) -> models.AgentList:
    """Return all agents."""
    rows = await agents.summaries(visit.desk, await visit.office.links())
    return models.AgentList.model_validate({"items": rows})


async def get(visit: Visit) -> models.AgentDetails:
    """Return one agent."""
    return models.AgentDetails.model_validate(await agents.details(visit.desk, visit.name, await visit.office.links()))


async def invite(visit: Visit) -> models.InviteCode:
    """Make an enrolment code."""
    ttl = parse_duration("ttl", visit.body.ttl)
    office = visit.office
    made = await agents.invite(visit.desk, office.authority, visit.name, office.tunnel_url(), ttl)
    return models.InviteCode(name=visit.name, code=made.code.get_secret_value(), expires_at=made.expires_at)


async def revoke(visit: Visit) -> models.Revoked:
    """Revoke an agent, or one instance of it."""
    count = await agents.revoke(visit.desk, visit.name, visit.body.instance or None)
    return models.Revoked(name=visit.name, instances=count)


async def list_invites(visit: Visit) -> models.InviteList:
    """Return all enrolment codes."""
    rows = await visit.desk.store.invites()
    items = [
        {
            "agent": row.agent,
            "state": agents.invite_state(row, visit.desk),
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "used_at": row.used_at,
        }
        for row in rows
    ]
    return models.InviteList.model_validate({"items": items})
