"""Reads rows: one function per question, on a connection that the store opened."""

from collections import defaultdict
from typing import Any

from sqlalchemy import Row, Select, select

from gateway.audit import AuditRecord, Head
from gateway.store import event_tables, tables
from gateway.store.event_rows import Cause, Gap, Hook, HookState, Kind, Trigger, Watermark, Way
from gateway.store.rows import Agent, Connection, Credentials, Instance, Invite, Scope, Snapshot, Token
from gateway.store.threaded import ThreadedConnection


async def version(db: ThreadedConnection) -> int:
    """Return the counter that every writing transaction raises."""
    return int(await db.scalar(select(tables.gateway.c.changes)) or 0)


async def snapshot(db: ThreadedConnection) -> Snapshot:
    """Return everything the request path needs, as of one moment."""
    return Snapshot(
        version=await version(db),
        agents=tuple(await agents(db)),
        instances=tuple(await instances(db)),
        connections=tuple(await connections(db)),
        tokens=tuple(await tokens(db)),
        triggers=tuple(await triggers(db)),
        hooks=tuple(await hooks(db)),
    )


async def agents(db: ThreadedConnection) -> list[Agent]:
    """Return all agents by name."""
    return [Agent(**fields) for fields in await _rows(db, select(tables.agents).order_by("name"))]


async def instances(db: ThreadedConnection) -> list[Instance]:
    """Return all instances, by agent and age."""
    query = select(tables.instances).order_by("agent", "enrolled_at", "instance")
    return [Instance(**fields) for fields in await _rows(db, query)]


async def invites(db: ThreadedConnection) -> list[Invite]:
    """Return all invites, oldest first."""
    query = select(tables.invites).order_by("created_at", "secret_hash")
    return [Invite(**fields) for fields in await _rows(db, query)]


async def connections(db: ThreadedConnection) -> list[Connection]:
    """Return all connections by name."""
    rows = await _rows(db, select(tables.connections).order_by("name"))
    return [Connection(**{**fields, "credentials": Credentials(fields["credentials"])}) for fields in rows]


async def tokens(db: ThreadedConnection) -> list[Token]:
    """Return all tokens by name, revoked ones too."""
    reach: defaultdict[str, set[str]] = defaultdict(set)
    for fields in await _rows(db, select(tables.token_connections)):
        reach[fields["token"]].add(fields["connection"])
    rows = await _rows(db, select(tables.tokens).order_by("name"))
    return [_token(fields, frozenset(reach[fields["name"]])) for fields in rows]


async def triggers(db: ThreadedConnection) -> list[Trigger]:
    """Return all triggers by name."""
    return [_trigger(fields) for fields in await _rows(db, select(event_tables.triggers).order_by("name"))]


async def trigger(db: ThreadedConnection, which: str | int) -> Trigger | None:
    """Return the trigger of this name or id."""
    row = event_tables.triggers.c
    condition = row.id == which if isinstance(which, int) else row.name == which
    rows = await _rows(db, select(event_tables.triggers).where(condition))
    return _trigger(rows[0]) if rows else None


async def hooks(db: ThreadedConnection) -> list[Hook]:
    """Return all hooks, oldest first."""
    rows = await _rows(db, select(event_tables.hooks).order_by("id"))
    return [Hook(**{**fields, "way": Way(fields["way"]), "kind": Kind(fields["kind"])}) for fields in rows]


async def hook_states(db: ThreadedConnection) -> dict[int, HookState]:
    """Return what is known of the life of hooks, by id."""
    return {fields["hook"]: HookState(**fields) for fields in await _rows(db, select(event_tables.hook_states))}


async def watermarks(db: ThreadedConnection) -> dict[str, Watermark]:
    """Return all watermarks by name."""
    return {fields["name"]: Watermark(**fields) for fields in await _rows(db, select(event_tables.watermarks))}


async def gaps(db: ThreadedConnection, *, open_only: bool) -> list[Gap]:
    """Return gaps, oldest first."""
    query = select(event_tables.gaps).order_by("number")
    if open_only:
        query = query.where(event_tables.gaps.c.swept_at.is_(None))
    rows = await _rows(db, query)
    return [
        Gap(**{**fields, "cause": Cause(fields["cause"]), "way": Way(fields["way"]) if fields["way"] else None})
        for fields in rows
    ]


async def audit_records(db: ThreadedConnection, *, after: int, limit: int) -> list[AuditRecord]:
    """Return records in order, from the one after `after`."""
    query = select(tables.audit).where(tables.audit.c.seq > after).order_by("seq").limit(limit)
    return [AuditRecord(**fields) for fields in await _rows(db, query)]


async def audit_head(db: ThreadedConnection) -> Head:
    """Return where the audit trail ends."""
    query = select(tables.audit.c.seq, tables.audit.c.mac).order_by(tables.audit.c.seq.desc()).limit(1)
    row = (await db.execute(query)).one_or_none()
    return Head() if row is None else Head(row.seq, row.mac)


async def key_check(db: ThreadedConnection) -> bytes | None:
    """Return the sealed value that proves the secret key, or None in a new store."""
    sealed: bytes | None = await db.scalar(select(tables.gateway.c.key_check))
    return sealed


async def _rows(db: ThreadedConnection, query: Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
    rows: list[Row[*tuple[Any, ...]]] = list((await db.execute(query)).all())
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - public in all but name (SQLAlchemy's docs)


def _token(fields: dict[str, Any], reach: frozenset[str]) -> Token:
    scopes = frozenset(Scope(name) for name in fields["scopes"].split())
    return Token(**{**fields, "scopes": scopes}, connections=reach)


def _trigger(fields: dict[str, Any]) -> Trigger:
    named = {
        "events": frozenset(fields["events"].split()),
        "wanted": Kind(fields["wanted"]) if fields["wanted"] else None,
        "way": Way(fields["way"]) if fields["way"] else None,
        "kind": Kind(fields["kind"]) if fields["kind"] else None,
    }
    return Trigger(**{**fields, **named})
