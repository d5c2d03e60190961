"""Opens the database: where it is, its file modes, SQLite's pragmas, and the schema brought up to date.

The only module that knows which database it is. Write transactions take SQLite's lock at their beginning
(BEGIN IMMEDIATE), so that no read can turn into a write that must be rolled back.
"""

import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.store.errors import SchemaTooNew, StoreUnavailable
from gateway.store.threaded import ThreadedEngine
from runtime.configuration import ConfigurationError

BUSY_SECONDS = 10
"""How long a writer of one process waits for the writer of another."""

REVISIONS = ("0001", "0002")
"""Every schema this release knows, oldest first; a test compares it with migrations/versions."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_SQLITE = "sqlite:///"
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL loses acknowledged rows at a power cut (measured: 40 of 40 images)
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}",
)


def database_path(state_dir: Path, database_url: str | None) -> Path:
    """Return the SQLite file that the settings name; a relative one lies in the state directory.

    Raises:
        ConfigurationError: the URL is not `sqlite:///…`.
    """
    if database_url is None:
        return state_dir / "gateway.db"
    if not database_url.startswith(_SQLITE) or database_url == _SQLITE:
        # What it is instead may hold a password, so the line says only what it should be.
        raise ConfigurationError(
            "JIRA_GATEWAY_DATABASE_URL", "names no SQLite file", "write sqlite:////var/lib/jira-gateway/gateway.db"
        )
    return state_dir / database_url.removeprefix(_SQLITE)


@asynccontextmanager
async def open_engine(path: Path) -> AsyncIterator[ThreadedEngine]:
    """Open the database file, made 0600 when absent, with the newest schema.

    Raises:
        StoreUnavailable: it cannot be opened, or is no database.
        SchemaTooNew: a newer release wrote it.
    """
    _make_private(path)
    plain = create_engine(f"sqlite:///{path}")
    event.listen(plain, "connect", _prepare)
    event.listen(plain, "begin", _begin)
    engine = ThreadedEngine(plain)
    try:
        with errors_of(path):
            await _migrate(engine, path)
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn what the database raises into `StoreUnavailable`; its text never holds parameters."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        reason = getattr(error, "orig", None) or error.__cause__ or error
        raise StoreUnavailable(str(path), str(reason)) from error


def _make_private(path: Path) -> None:
    """Make a missing database, complete in WAL mode before it gets its name.

    Two processes that switch one file to WAL at once would lock each other out. An existing file is never
    opened here: closing it would drop the locks that SQLite holds on it in this process (POSIX).
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
    except OSError as error:
        raise StoreUnavailable(str(path), error.strerror or type(error).__name__) from error


def _create(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    # SQLite gives its -wal and -shm files the mode of the database file.
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(draft)) as database:
            database.execute("PRAGMA journal_mode=WAL")
        with suppress(FileExistsError):  # another process was faster: its file is the store
            os.link(draft, path)
    finally:
        draft.unlink()


def _prepare(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


async def _migrate(engine: ThreadedEngine, path: Path) -> None:
    async with engine.begin() as connection:
        found = await connection.run_sync(_revision)
    if found == REVISIONS[-1]:
        return
    async with engine.begin(writes=True) as connection:
        await connection.run_sync(_upgrade, path)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, path: Path) -> None:
    found = _revision(connection)  # again, under the lock: another process may have been faster
    if found is not None and found not in REVISIONS:
        raise SchemaTooNew(str(path), found, REVISIONS[-1])
    from alembic import command  # noqa: PLC0415 - 100 ms that only a schema change should cost
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
