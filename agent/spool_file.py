"""The spool's file: an SQLite database that one thread uses at a time. What `write` returned from is on the disk.

WAL with synchronous=FULL: each commit is synced before it returns (docs/facts.md L15). The file never shrinks: the
pages of carried records are used again. It leaves some of the disk free, because dropping a record takes space, too: a
disk that we filled to its end would stay full. The lock is exclusive: a second agent on the same directory is refused
instead of carrying everything twice.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from agent.spool_records import (
    Changes,
    Contents,
    SpoolDamaged,
    SpoolError,
    SpoolInUse,
    SpoolRecord,
    SpoolUnavailable,
    StoredRecord,
)

SYNCHRONOUS = "FULL"
"""NORMAL loses acknowledged records with the power (docs/facts.md L15)."""

CHECKED_BYTES = 64 << 20
"""A file up to this size is checked whole when it is opened; a larger one would delay the start by seconds."""

MIN_FREE_BYTES = 8 << 20
"""Of the disk, beside what a transaction needs: for the log and its checkpoints."""

_VERSION = 1
_MODE = 0o600
_LOCK_SECONDS = 1.0
_SCHEMA = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, received_at INTEGER NOT NULL, event_id TEXT NOT NULL,
    target BLOB NOT NULL, query BLOB NOT NULL, headers BLOB NOT NULL, body BLOB NOT NULL
);
CREATE INDEX sizes ON records (size);
CREATE TABLE hooks (hash BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""  # the index makes counting quick: it is read at the start, the bodies are not
_ALIVE_AT = "alive_at"
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SpoolFile:
    """One open file. Every method blocks; after an error other than a full disk, the next call opens it anew."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            SpoolDamaged: it is not what we wrote.
            SpoolInUse: another process has it.
            SpoolUnavailable: the system refuses.
        """
        self._path = path
        self._db: sqlite3.Connection | None = None
        self.contents = Contents(0, 0, 0, None)
        with self._guarded() as db:
            self._check(db)

    def write(self, changes: Changes) -> Contents:
        """Make all changes or none, and return once they are on the disk; raises as the constructor does."""
        if changes.appends:
            self._check_space(sum(stored.record.size for stored in changes.appends))
        with self._guarded() as db:
            db.execute("BEGIN IMMEDIATE")
            records, size = _write(db, changes)
            oldest = db.execute("SELECT received_at FROM records ORDER BY id LIMIT 1").fetchone()
            db.execute("COMMIT")
        before = self.contents
        last = changes.appends[-1].id if changes.appends else before.last_id
        self.contents = Contents(before.records + records, before.size + size, last, oldest[0] if oldest else None)
        return self.contents

    def oldest(self, limit: int, max_bytes: int, skip: Collection[int]) -> list[StoredRecord]:
        """Return the oldest records but those in `skip`, up to `max_bytes`; raises as above."""
        chosen: list[int] = []
        left = max_bytes
        with self._guarded() as db:
            for number, size in db.execute("SELECT id, size FROM records ORDER BY id"):
                if number in skip:
                    continue
                left -= size
                if len(chosen) == limit or left < 0:
                    break
                chosen.append(number)
            return [_read(db, number) for number in chosen]

    def _check_space(self, size: int) -> None:
        with self._guarded() as db:
            pages = db.execute("PRAGMA freelist_count").fetchone()[0]
            reusable = pages * db.execute("PRAGMA page_size").fetchone()[0]
            disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize + reusable < MIN_FREE_BYTES + 2 * size:  # once in the log, once in the file
            raise SpoolUnavailable(self._path, f"its disk has less than {MIN_FREE_BYTES >> 20} MiB left")

    def close(self) -> None:
        """Give the file up."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._db is None:
                self._db = _open(self._path)
                self.contents = _count(self._db)  # a commit that failed may be there after all
            yield self._db
        except SpoolError:
            self.close()
            raise
        except (sqlite3.Error, OSError) as error:
            self._recover(error)
            raise self._described(error) from error

    def _recover(self, error: Exception) -> None:
        """Undo the transaction; only a full disk leaves the connection as sound as it was."""
        if self._db is None:
            return
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        if _code(error) != sqlite3.SQLITE_FULL:
            self.close()

    def _described(self, error: Exception) -> SpoolError:
        code = _code(error)
        if code in _DAMAGE:
            return SpoolDamaged(self._path, str(error))
        if code == sqlite3.SQLITE_BUSY:
            return SpoolInUse(self._path)
        return SpoolUnavailable(self._path, str(getattr(error, "strerror", None) or error))

    def _check(self, db: sqlite3.Connection) -> None:
        if self._path.stat().st_size > CHECKED_BYTES:
            return
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise SpoolDamaged(self._path, str(found).replace("\n", " "))


def _open(path: Path) -> sqlite3.Connection:
    """Return a connection to the file, made when it is missing, with its tables."""
    if not path.exists():
        _make(path)
    db = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise SpoolDamaged(path, f"it has format {version}, not {_VERSION}")
    except (sqlite3.Error, SpoolError):
        db.close()
        raise
    return db


def _make(path: Path) -> None:
    """Make an empty file that nobody else can read, and its name as durable as what will be in it."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, _MODE))
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _count(db: sqlite3.Connection) -> Contents:
    records, size = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM records").fetchone()
    last = db.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()[0]
    oldest = db.execute("SELECT received_at FROM records ORDER BY id LIMIT 1").fetchone()
    hooks = frozenset(row[0] for row in db.execute("SELECT hash FROM hooks"))
    alive = db.execute("SELECT value FROM facts WHERE name = ?", (_ALIVE_AT,)).fetchone()
    return Contents(records, size, last, oldest[0] if oldest else None, hooks, alive[0] if alive else None)


def _write(db: sqlite3.Connection, changes: Changes) -> tuple[int, int]:
    """Make the changes; return by how many records and bytes the spool grew."""
    records = size = 0
    for number in changes.drops:
        found = db.execute("SELECT size FROM records WHERE id = ?", (number,)).fetchone()
        if found is not None:
            db.execute("DELETE FROM records WHERE id = ?", (number,))
            records, size = records - 1, size - found[0]
    db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_row, changes.appends))
    if changes.hooks is not None:
        db.execute("DELETE FROM hooks")
        db.executemany("INSERT INTO hooks VALUES (?)", [(digest,) for digest in changes.hooks])
    if changes.alive_at is not None:
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_ALIVE_AT, changes.alive_at))
    appended = sum(stored.record.size for stored in changes.appends)
    return records + len(changes.appends), size + appended


def _row(stored: StoredRecord) -> tuple[object, ...]:
    record = stored.record
    headers = b"\n".join(chain.from_iterable(record.headers))  # no field of a head holds an LF
    fields = record.event_id, record.target, record.query, headers, record.body
    return stored.id, record.size, record.received_at, *fields


def _read(db: sqlite3.Connection, number: int) -> StoredRecord:
    row = db.execute(
        "SELECT event_id, target, received_at, query, headers, body FROM records WHERE id = ?", (number,)
    ).fetchone()
    event_id, target, received_at, query, joined, body = row
    fields = iter(joined.split(b"\n") if joined else [])
    headers = list(zip(fields, fields, strict=False))
    return StoredRecord(number, SpoolRecord(event_id, target, received_at, query, headers, body))


def _code(error: Exception) -> int:
    """Return SQLite's primary error code, 0 for other errors."""
    code = getattr(error, "sqlite_errorcode", 0)
    return int(code) & 0xFF
