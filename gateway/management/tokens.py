"""`/tokens`: list, get, create, rotate and revoke."""

from gateway.management import models
from gateway.management.office import Visit
from gateway.naming import parse_duration
from gateway.operations import tokens
from gateway.store import Token
from gateway.tokens import parse_rate


async def list_all(visit: Visit) -> models.TokenList:
    """Return all tokens."""
    return models.TokenList(items=[_view(row, visit) for row in await visit.desk.store.tokens()])


async def get(visit: Visit) -> models.TokenView:
    """Return one token."""
    return _view(await tokens.find(visit.desk, visit.name), visit)


async def create(visit: Visit) -> models.TokenSecret:
    """Make a token."""
    body: models.NewToken = visit.body
    fields = tokens.TokenFields(
        connections=frozenset(body.connections),
        scopes=frozenset(body.scopes),
        read_only=body.read_only,
        rate=parse_rate(body.rate) if body.rate else None,
        expires=body.expires,
    )
    return _secret(await tokens.create(visit.desk, body.name, fields))


async def rotate(visit: Visit) -> models.TokenSecret:
    """Give a token a new secret."""
    body: models.Rotation = visit.body
    overlap = parse_duration("overlap", body.overlap) if body.overlap else None
    return _secret(await tokens.rotate(visit.desk, visit.name, body.expires or None, overlap))


async def revoke(visit: Visit) -> None:
    """Revoke a token."""
    await tokens.revoke(visit.desk, visit.name)


def _view(row: Token, visit: Visit) -> models.TokenView:
    described = tokens.describe(row, visit.desk.now)
    return models.TokenView.model_validate(
        {**described, "connections": sorted(row.connections), "scopes": sorted(row.scopes)}
    )


def _secret(made: tokens.NewSecret) -> models.TokenSecret:
    return models.TokenSecret(name=made.name, token=made.secret.get_secret_value(), expires_at=made.expires_at)
