"""`python -m gateway.store.migrate FILE`: bring a store's schema up to date, in a process of its own.

The gateway runs it before it opens its store: the migration libraries would stay in its memory for good
(11 MiB). Commands migrate in their own process, which ends anyway.
"""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from gateway.store.engine import REVISIONS, open_engine
from gateway.store.errors import StoreError
from runtime.exits import CONFIGURATION, OK, CommandFailed

MIGRATION_SECONDS = 300


def migrate_apart(path: Path) -> None:
    """Migrate the store in a child process; raises `CommandFailed` with what it said."""
    if _is_current(path):
        return
    command = [sys.executable, "-m", "gateway.store.migrate", str(path)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, and a path from our own settings
            command, stderr=subprocess.PIPE, text=True, timeout=MIGRATION_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{path}: its migration took over {MIGRATION_SECONDS} s; see what else uses it") from None
    if done.returncode:
        raise CommandFailed(done.stderr.strip().rpartition("\n")[2] or f"{path} cannot be migrated", CONFIGURATION)


def _is_current(path: Path) -> bool:
    """Tell whether nothing needs to be done, without loading any library; doubts are the child's to settle."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as database:
            return bool(database.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISIONS[-1],))
    except sqlite3.Error:
        return False


async def _open(path: Path) -> None:
    async with open_engine(path):
        pass


def _main(path: Path) -> int:
    try:
        asyncio.run(_open(path))
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return CONFIGURATION
    return OK


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
