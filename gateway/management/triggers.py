"""`/triggers`: list, get, create, rotate, enable, replay and delete. Their events are read in event_reading."""

import asyncio
from typing import Any, Final

import structlog

from gateway.management import trigger_models as models
from gateway.management.office import Visit
from gateway.naming import parse_duration
from gateway.operations import trigger_views, triggers
from gateway.store.trigger_changes import server_of
from gateway.trigger_rules import TriggerFields
from runtime.exits import CommandFailed

log = structlog.get_logger()

SETTLE_SECONDS: Final = 60.0
_UNDECIDED: Final = {"kind": None, "way": None, "note": None, "manual": None}


async def list_all(visit: Visit) -> models.TriggerList:
    """Return all triggers."""
    rows = await trigger_views.summaries(visit.desk, visit.office.events)
    return models.TriggerList.model_validate({"items": [_shown(visit, row) for row in rows]})


async def get(visit: Visit) -> models.TriggerDetails:
    """Return one trigger."""
    row = await trigger_views.details(visit.desk, visit.office.events, visit.name)
    return models.TriggerDetails.model_validate(_shown(visit, row))


async def create(visit: Visit) -> models.MadeTrigger:
    """Add a trigger and say how it will learn of events."""
    made = await triggers.add(visit.desk, visit.body.name, _fields(visit.body))
    secret = None if made.secret is None else made.secret.get_secret_value()
    settled = await _settled(visit, visit.body.name)
    return models.MadeTrigger.model_validate({"name": visit.body.name, "secret": secret} | settled)


async def rotate(visit: Visit) -> models.TriggerSecret:
    """Give a trigger a new signing secret."""
    overlap = parse_duration("overlap", visit.body.overlap)
    secret = await triggers.rotate(visit.desk, visit.name, overlap)
    until = visit.desk.now + overlap
    return models.TriggerSecret(name=visit.name, secret=secret.get_secret_value(), previous_until=until)


async def enable(visit: Visit) -> None:
    """Let a trigger send again."""
    await triggers.enable(visit.desk, visit.name)


async def replay(visit: Visit) -> models.Replayed:
    """Send events again under their old ids."""
    body: models.Replaying = visit.body
    wanted = triggers.Replay(body.since or None, tuple(body.ids), body.dead)
    count = await triggers.replay(visit.desk, visit.office.events, visit.name, wanted)
    return models.Replayed(name=visit.name, count=count)


async def remove(visit: Visit) -> None:
    """Delete a trigger."""
    await triggers.remove(visit.desk, visit.name)


def _shown(visit: Visit, row: dict[str, Any]) -> dict[str, Any]:
    """Return what a token may see of a trigger: who may change nothing learns no address that may hold a secret."""
    if row["deliver_to"] is None or not visit.grant.read_only:
        return row
    return row | {"deliver_to": server_of(row["deliver_to"])}


async def _settled(visit: Visit, name: str) -> dict[str, Any]:
    """Return what became of a new trigger. It is stored and its secret must be told, whatever goes wrong here."""
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            await visit.office.refresh()
            return await visit.ask("settle-trigger", {"name": name})
    except CommandFailed as failed:
        return {**_UNDECIDED, "problem": failed.line}
    except Exception:
        log.exception("trigger_unsettled", trigger=name)
        return {**_UNDECIDED, "problem": "the gateway has not found out yet how this trigger learns of events"}


def _fields(body: models.NewTrigger) -> TriggerFields:
    given = body.model_fields_set
    return TriggerFields(
        connection=body.connection,
        events=tuple(body.events),
        jql=body.jql if "jql" in given else None,
        deliver_to=body.deliver_to if "deliver_to" in given else None,
        wanted=body.kind if "kind" in given else None,
        way=body.way if "way" in given else None,
        poll_seconds=body.poll_seconds if "poll_seconds" in given else None,
        ordered=body.ordered,
    )
