"""The audit log's files: append, rotate, and go on after a crash. Blocking; one thread at a time uses it.

``audit/<number of its first line>.jsonl``, 0600. Each begins with a line that names what it follows. Before the oldest
is deleted for room, a line says so with its last number and hash. A torn last line is cut off at the next start, which
says so; anything else that does not fit is left for `jira-agent audit verify` to show, and a new file goes on.
"""

import fcntl
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.audit_chain import MAX_LINE, Head, LineBroken, first_head, follow, last_head, parse, seal
from agent.audit_entries import Entry, NoteEntry
from certs.files import private_directory

FILES: Final = 8
_CLOSED: Final = -1
_NAME: Final = re.compile(r"[0-9]{12}(?:_[0-9]+)?\.jsonl")
_TAIL_BYTES: Final = 16 * MAX_LINE


class AuditInUse(Exception):
    """Another process writes this log."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an earlier run left: how it ended, what was cut off its torn end, and a file that does not fit."""

    head: Head
    was_stopped: bool = True
    torn_bytes: int = 0
    damaged: Path | None = None


def audit_files(directory: Path) -> list[Path]:
    """Return the files of the log, oldest first; raises OSError."""
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


class AuditFile:
    """The log that is being written; `head` is where it ends on the disk."""

    def __init__(self, directory: Path, max_bytes: int, clock: Callable[[], float]) -> None:
        """`clock`: seconds since 1970."""
        self._directory = directory
        self._file_bytes = max(max_bytes // FILES, 4 * MAX_LINE)
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = _CLOSED
        self._file = _CLOSED
        self._size = 0
        self.head = Head()
        self.is_dirty = False  # written and not synced

    def open(self) -> Found:
        """Take the log over, as it was left.

        Raises:
            AuditInUse: another process has it.
            CertsError: the directory is not private.
            OSError: the system refuses.
        """
        private_directory(self._directory)
        if self._lock == _CLOSED:
            self._lock = _locked(self._directory / "lock")
        found = self._take_over()
        self.head = found.head
        return found

    def append(self, entries: Sequence[Entry]) -> None:
        """Write all entries or none; raises OSError."""
        bodies = [entry.body() for entry in entries]
        lines, head = seal(self.head, bodies)
        if self._file == _CLOSED or self._size + len(lines) > self._file_bytes:
            self._begin_file()
            lines, head = seal(self.head, bodies)
        self._write(lines)
        self.head = head

    def sync(self) -> None:
        """Return once everything is on the disk; raises OSError."""
        if self._file != _CLOSED and self.is_dirty:
            os.fdatasync(self._file)
            self.is_dirty = False

    def close(self) -> None:
        """Let go of the files; raises OSError."""
        try:
            self.sync()
        finally:
            for number in (self._file, self._lock):
                _close(number)
            self._file = self._lock = _CLOSED

    def _write(self, lines: bytes) -> None:
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            self._cut_back()
            raise
        self._size += len(lines)
        self.is_dirty = True

    def _cut_back(self) -> None:
        """Take back half a line that a full disk left; where not even that works, the log goes on in another file."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            _close(self._file)
            self._file = _CLOSED

    def _begin_file(self) -> None:
        """Go on in a new file, and delete the oldest ones when there are too many bytes."""
        self.sync()
        header, head = seal(self.head, [NoteEntry(self._clock(), "file", {"after": self.head.hash}).body()])
        before = self._file, self._size
        path, self._file = _create(self._directory, self.head.count + 1)
        self._size = 0
        try:
            self._write(header)
        except OSError:
            _close(self._file)
            self._file, self._size = before
            path.unlink()
            raise
        _close(before[0])
        self.head = head
        self._make_room()
        os.fdatasync(self._file)
        _sync_directory(self._directory)

    def _make_room(self) -> None:
        files = audit_files(self._directory)
        total = sum(path.stat().st_size for path in files)
        while len(files) > 1 and total + self._file_bytes > self._max_bytes:
            oldest = files.pop(0)
            total -= oldest.stat().st_size
            fields = {"file": oldest.name, **_end_before(files[0])}
            lines, head = seal(self.head, [NoteEntry(self._clock(), "deleted", fields).body()])
            self._write(lines)
            self.head = head
            self.sync()
            oldest.unlink()

    def _take_over(self) -> Found:
        for path in reversed(audit_files(self._directory)):
            head, was_stopped, good, rest = _examine(path)
            written = rest.rstrip(b"\0")  # what a file system may leave where data was to come
            is_torn = b"\n" not in written and len(written) <= MAX_LINE
            if head is None and is_torn and not good:  # not even its first line was written
                path.unlink()
                continue
            if head is None or not is_torn:
                return Found(head or _head_before(path), was_stopped=False, damaged=path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            os.ftruncate(self._file, good)
            self._size = good
            return Found(head, was_stopped, len(rest))
        return Found(Head())


def _examine(path: Path) -> tuple[Head | None, bool, int, bytes]:
    """Look at the end of a file: the last line that fits, whether it is a stop, where it ends, and what follows it."""
    size = path.stat().st_size
    start = max(0, size - _TAIL_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        lines = re.findall(rb"[^\n]*\n|[^\n]+", file.read())
    if start and lines:
        start += len(lines.pop(0))
    head: Head | None = None
    last, good = b"", start
    for line in lines:
        try:
            if head is None:
                head = last_head(line) if start else follow(first_head(line), line)
            else:
                head = follow(head, line)
        except LineBroken:
            break
        last, good = line, good + len(line)
    rest = b"".join(lines)[good - start :]
    return head, bool(last) and parse(last).get("kind") == "stop", good, rest


def _end_before(path: Path) -> dict[str, int | str]:
    """Return the last line before a file, as the file says; nothing when it says nothing that can be understood."""
    with path.open("rb") as file:
        try:
            head = first_head(file.readline(MAX_LINE))
        except LineBroken:
            return {}
    return {"last": head.count, "hash": head.hash}


def _head_before(path: Path) -> Head:
    """Return what a damaged file was to follow, by its name: nothing in it can be relied on."""
    return Head(max(0, int(path.name[:12]) - 1))


def _close(number: int) -> None:
    if number != _CLOSED:
        os.close(number)


def _create(directory: Path, number: int) -> tuple[Path, int]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    for turn in range(100):  # the number is taken where a damaged file was left, or a disk was full
        path = directory / f"{number:012d}{f'_{turn}' if turn else ''}.jsonl"
        try:
            return path, os.open(path, flags, 0o600)
        except FileExistsError:
            continue
    raise FileExistsError(f"{directory}: too many files of line {number}")


def _locked(path: Path) -> int:
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise AuditInUse from None
    return number


def _sync_directory(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
