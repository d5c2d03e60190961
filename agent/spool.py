"""The spool: webhooks that Jira has been told are safe, until a gateway has them (docs/protocol.md §11).

Owns the one thread that touches the file (agent.spool_file), and the figures that everybody else reads. The event loop
never waits for the disk: whatever waits while a transaction is under way goes into the next one together, and `done` is
called once it is on the disk. A record leaves the file only by `drop`.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from agent.spool_records import Changes, Contents, SpoolError, SpoolFull, SpoolRecord, SpoolUnavailable, StoredRecord

if TYPE_CHECKING:
    from agent.spool_file import SpoolFile

log = structlog.get_logger()

SPOOL_FILE: Final = "spool.db"
READ_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0

Done = Callable[[SpoolError | None], None]
"""Called once, in the event loop: None when the record is on the disk; must not raise."""


@dataclass(slots=True)
class _Read:
    """A question for the thread."""

    limit: int
    max_bytes: int
    skip: frozenset[int]
    answer: "asyncio.Future[list[StoredRecord]]"


@dataclass(slots=True)
class _Batch:
    """What waits for the thread."""

    changes: Changes = field(default_factory=Changes)
    dones: list[Done] = field(default_factory=list)
    size: int = 0
    reads: list[_Read] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changes) or bool(self.reads)


class Spool:
    """The records of one state directory: `open` first, `close` last; one event loop uses it."""

    def __init__(self, directory: Path, max_bytes: int, now_ms: Callable[[], int]) -> None:
        self.path = directory / SPOOL_FILE
        self.max_bytes = max_bytes
        self._now_ms = now_ms
        self.contents = Contents(0, 0, 0, None)
        self.problem: SpoolError | None = None  # why the last record was not kept; None when the next one would be
        self.problem_since = 0
        self.on_kept: Callable[[], None] = lambda: None  # there is something to carry
        self._file: SpoolFile | None = None
        self._thread: threading.Thread | None = None
        self._work_due = threading.Condition()
        self._waiting = _Batch()  # shared with the thread, as is the next one: both under _work_due
        self._is_closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_id = 0
        self._pending_bytes = 0  # asked for, and not on the disk yet
        self._dropping: set[int] = set()
        self._unwritten = Changes()  # drops and facts that a failing disk did not take; the thread's

    def __repr__(self) -> str:
        return f"<Spool {self.contents.records} records, {self.contents.size}/{self.max_bytes} bytes>"

    @property
    def dropping(self) -> int:
        """Records that were carried and are still in the file."""
        return len(self._dropping)

    @property
    def is_full(self) -> bool:
        """Whether the limit keeps records out."""
        return isinstance(self.problem, SpoolFull)

    async def open(self) -> None:
        """Open the file and start the thread.

        Raises:
            SpoolError: it is damaged, in use or not accessible.
        """
        from agent.spool_file import SpoolFile  # noqa: PLC0415 - SQLite is 1.5 MiB that only a spool needs

        self._file = await asyncio.to_thread(SpoolFile, self.path)
        self.contents = self._file.contents
        self._last_id = self.contents.last_id
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, args=(self._file,), name="spool", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what waits and give the file up; waits for the disk for CLOSE_SECONDS."""
        if self._thread is not None:
            with self._work_due:
                self._is_closing = True
                self._work_due.notify()
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def append(self, record: SpoolRecord, done: Done) -> None:
        """Keep a record; `done` is called when it is on the disk, or is not going to be.

        Raises:
            SpoolFull: there is no room. A gap always has some: it is small, and tells what else was lost.
        """
        size = record.size
        if not record.is_gap and self.contents.size + self._pending_bytes + size > self.max_bytes:
            full = SpoolFull(size, self.max_bytes)
            self._fail(full)
            raise full
        self._last_id += 1
        self._pending_bytes += size
        with self._work_due:
            self._waiting.changes.appends.append(StoredRecord(self._last_id, record))
            self._waiting.dones.append(done)
            self._waiting.size += size
            self._work_due.notify()

    def drop(self, ids: Iterable[int]) -> None:
        """Delete carried records; they are not read again, and a failing disk is asked until it has done it."""
        dropped = list(ids)
        self._dropping.update(dropped)
        with self._work_due:
            self._waiting.changes.drops += dropped
            self._work_due.notify()

    def remember_hooks(self, hashes: frozenset[bytes]) -> None:
        """Keep the hashes of the known hooks for the next start."""
        with self._work_due:
            self._waiting.changes.hooks = hashes
            self._work_due.notify()

    def mark_alive(self, now_ms: int) -> None:
        """Keep the moment until which no webhook was lost here."""
        with self._work_due:
            self._waiting.changes.alive_at = now_ms
            self._work_due.notify()

    async def oldest(self, limit: int, max_bytes: int, skip: Collection[int]) -> list[StoredRecord]:
        """Return the oldest records that are neither in `skip` nor dropped, up to `max_bytes`.

        Raises:
            SpoolError: the file cannot be read.
            TimeoutError: the disk did not answer.
        """
        answer: asyncio.Future[list[StoredRecord]] = asyncio.get_running_loop().create_future()
        with self._work_due:
            self._waiting.reads.append(_Read(limit, max_bytes, frozenset(self._dropping.union(skip)), answer))
            self._work_due.notify()
        async with asyncio.timeout(READ_SECONDS):
            return await answer

    # In the thread.

    def _work(self, file: "SpoolFile") -> None:
        while (batch := self._next_batch()) is not None:
            if batch.changes:
                self._tell(partial(self._written, batch, *self._write(file, batch.changes)))
            for read in batch.reads:
                self._tell(self._read(file, read))
        file.close()

    def _next_batch(self) -> _Batch | None:
        with self._work_due:
            while not self._waiting and not self._is_closing:
                self._work_due.wait()
            batch, self._waiting = self._waiting, _Batch()
        return batch or None

    def _write(self, file: "SpoolFile", changes: Changes) -> tuple[Contents, list[int], SpoolError | None]:
        """Write everything; when that fails, at least what frees space. Returns the drops that are on the disk."""
        rest = self._with_unwritten(changes)
        try:
            contents = file.write(Changes(changes.appends, rest.drops, rest.hooks, rest.alive_at))
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must hear of it
            failure = error if isinstance(error, SpoolError) else SpoolUnavailable(self.path, repr(error))
        else:
            return contents, rest.drops, None
        if changes.appends and rest:
            try:
                return file.write(rest), rest.drops, failure
            except Exception as error:  # noqa: BLE001 - as above
                failure = error if isinstance(error, SpoolError) else SpoolUnavailable(self.path, repr(error))
        self._unwritten = rest
        return file.contents, [], failure

    def _with_unwritten(self, changes: Changes) -> Changes:
        before, self._unwritten = self._unwritten, Changes()
        hooks = before.hooks if changes.hooks is None else changes.hooks
        alive_at = before.alive_at if changes.alive_at is None else changes.alive_at
        return Changes([], before.drops + changes.drops, hooks, alive_at)

    def _read(self, file: "SpoolFile", read: _Read) -> Callable[[], None]:
        try:
            return partial(_answer, read.answer, file.oldest(read.limit, read.max_bytes, read.skip), None)
        except Exception as error:  # noqa: BLE001 - as above
            failure = error if isinstance(error, SpoolError) else SpoolUnavailable(self.path, repr(error))
            return partial(_answer, read.answer, [], failure)

    def _tell(self, callback: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(callback)

    # In the loop again.

    def _written(self, batch: _Batch, contents: Contents, dropped: list[int], failure: SpoolError | None) -> None:
        self.contents = contents
        self._pending_bytes -= batch.size
        self._dropping.difference_update(dropped)
        if failure is not None:
            self._fail(failure)
        else:
            self._succeed()
        for done in batch.dones:
            try:
                done(failure)
            except Exception:  # whoever it is, the others must hear of theirs
                log.exception("spool_callback_failed")
        if batch.dones and failure is None:
            self.on_kept()

    def _fail(self, failure: SpoolError) -> None:
        before, self.problem = self.problem, failure
        if type(failure) is not type(before):
            self.problem_since = self._now_ms()
            log.error("spool_failed", reason=str(failure), records=self.contents.records)

    def _succeed(self) -> None:
        before = self.problem
        if before is None or (isinstance(before, SpoolFull) and self.contents.size + before.size > self.max_bytes):
            return
        self.problem = None
        log.info("spool_recovered", records=self.contents.records)


def _answer(
    waiting: "asyncio.Future[list[StoredRecord]]", records: list[StoredRecord], failure: SpoolError | None
) -> None:
    if waiting.done():
        return
    if failure is not None:
        waiting.set_exception(failure)
    else:
        waiting.set_result(records)
