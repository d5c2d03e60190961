"""Backup and restore: store, secret key, CA and the tunnel's key in one private tar file.

They belong together: a store without its secret key cannot be opened, and agents trust only their CA. A
backup may be made while the gateway runs; a restore replaces the files of a stopped one, all after every
hash, the key and the schema have been checked, and keeps what it replaces in `replaced-<time>/`.
"""

import hashlib
import io
import json
import os
import secrets
import shutil
import socket
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO

from gateway.sealing import KEY_FILE, SecretKey

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "gateway.db"
FILES = (KEY_FILE, "ca/ca.key", "ca/ca.pem", "ca/previous.key", "ca/revoked.json", "server.pem")
"""What is kept besides the database; the last three may be missing."""

_REQUIRED = frozenset({DATABASE, KEY_FILE})
_MAX_MANIFEST_BYTES = 64 * 1024


class BackupUnusable(Exception):
    """The file is no backup of ours, or is damaged: nothing was restored."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"the backup {self.problem}: nothing was restored"


class StateInTheWay(Exception):
    """The state directory already holds what a restore would replace."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(paths)
        self.paths = paths

    def __str__(self) -> str:
        return f"{self.paths[0]} exists: use --force to move it aside and restore"


class GatewayRuns(Exception):
    """The gateway holds the files that a restore would replace."""

    def __str__(self) -> str:
        return "the gateway is running on this state directory: stop it first"


@dataclass(frozen=True, slots=True)
class State:
    """Where a gateway keeps its files."""

    directory: Path
    database: Path

    def path_of(self, name: str) -> Path:
        """Return where a file of the backup belongs."""
        return self.database if name == DATABASE else self.directory / name

    @property
    def is_running(self) -> bool:
        """Whether a gateway answers on the control socket."""
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.settimeout(2)
            try:
                probe.connect(str(self.directory / "control.sock"))
            except OSError:
                return False
        return True


def write_backup(state: State, key: SecretKey, out: BinaryIO, now: datetime) -> dict[str, object]:
    """Write a backup of the state to an open file and return its manifest.

    Raises:
        OSError, sqlite3.Error: a file cannot be read or written.
    """
    with _scratch(state.directory) as scratch:
        _copy_database(state.database, scratch / DATABASE)
        for name in FILES:
            if name != KEY_FILE and state.path_of(name).exists():
                (scratch / name).parent.mkdir(mode=0o700, exist_ok=True)
                shutil.copyfile(state.path_of(name), scratch / name)
        # The key in use, which may come from the environment.
        (scratch / KEY_FILE).write_text(key.text.get_secret_value() + "\n", encoding="utf-8")
        names = [name for name in (DATABASE, *FILES) if (scratch / name).exists()]
        manifest: dict[str, object] = {
            "format": FORMAT,
            "created_at": now.isoformat(timespec="seconds"),
            "files": {name: _digest(scratch / name) for name in names},
        }
        _write_tar(out, scratch, names, manifest)
    return manifest


@contextmanager
def unpacked(state: State, archive: BinaryIO) -> Iterator[Path]:
    """Unpack a backup beside the state, every hash checked, and yield where; it is gone afterwards.

    Raises:
        BackupUnusable: it is no backup, of a newer format, or damaged.
    """
    with _scratch(state.directory) as scratch:
        try:
            with tarfile.open(fileobj=archive, mode="r:") as tar:
                for name, expected in _read_manifest(tar).items():
                    _unpack(tar, name, scratch, expected)
        except (tarfile.TarError, EOFError) as error:
            raise BackupUnusable("cannot be read as a tar file") from error
        _check_database(scratch / DATABASE)
        yield scratch


def install(state: State, scratch: Path, now: datetime, *, force: bool) -> Path | None:
    """Put unpacked files into their places; return where the replaced ones went, if there were any.

    Raises:
        GatewayRuns: the gateway is running.
        StateInTheWay: there are files already, and `force` is not given.
    """
    if state.is_running:
        raise GatewayRuns
    database_files = [state.database.with_name(state.database.name + end) for end in ("", "-wal", "-shm")]
    old = [path for path in (*database_files, *map(state.path_of, FILES)) if path.exists()]
    if old and not force:
        raise StateInTheWay(old)
    replaced = _move_aside(state, old, now) if old else None
    for name in (*FILES, DATABASE):  # the database last: until it is there, nothing looks like a whole state
        if (scratch / name).exists():
            state.path_of(name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.move(scratch / name, state.path_of(name))
    return replaced


def _move_aside(state: State, old: list[Path], now: datetime) -> Path:
    replaced = state.directory / f"replaced-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    for path in old:
        inside = path.relative_to(state.directory) if path.is_relative_to(state.directory) else Path(path.name)
        (replaced / inside).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.move(path, replaced / inside)
    return replaced


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """Yield a private directory on the file system of the state, so that installing is renaming."""
    path = directory / f".scratch-{secrets.token_hex(8)}"
    path.mkdir(mode=0o700)
    before = os.umask(0o077)
    try:
        yield path
    finally:
        os.umask(before)
        shutil.rmtree(path)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that may be in use (SQLite's online backup): one consistent moment."""
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as database:
            verdict = database.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupUnusable("holds a database that cannot be opened") from error
    if verdict != "ok":
        raise BackupUnusable("holds a damaged database")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_tar(out: BinaryIO, scratch: Path, names: list[str], manifest: dict[str, object]) -> None:
    content = json.dumps(manifest, indent=2).encode() + b"\n"
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        head = tarfile.TarInfo(MANIFEST)
        head.size, head.mode = len(content), 0o600
        tar.addfile(head, io.BytesIO(content))
        for name in names:
            tar.add(scratch / name, name, recursive=False)
    out.flush()
    os.fsync(out.fileno())


def _read_manifest(tar: tarfile.TarFile) -> dict[str, str]:
    """Return name and SHA-256 of each file; only names of ours, so that nothing lands elsewhere."""
    first = tar.next()
    if first is None or first.name != MANIFEST or first.size > _MAX_MANIFEST_BYTES:
        raise BackupUnusable("does not begin with a manifest")
    try:
        manifest = json.loads(_content(tar, first).read())
        version, files = manifest["format"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise BackupUnusable("has a damaged manifest") from error
    if version != FORMAT:
        raise BackupUnusable(f"has format {version}, this release knows {FORMAT}")
    if not set(files) >= _REQUIRED or set(files) - {DATABASE, *FILES}:
        raise BackupUnusable("does not hold the files of a gateway")
    return files


def _unpack(tar: tarfile.TarFile, name: str, scratch: Path, expected: str) -> None:
    member = tar.next()
    if member is None or member.name != name or not member.isreg():
        raise BackupUnusable(f"lacks {name}")
    target = scratch / name
    target.parent.mkdir(mode=0o700, exist_ok=True)
    with _content(tar, member) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file)
        file.flush()
        os.fsync(file.fileno())
    if _digest(target) != expected:
        raise BackupUnusable(f"is damaged: {name} does not have the hash that the manifest gives")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise BackupUnusable(f"lacks {member.name}")
    return content
