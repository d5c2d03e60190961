"""What a change may do to triggers and hooks: the half of `Change` that is about events.

As there, every method writes its own audit record, and secrets never reach the trail. What the running gateway finds
out by itself (`decide_trigger`, hooks) goes into the trail as well: it changes what Jira sends, and where.
"""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, update

from gateway.audit import Detail
from gateway.store import event_tables, queries, tables
from gateway.store.errors import AlreadyExists, NotFound
from gateway.store.event_rows import Hook, Kind, State, Trigger
from gateway.store.threaded import ThreadedConnection


class TriggerChanges:
    """Changes of triggers and hooks; `gateway.store.change.Change` is one."""

    _db: ThreadedConnection
    _now: datetime

    async def record(self, action: str, subject: str, detail: Detail) -> None:
        """Append to the audit trail."""
        raise NotImplementedError

    # Triggers

    async def add_trigger(self, trigger: Trigger) -> Trigger:
        """Store a new trigger and return it with its id (the one given does not count).

        Raises:
            AlreadyExists: the name is taken.
            NotFound: its connection does not exist.
        """
        table = event_tables.triggers
        if await self._count(table, table.c.name == trigger.name):
            raise AlreadyExists("trigger", trigger.name)
        if not await self._count(tables.connections, tables.connections.c.name == trigger.connection):
            raise NotFound("connection", trigger.connection)
        fields = _trigger_fields(trigger)
        number = await self._db.scalar(insert(table).values(fields).returning(table.c.id))
        await self.record("trigger.add", trigger.name, _shown(fields))
        return (await queries.trigger(self._db, int(number))) or trigger

    async def remove_trigger(self, name: str) -> Trigger:
        """Delete a trigger and everything that waits for it, and return what it was; raises NotFound."""
        found = await self._trigger(name)
        await self._db.execute(delete(event_tables.deliveries).where(event_tables.deliveries.c.trigger == found.id))
        await self._db.execute(delete(event_tables.triggers).where(event_tables.triggers.c.id == found.id))
        await self._db.execute(
            delete(event_tables.watermarks).where(event_tables.watermarks.c.name == f"trigger:{found.id}")
        )
        await self.record("trigger.remove", name, {"connection": found.connection})
        return found

    async def decide_trigger(self, name: str, kind: Kind | None, hook: int | None, note: str | None) -> None:
        """Keep how a trigger learns of events; raises NotFound."""
        found = await self._trigger(name)
        if (found.kind, found.hook, found.note) == (kind, hook, note):
            return
        await self._update_trigger(found, kind=kind, hook=hook, note=note)
        await self.record("trigger.decide", name, {"kind": kind, "hook": hook, "note": note})

    async def rotate_trigger_secret(self, name: str, sealed: bytes, keep_until: datetime | None) -> None:
        """Give a trigger a new signing secret; both sign until `keep_until`. Raises NotFound."""
        found = await self._trigger(name)
        previous = found.sealed_secret if keep_until else None
        await self._update_trigger(found, sealed_secret=sealed, sealed_previous=previous, previous_until=keep_until)
        until = None if keep_until is None else keep_until.isoformat()
        await self.record("trigger.rotate", name, {"old_secret_until": until})

    async def disable_trigger(self, name: str, reason: str) -> None:
        """Send nothing any more; events are stored all the same. Raises NotFound."""
        await self._update_trigger(await self._trigger(name), disabled_at=self._now, disabled_reason=reason)
        await self.record("trigger.disable", name, {"reason": reason})

    async def enable_trigger(self, name: str) -> None:
        """Send again, beginning with what has waited; raises NotFound."""
        found = await self._trigger(name)
        await self._update_trigger(found, disabled_at=None, disabled_reason=None)
        await self._make_due(found.id, event_tables.deliveries.c.state == State.PENDING.value)
        await self.record("trigger.enable", name, {})

    async def replay(
        self, name: str, *, since: datetime | None = None, numbers: Collection[int] = (), dead_only: bool = False
    ) -> int:
        """Make deliveries due again as if never tried: those stored `since`, or these; return how many.

        Raises NotFound.
        """
        found = await self._trigger(name)
        row, event = event_tables.deliveries.c, event_tables.events.c
        wanted: list[Any] = [row.state.in_([State.DEAD.value] if dead_only else [s.value for s in State])]
        if since is not None:
            wanted.append(row.event.in_(select(event.seq).where(event.received_at >= since)))
        if numbers:
            wanted.append(row.number.in_(list(numbers)))
        count = await self._make_due(found.id, *wanted)
        moment = None if since is None else since.isoformat()
        await self.record("trigger.replay", name, {"since": moment, "numbers": len(numbers), "count": count})
        return count

    async def _make_due(self, trigger: int, *wanted: Any) -> int:
        table = event_tables.deliveries
        query = (
            update(table)
            .where(table.c.trigger == trigger, *wanted)
            .values(state=State.PENDING.value, attempts=0, next_at=self._now, settled_at=None)
        )
        return (await self._db.execute(query)).rowcount

    async def _trigger(self, name: str) -> Trigger:
        found = await queries.trigger(self._db, name)
        if found is None:
            raise NotFound("trigger", name)
        return found

    async def _update_trigger(self, trigger: Trigger, **values: Any) -> None:
        table = event_tables.triggers
        await self._db.execute(update(table).where(table.c.id == trigger.id).values(values))

    # Hooks

    async def add_hook(self, hook: Hook) -> Hook:
        """Store a new hook and return it with its id (the one given does not count)."""
        table, fields = event_tables.hooks, _hook_fields(hook)
        number = int(await self._db.scalar(insert(table).values(fields).returning(table.c.id)))
        await self.record("hook.add", f"{hook.connection}/{number}", _shown(fields))
        return next(row for row in await queries.hooks(self._db) if row.id == number)

    async def update_hook(self, hook: Hook) -> None:
        """Replace the hook of this id; nothing is recorded when nothing is different."""
        before = next((row for row in await queries.hooks(self._db) if row.id == hook.id), None)
        if before is None or before == hook:
            return
        table, fields = event_tables.hooks, _hook_fields(hook)
        await self._db.execute(update(table).where(table.c.id == hook.id).values(fields))
        await self.record("hook.update", f"{hook.connection}/{hook.id}", _shown(fields))

    async def remove_hook(self, hook: Hook) -> None:
        """Delete a hook that no trigger uses any more."""
        table = event_tables.hooks
        await self._db.execute(delete(table).where(table.c.id == hook.id))
        await self._db.execute(delete(event_tables.hook_states).where(event_tables.hook_states.c.hook == hook.id))
        await self.record("hook.remove", f"{hook.connection}/{hook.id}", {})

    async def _count(self, table: Table, condition: Any) -> int:
        return int(await self._db.scalar(select(func.count()).select_from(table).where(condition)) or 0)


def _trigger_fields(trigger: Trigger) -> dict[str, Any]:
    fields = asdict(trigger) | {"events": " ".join(sorted(trigger.events))}
    del fields["id"]
    return fields


def _hook_fields(hook: Hook) -> dict[str, Any]:
    fields = asdict(hook)
    del fields["id"]
    return fields


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what the trail may show."""
    hidden = {"sealed_secret", "sealed_previous", "sealed_id", "id_hash", "created_at", "name", "previous_until"}
    shown = {name: value for name, value in fields.items() if name not in hidden and value is not None}
    if shown.get("deliver_to"):
        shown["deliver_to"] = server_of(str(shown["deliver_to"]))
    return shown


def server_of(url: str) -> str:
    """Return what of a delivery address is no secret: many a service has one in the path, or in the query."""
    return "/".join(url.split("/", 3)[:3]).partition("?")[0] + "/…"
