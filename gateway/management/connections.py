"""`/connections`: list, get, create, change, delete, test, and what its account may do."""

from typing import Any

from pydantic import SecretStr

from gateway.connection_rules import ConnectionFields, takes_secret_elsewhere
from gateway.errors import NOT_FOUND
from gateway.management import models, reports
from gateway.management.office import Visit
from gateway.management.problems import declined
from gateway.operations import connections
from gateway.store import Connection
from gateway.unacceptable import Unacceptable
from runtime.exits import CommandFailed


async def list_all(visit: Visit) -> models.ConnectionList:
    """Return all connections."""
    rows = await visit.desk.store.connections()
    return models.ConnectionList(items=[_view(row) for row in rows])


async def create(visit: Visit) -> models.ConnectionView:
    """Add a connection."""
    return _view(await connections.add(visit.desk, visit.body.name, _fields(visit.body)))


async def get(visit: Visit) -> models.ConnectionDetails:
    """Return one connection."""
    row = connections.describe(await connections.find(visit.desk, visit.name))
    return models.ConnectionDetails(**row, tokens=await connections.tokens_of(visit.desk, visit.name))


async def update(visit: Visit) -> models.ConnectionView:
    """Change a connection; a stored secret goes nowhere else than where it was meant to go.

    The commands need no such rule: whoever runs them can read the gateway's secret key.
    """
    fields = _fields(visit.body)
    if takes_secret_elsewhere(await connections.find(visit.desk, visit.name), fields):
        raise Unacceptable("secret", "{secret} must be given again: the stored one is for the Jira at the old address")
    return _view(await connections.update(visit.desk, visit.name, fields))


async def remove(visit: Visit) -> None:
    """Delete a connection."""
    await connections.remove(visit.desk, visit.name, force=visit.query.force)


async def test(visit: Visit) -> models.TestReport:
    """Ask Jira through the connection now."""
    await connections.find(visit.desk, visit.name)
    return models.TestReport.model_validate(await visit.ask("test-connection", {"name": visit.name}))


async def permissions(visit: Visit) -> reports.PermissionReport:
    """Report what the connection's account may do in Jira."""
    await connections.find(visit.desk, visit.name)
    asked = visit.query.model_dump(exclude_unset=True)
    return reports.PermissionReport.model_validate(await visit.ask("permissions", {"name": visit.name, **asked}))


async def explain(visit: Visit) -> reports.AnswerExplained:
    """Explain a past answer on this connection."""
    await connections.find(visit.desk, visit.name)
    arguments = {"name": visit.name, "request_id": visit.path["request_id"]}
    try:
        return reports.AnswerExplained.model_validate(await visit.ask("explain", arguments))
    except CommandFailed as unknown:
        raise declined(NOT_FOUND, f"{unknown.line}.") from None


def _view(row: Connection) -> models.ConnectionView:
    return models.ConnectionView(**connections.describe(row))


def _fields(body: models.ConnectionChange) -> ConnectionFields:
    given: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set - {"name"}}
    if isinstance(secret := given.get("secret"), SecretStr):
        given["secret"] = secret.get_secret_value()
    return ConnectionFields(**given)
