"""The store: typed questions, and changes that are whole or not at all.

Several processes may have it open (the gateway and its commands). In this process one writer at a time
waits in line, so that the database's own lock is only ever contended by another process.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import SecretBytes

from gateway.audit import AuditChain, AuditRecord, Head
from gateway.sealing import SecretKey
from gateway.store import queries
from gateway.store.change import Change
from gateway.store.engine import errors_of, open_engine
from gateway.store.event_rows import Gap, Hook, HookState, Trigger, Watermark
from gateway.store.rows import Agent, Connection, Instance, Invite, Snapshot, Token
from gateway.store.threaded import ThreadedConnection, ThreadedEngine

WRITE_SECONDS = 30
"""How long a change may take, waiting in line included."""

_AUDIT_PAGE = 250
"""Records that are read, and checked, in one go: about 2 ms of a running gateway's time."""

_KEY_PLACE = "this store"
_KEY_PROOF = SecretBytes(b"jira-gateway")

T = TypeVar("T")


class Store:
    """An open store; made by `open_store`."""

    def __init__(self, engine: ThreadedEngine, path: Path, key: SecretKey) -> None:
        self._engine = engine
        self._path = path
        self._chain = AuditChain(key.derive(b"audit"))
        self._writing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Store {self._path}>"

    async def version(self) -> int:
        """Return the changes counter; it grows with every change by any process."""
        return await self._read(queries.version)

    async def snapshot(self) -> Snapshot:
        """Return everything the request path needs, as of one moment."""
        return await self._read(queries.snapshot)

    async def agents(self) -> list[Agent]:
        """Return all agents by name."""
        return await self._read(queries.agents)

    async def instances(self) -> list[Instance]:
        """Return all instances, by agent and age."""
        return await self._read(queries.instances)

    async def invites(self) -> list[Invite]:
        """Return all invites, oldest first."""
        return await self._read(queries.invites)

    async def connections(self) -> list[Connection]:
        """Return all connections by name."""
        return await self._read(queries.connections)

    async def tokens(self) -> list[Token]:
        """Return all tokens by name, revoked ones too."""
        return await self._read(queries.tokens)

    async def triggers(self) -> list[Trigger]:
        """Return all triggers by name."""
        return await self._read(queries.triggers)

    async def hooks(self) -> list[Hook]:
        """Return all hooks, oldest first."""
        return await self._read(queries.hooks)

    async def hook_states(self) -> dict[int, HookState]:
        """Return what is known of the life of hooks, by id."""
        return await self._read(queries.hook_states)

    async def watermarks(self) -> dict[str, Watermark]:
        """Return all watermarks by name: `trigger:<id>` of the polled, `hook:<id>` of the swept."""
        return await self._read(queries.watermarks)

    async def gaps(self, *, open_only: bool = False) -> list[Gap]:
        """Return gaps, oldest first; `open_only`: those that were not swept yet."""
        return await self._read(lambda db: queries.gaps(db, open_only=open_only))

    async def audit(self) -> AsyncIterator[AuditRecord]:
        """Yield the audit trail from its beginning, a page at a time."""
        after = 0
        while page := await self.audit_page(after, _AUDIT_PAGE):
            for record in page:
                yield record
            after = page[-1].seq

    async def verify_audit(self, kept: Head | None = None) -> Head:
        """Check the whole trail and return its head.

        Raises:
            AuditBroken: it was changed, or does not hold the head that was kept.
        """
        check = self._chain.check(kept)
        async for record in self.audit():
            check.follow(record)
        return check.end()

    async def audit_page(self, after: int, limit: int) -> list[AuditRecord]:
        """Return at most `limit` records of the trail, from the one after number `after`."""
        return await self._read(lambda db: queries.audit_records(db, after=after, limit=limit))

    async def audit_head(self) -> Head:
        """Return where the trail ends, without checking it."""
        return await self._read(queries.audit_head)

    @asynccontextmanager
    async def change(self, actor: str, now: datetime) -> AsyncIterator[Change]:
        """Open a writing transaction: committed at the end of the block, undone when it raises.

        Raises:
            StoreUnavailable: it cannot be written. What `Change` raises passes through.
            TimeoutError: 30 seconds were not enough.
        """
        async with asyncio.timeout(WRITE_SECONDS), self._writing:
            with errors_of(self._path):
                async with self._engine.begin(writes=True) as db:
                    change = Change(db, self._chain, actor, now)
                    yield change
                    await change.count()

    async def check_key(self, key: SecretKey, now: datetime) -> None:
        """Prove that this is the key the store was made with; a new store remembers it.

        Raises:
            WrongSecretKey: it is another.
        """
        sealed = await self._read(queries.key_check)
        if sealed is None:
            async with self.change("store", now) as change:
                await change.set_key_check(key.seal(_KEY_PROOF, _KEY_PLACE))
        else:
            key.unseal(sealed, _KEY_PLACE)

    async def _read(self, query: Callable[[ThreadedConnection], Awaitable[T]]) -> T:
        with errors_of(self._path):
            async with self._engine.begin() as db:
                return await query(db)


@asynccontextmanager
async def open_store(path: Path, key: SecretKey, now: datetime) -> AsyncIterator[Store]:
    """Open the store in a SQLite file, made when absent, its schema brought up to date.

    Raises:
        StoreUnavailable: it cannot be opened.
        SchemaTooNew: a newer release wrote it.
        WrongSecretKey: it was made with another secret key.
    """
    async with open_engine(path) as engine:
        store = Store(engine, path, key)
        await store.check_key(key, now)
        yield store
