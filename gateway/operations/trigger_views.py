"""What is told of triggers: how each learns of events, how that goes, and what became of its deliveries."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.events.envelope import compose
from gateway.operations.desk import Desk
from gateway.operations.triggers import find
from gateway.store import Delivery, Gap, Hook, HookState, Kind, State, Trigger, Watermark
from gateway.store.event_store import EventStore
from gateway.trigger_rules import never_filtered, never_found


async def summaries(desk: Desk, events: EventStore) -> list[dict[str, Any]]:
    """Return a row for each trigger, by name."""
    seen = await _Sight.of(desk, events)
    return [seen.summary(row) for row in await desk.store.triggers()]


async def details(desk: Desk, events: EventStore, name: str) -> dict[str, Any]:
    """Return everything about a trigger that is no secret; raises NotFound."""
    row = await find(desk, name)
    seen = await _Sight.of(desk, events)
    gaps = [_gap(gap) for gap in await desk.store.gaps(open_only=True) if seen.concerns(gap, row)]
    return seen.summary(row) | seen.life(row) | {"open_gaps": gaps}


def as_json(delivery: Delivery, trigger_name: str) -> bytes:
    """Return a delivery as JSON: its place, what became of it, and the event as a subscriber gets it."""
    about = {
        "cursor": str(delivery.number),
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "next_at": None if delivery.next_at is None else delivery.next_at.isoformat(),
    }
    return b'%b,"event":%b}' % (json.dumps(about)[:-1].encode(), compose(delivery, trigger_name))


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is known of all triggers' lives at one moment."""

    hooks: dict[int, Hook]
    states: dict[int, HookState]
    watermarks: dict[str, Watermark]
    counts: dict[int, dict[State, int]]
    now: datetime

    @classmethod
    async def of(cls, desk: Desk, events: EventStore) -> "_Sight":
        store = desk.store
        hooks = {hook.id: hook for hook in await store.hooks()}
        return cls(hooks, await store.hook_states(), await store.watermarks(), await events.counts(), desk.now)

    def summary(self, row: Trigger) -> dict[str, Any]:
        """Return what is told of a trigger in a list."""
        hook, counts = self._hook(row), self.counts.get(row.id, {})
        return {
            "name": row.name,
            "connection": row.connection,
            "state": "disabled" if row.disabled_at else "deciding" if row.kind is None else "active",
            "kind": row.kind,
            "way": row.way if hook is None else hook.way,
            "events": sorted(row.events),
            "jql": row.jql,
            "deliver_to": row.deliver_to,
            "problem": self._problem(row),
            "counts": {state.value: counts.get(state, 0) for state in State},
        }

    def life(self, row: Trigger) -> dict[str, Any]:
        """Return what else is told of a single one."""
        previous_until = row.previous_until if row.previous_until and row.previous_until > self.now else None
        return {
            "ordered": row.ordered,
            "poll_seconds": row.poll_seconds,
            "created_at": row.created_at,
            "wanted": row.wanted,
            "note": row.note,
            "disabled_at": row.disabled_at,
            "disabled_reason": row.disabled_reason,
            "previous_until": previous_until,
            "never_found": never_found(row.events) if row.kind is Kind.POLLED else [],
            "never_filtered": never_filtered(row.events) if row.jql is not None else [],
            "hook": self._hook_row(row),
            "watermark": self._watermark_row(row),
        }

    def concerns(self, gap: Gap, row: Trigger) -> bool:
        """Say whether a trigger may have missed something in a gap."""
        hook = self._hook(row)
        return gap.connection == row.connection and hook is not None and gap.way in {None, hook.way}

    def _hook(self, row: Trigger) -> Hook | None:
        return None if row.hook is None or row.kind is Kind.POLLED else self.hooks.get(row.hook)

    def _problem(self, row: Trigger) -> str | None:
        """Return what a person should look at first."""
        if row.kind is None:
            return row.note
        mark = self.watermarks.get(_watermark_name(row))
        hook = self._hook(row)
        state = None if hook is None else self.states.get(hook.id)
        refused = None if state is None else _refused(state)
        return (state.problem if state else None) or refused or (mark.problem if mark else None)

    def _hook_row(self, row: Trigger) -> dict[str, Any] | None:
        hook = self._hook(row)
        if hook is None:
            return None
        names = ("checked_at", "first_event_at", "last_event_at", "refused_at", "refused")
        state = self.states.get(hook.id)
        seen = {name: None if state is None else getattr(state, name) for name in names}
        return {"id": hook.id, "remote_id": hook.remote_id, "signs": hook.signs} | seen

    def _watermark_row(self, row: Trigger) -> dict[str, Any] | None:
        mark = self.watermarks.get(_watermark_name(row))
        return None if mark is None else {"until": mark.until, "looked_at": mark.looked_at, "problem": mark.problem}


def _refused(state: HookState) -> str | None:
    """Return why webhooks of a hook are refused, when the last one was."""
    if state.refused_at is None or (state.last_event_at is not None and state.last_event_at > state.refused_at):
        return None
    return f"a webhook was refused: {state.refused}"


def _gap(gap: Gap) -> dict[str, Any]:
    return {"cause": gap.cause, "way": gap.way, "from_at": gap.from_at, "to_at": gap.to_at}


def _watermark_name(row: Trigger) -> str:
    return f"trigger:{row.id}" if row.kind is Kind.POLLED or row.hook is None else f"hook:{row.hook}"
