"""One writing transaction: rows, the audit record of each change and the changes counter, all or nothing.

Made by `Store.change`; every method writes its own audit record. Secrets never reach the trail.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, update

from gateway.audit import AuditChain, AuditRecord, Detail, write_detail
from gateway.store import queries, tables
from gateway.store.errors import AlreadyExists, InUse, InviteRejected, NotFound
from gateway.store.rows import Connection, Instance, Invite, Token
from gateway.store.threaded import ThreadedConnection
from gateway.store.trigger_changes import TriggerChanges

_NOT_IN_THE_TRAIL = frozenset({"sealed_secret", "secret_hash", "previous_hash", "ca_pem", "name", "created_at"})


class Change(TriggerChanges):
    """The changes one actor makes at one moment. Not for use after its `async with` has ended."""

    def __init__(self, db: ThreadedConnection, chain: AuditChain, actor: str, now: datetime) -> None:
        self._db = db
        self._chain = chain
        self._actor = actor
        self._now = now

    # Agents

    async def add_invite(self, invite: Invite) -> None:
        """Store an enrolment code's hash; the agent's name comes into being with its first invite."""
        if not await self._exists(tables.agents, name=invite.agent):
            await self._insert(tables.agents, {"name": invite.agent, "created_at": self._now})
        await self._insert(tables.invites, asdict(invite))
        await self.record("agent.invite", invite.agent, {"expires_at": invite.expires_at.isoformat()})

    async def use_invite(self, secret_hash: str) -> str:
        """Use an enrolment code up and return its agent's name. One statement decides who was first.

        Raises:
            InviteRejected: unknown, used or expired.
        """
        row = tables.invites.c
        query = (
            update(tables.invites)
            .where(row.secret_hash == secret_hash, row.used_at.is_(None), row.expires_at > self._now)
            .values(used_at=self._now)
            .returning(row.agent)
        )
        agent: str | None = await self._db.scalar(query)
        if agent is None:
            raise InviteRejected
        return agent

    async def add_instance(self, instance: Instance) -> None:
        """Record a newly enrolled instance and its certificate."""
        await self._insert(tables.instances, asdict(instance))
        detail = {"serial": instance.serial, "expires_at": instance.expires_at.isoformat()}
        await self.record("agent.enroll", f"{instance.agent}/{instance.instance}", detail)

    async def renew_instance(self, agent: str, instance: str, serial: str, expires_at: datetime) -> None:
        """Record the new certificate of an instance.

        Raises:
            NotFound: there is no such instance, or it was revoked.
        """
        row = tables.instances.c
        query = (
            update(tables.instances)
            .where(row.agent == agent, row.instance == instance, row.revoked_at.is_(None))
            .values(serial=serial, expires_at=expires_at)
        )
        if (await self._db.execute(query)).rowcount == 0:
            raise NotFound("live agent instance", f"{agent}/{instance}")
        detail = {"serial": serial, "expires_at": expires_at.isoformat()}
        await self.record("agent.renew", f"{agent}/{instance}", detail)

    async def revoke_agent(self, name: str) -> int:
        """Revoke a whole name: all its instances and its unused codes. Return how many instances were live.

        Raises:
            NotFound: nobody was ever invited under this name.
        """
        if not await self._exists(tables.agents, name=name):
            raise NotFound("agent", name)
        agents, instances, invites = tables.agents, tables.instances, tables.invites
        await self._db.execute(update(agents).where(agents.c.name == name).values(revoked_at=self._now))
        live = instances.c.agent == name, instances.c.revoked_at.is_(None)
        revoked = await self._db.execute(update(instances).where(*live).values(revoked_at=self._now))
        await self._db.execute(delete(invites).where(invites.c.agent == name, invites.c.used_at.is_(None)))
        await self.record("agent.revoke", name, {"instances": revoked.rowcount})
        return revoked.rowcount

    async def revoke_instance(self, agent: str, instance: str) -> None:
        """Revoke one instance; the agent's others live on.

        Raises:
            NotFound: there is no such instance, or it was revoked before.
        """
        row = tables.instances.c
        live = row.agent == agent, row.instance == instance, row.revoked_at.is_(None)
        result = await self._db.execute(update(tables.instances).where(*live).values(revoked_at=self._now))
        if result.rowcount == 0:
            raise NotFound("live agent instance", f"{agent}/{instance}")
        await self.record("agent.revoke", f"{agent}/{instance}", {})

    # Connections

    async def add_connection(self, connection: Connection) -> None:
        """Store a new connection.

        Raises:
            AlreadyExists: the name is taken.
            NotFound: its agent was never invited.
        """
        if await self._exists(tables.connections, name=connection.name):
            raise AlreadyExists("connection", connection.name)
        await self._check_agent(connection)
        await self._insert(tables.connections, asdict(connection))
        await self.record("connection.add", connection.name, _visible(asdict(connection)))

    async def update_connection(self, connection: Connection) -> None:
        """Replace the connection of this name; the audit record names what changed.

        Raises:
            NotFound: there is no connection of this name, or its agent was never invited.
        """
        before = {row.name: asdict(row) for row in await queries.connections(self._db)}.get(connection.name)
        if before is None:
            raise NotFound("connection", connection.name)
        await self._check_agent(connection)
        table, after = tables.connections, asdict(connection)
        await self._db.execute(update(table).where(table.c.name == connection.name).values(after))
        changed = sorted(field for field in after if after[field] != before[field])
        detail = _visible({field: after[field] for field in changed}) | {"changed": changed}
        await self.record("connection.update", connection.name, detail)

    async def remove_connection(self, name: str, *, force: bool = False) -> None:
        """Delete a connection; with `force` also from the tokens that name it.

        Raises:
            NotFound: there is no connection of this name.
            InUse: live tokens name it, and `force` is not given; or triggers do, which must go first, because their
                webhooks can only be taken out of Jira through the connection.
        """
        triggers = [row.name for row in await queries.triggers(self._db) if row.connection == name]
        hooks = [f"hook {row.id}" for row in await queries.hooks(self._db) if row.connection == name]
        if triggers or (hooks and not force):
            raise InUse("connection", name, tuple(triggers or hooks))
        for hook in await queries.hooks(self._db):
            if hook.connection == name:
                await self.remove_hook(hook)
        tokens = [t.name for t in await queries.tokens(self._db) if name in t.connections and not t.revoked_at]
        if tokens and not force:
            raise InUse("connection", name, tuple(tokens))
        table = tables.connections
        if (await self._db.execute(delete(table).where(table.c.name == name))).rowcount == 0:
            raise NotFound("connection", name)
        await self.record("connection.remove", name, {"tokens": tokens})

    # Tokens

    async def add_token(self, token: Token) -> None:
        """Store a new token; a revoked one of the same name makes room for it.

        Raises:
            AlreadyExists: the name is taken.
            NotFound: it names a connection that does not exist.
        """
        for old in await queries.tokens(self._db):
            if old.name == token.name and old.revoked_at is None:
                raise AlreadyExists("token", token.name)
        for connection in sorted(token.connections):
            if not await self._exists(tables.connections, name=connection):
                raise NotFound("connection", connection)
        await self._db.execute(delete(tables.tokens).where(tables.tokens.c.name == token.name))
        fields = asdict(token) | {"scopes": " ".join(sorted(token.scopes))}
        del fields["connections"]
        await self._insert(tables.tokens, fields)
        for connection in sorted(token.connections):
            await self._insert(tables.token_connections, {"token": token.name, "connection": connection})
        await self.record("token.create", token.name, _describe(token))

    async def rotate_token(
        self, name: str, secret_hash: str, *, expires_at: datetime | None, keep_until: datetime | None
    ) -> None:
        """Give a token a new secret and expiry; the old secret stays good until `keep_until` (None: not at all).

        Raises:
            NotFound: there is no such token, or it was revoked.
        """
        row = tables.tokens.c
        query = (
            update(tables.tokens)
            .where(row.name == name, row.revoked_at.is_(None))
            .values(
                secret_hash=secret_hash,
                expires_at=expires_at,
                previous_hash=row.secret_hash if keep_until else None,
                previous_expires_at=keep_until,
            )
        )
        if (await self._db.execute(query)).rowcount == 0:
            raise NotFound("live token", name)
        detail = {"expires_at": _text(expires_at), "old_secret_until": _text(keep_until)}
        await self.record("token.rotate", name, detail)

    async def revoke_token(self, name: str) -> None:
        """Revoke a token.

        Raises:
            NotFound: there is no such token, or it was revoked before.
        """
        row = tables.tokens.c
        query = update(tables.tokens).where(row.name == name, row.revoked_at.is_(None))
        if (await self._db.execute(query.values(revoked_at=self._now))).rowcount == 0:
            raise NotFound("live token", name)
        await self.record("token.revoke", name, {})

    # The store as a whole

    async def set_key_check(self, sealed: bytes) -> None:
        """Keep the sealed value that proves the secret key."""
        await self._db.execute(update(tables.gateway).values(key_check=sealed))

    async def record(self, action: str, subject: str, detail: Detail) -> None:
        """Append to the audit trail."""
        head = await queries.audit_head(self._db)
        entry = AuditRecord(self._now, self._actor, action, subject, write_detail(detail))
        await self._insert(tables.audit, asdict(self._chain.seal(head, entry)))

    async def count(self) -> None:
        """Raise the changes counter, which tells a running gateway to look again."""
        await self._db.execute(update(tables.gateway).values(changes=tables.gateway.c.changes + 1))

    async def _check_agent(self, connection: Connection) -> None:
        if connection.agent is not None and not await self._exists(tables.agents, name=connection.agent):
            raise NotFound("agent", connection.agent)

    async def _exists(self, table: Table, *, name: str) -> bool:
        query = select(func.count()).select_from(table).where(table.c.name == name)
        return bool(await self._db.scalar(query))

    async def _insert(self, table: Table, values: Mapping[str, Any]) -> None:
        await self._db.execute(insert(table).values(values))


def _visible(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a row's fields for its audit record: without what is secret, empty or in the record anyway."""
    return {name: value for name, value in fields.items() if name not in _NOT_IN_THE_TRAIL and value is not None}


def _describe(token: Token) -> dict[str, Any]:
    shown = _visible(asdict(token))
    shown["connections"] = sorted(token.connections)
    shown["scopes"] = sorted(token.scopes)
    return shown | {"expires_at": _text(token.expires_at)}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
