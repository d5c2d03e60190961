"""SQLAlchemy Core in one thread of its own, awaited from the loop.

SQLAlchemy's asyncio extension would bring its whole ORM along, 8 MiB in a process that is measured by its
memory, and a driver with a thread of its own for each connection. One thread is enough: what it is given runs
in order, so a roll-back queued by a cancelled task always comes after the statement that was cancelled.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, Row

T = TypeVar("T")


class Result:
    """What a statement brought, read to its end: its rows, and how many it changed."""

    def __init__(self, result: CursorResult[Any]) -> None:
        self.rowcount = result.rowcount
        self._rows: list[Row[Any]] = list(result.all()) if result.returns_rows else []

    def all(self) -> list[Row[Any]]:
        """Return all rows."""
        return self._rows

    def one_or_none(self) -> Row[Any] | None:
        """Return the only row, or None."""
        return self._rows[0] if self._rows else None


class ThreadedConnection:
    """One connection within one transaction."""

    def __init__(self, engine: "ThreadedEngine", connection: Connection) -> None:
        self._engine = engine
        self._connection = connection

    async def execute(self, statement: Executable) -> Result:
        """Run a statement."""
        return await self._engine.run(lambda: Result(self._connection.execute(statement)))

    async def scalar(self, statement: Executable) -> Any:  # the column's type, which the caller states
        """Run a statement and return the first column of its first row, or None."""
        return await self._engine.run(lambda: self._connection.scalar(statement))

    async def run_sync(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call a function with the connection, in the thread."""
        return await self._engine.run(lambda: call(self._connection, *arguments))


class ThreadedEngine:
    """An engine and the one thread that uses it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    def __repr__(self) -> str:
        return f"<ThreadedEngine {self._engine.url.database}>"

    async def run(self, call: Callable[[], T]) -> T:
        """Call a function in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    @asynccontextmanager
    async def begin(self, *, writes: bool = False) -> AsyncIterator[ThreadedConnection]:
        """Open a transaction: committed at the end of the block, rolled back when it raises."""
        engine = self._engine.execution_options(writes=writes)
        connection = await self.run(engine.connect)
        try:
            transaction = await self.run(connection.begin)
            try:
                yield ThreadedConnection(self, connection)
            except BaseException:
                await self.run(transaction.rollback)
                raise
            await self.run(transaction.commit)
        finally:
            await self.run(connection.close)

    async def transact(self, call: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Call a function with a connection in a transaction of its own: one visit to the thread for all of it."""
        engine = self._engine.execution_options(writes=writes)

        def work() -> T:
            with engine.begin() as connection:
                return call(connection)

        return await self.run(work)

    async def dispose(self) -> None:
        """Close every connection, and end the thread."""
        await self.run(self._engine.dispose)
        self._thread.shutdown()
