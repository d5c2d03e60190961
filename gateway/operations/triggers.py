"""Triggers: add, rotate, enable, replay and remove; what is told of them is gateway.operations.trigger_views's."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from pydantic import SecretBytes, SecretStr

from gateway.events.envelope import message_id
from gateway.events.signing import make_secret
from gateway.operations import connections
from gateway.operations.desk import Desk
from gateway.store import NotFound, Trigger
from gateway.store.event_store import EventStore
from gateway.trigger_rules import TriggerFields, check_connection, new_trigger, read_ids, read_since
from gateway.triggers import trigger_place
from gateway.unacceptable import Unacceptable

DEFAULT_OVERLAP: Final = timedelta(hours=24)
_AT_ONCE: Final = 2000


@dataclass(frozen=True, slots=True)
class MadeTrigger:
    """A trigger with its signing secret, which is shown once; None: nothing is sent, so nothing is signed."""

    trigger: Trigger
    secret: SecretStr | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What is to be sent again: everything `since` then, or these `ids` (of messages, or cursors); or all that is dead.

    `dead`: of those only what was given up.
    """

    since: str | None = None
    ids: tuple[str, ...] = ()
    dead: bool = False


async def add(desk: Desk, name: str, fields: TriggerFields) -> MadeTrigger:
    """Store a new trigger; the running gateway decides how it learns of events.

    Raises:
        Unacceptable: the fields contradict each other or a rule.
        AlreadyExists: the name is taken.
        NotFound: its connection does not exist.
    """
    row = new_trigger(name, fields, desk.now, desk.settings.allow_networks)
    siblings = [other for other in await desk.store.triggers() if other.connection == row.connection]
    check_connection(row, await connections.find(desk, row.connection), len(siblings))
    secret = make_secret()  # every trigger has one, so that deliveries can begin any time
    async with desk.store.change(desk.actor, desk.now) as change:
        made = await change.add_trigger(replace(row, sealed_secret=_seal(desk, name, secret)))
    return MadeTrigger(made, None if row.deliver_to is None else secret)


async def rotate(desk: Desk, name: str, overlap: timedelta | None) -> SecretStr:
    """Give a trigger a new signing secret; for the time of `overlap` the old one signs too.

    Raises:
        NotFound: there is no such trigger.
        Unacceptable: nothing is sent, so nothing is signed.
    """
    _check_sends(await find(desk, name))
    secret = make_secret()
    keep_until = None if overlap is None else desk.now + overlap
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.rotate_trigger_secret(name, _seal(desk, name, secret), keep_until)
    return secret


async def enable(desk: Desk, name: str) -> None:
    """Send again what has waited since the trigger was disabled, and what comes; raises NotFound."""
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.enable_trigger(name)


async def remove(desk: Desk, name: str) -> Trigger:
    """Delete a trigger and its deliveries, and return what it was; raises NotFound.

    The running gateway takes its webhook out of Jira, when it was the gateway that put it there.
    """
    async with desk.store.change(desk.actor, desk.now) as change:
        return await change.remove_trigger(name)


async def replay(desk: Desk, events: EventStore, name: str, wanted: Replay) -> int:
    """Send deliveries again under their old ids and return how many that are.

    Raises:
        NotFound: there is no such trigger, or it has no event of one of the ids.
        Unacceptable: nothing is sent, or what is wanted is unclear.
    """
    by_time, by_id = wanted.since is not None, bool(wanted.ids)
    if (by_time and by_id) or not (by_time or by_id or wanted.dead):
        raise Unacceptable("since", "say either {since} or {ids}; or {dead} alone for everything that was given up")
    since = None if wanted.since is None else read_since(wanted.since, desk.now)
    cursors, messages = read_ids(wanted.ids)
    trigger = await find(desk, name)
    _check_sends(trigger)
    numbers = cursors | await _numbers_of(events, trigger, messages)
    async with desk.store.change(desk.actor, desk.now) as change:
        return await change.replay(name, since=since, numbers=numbers, dead_only=wanted.dead)


async def find(desk: Desk, name: str) -> Trigger:
    """Return the trigger of this name; raises NotFound."""
    found = next((row for row in await desk.store.triggers() if row.name == name), None)
    if found is None:
        raise NotFound("trigger", name)
    return found


async def _numbers_of(events: EventStore, trigger: Trigger, messages: Collection[str]) -> set[int]:
    """Return the numbers of messages. An id is a hash of what happened: who wants its number looks at them all."""
    missing, found, after = set(messages), set[int](), 0
    while missing:
        page = await events.headlines(trigger.id, after, limit=_AT_ONCE)
        if not page:
            raise NotFound("event", min(missing))
        for delivery in page:
            name = message_id(delivery.event, trigger.id)
            if name in missing:
                missing.discard(name)
                found.add(delivery.number)
        after = page[-1].number
    return found


def _check_sends(trigger: Trigger) -> None:
    if trigger.deliver_to is None:
        raise Unacceptable("deliver_to", "this trigger has no {deliver_to}: nothing is sent, its events are fetched")


def _seal(desk: Desk, name: str, secret: SecretStr) -> bytes:
    return desk.key.seal(SecretBytes(secret.get_secret_value().encode()), trigger_place(name))
