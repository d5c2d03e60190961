"""Reads the audit log's files: whether they are whole (`verify`), and what they say (`newest`). Changes nothing.

Works beside a running agent: a last line that is being written is waited for.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any, Final

from agent.audit_chain import MAX_LINE, Head, LineBroken, first_head, follow, parse
from agent.audit_file import audit_files

SETTLE_SECONDS: Final = 0.3
_NOTABLE: Final = (b'"kind":"deleted"', b'"kind":"gap"', b'"kind":"repair"', b'"kind":"damage"', b'"unclean":true')
"""No text in a line can hold these: within a text, a quotation mark has a backslash before it."""


@dataclass(slots=True)
class Report:
    """What a walk over all files found. `problems` are empty when everything fits; each begins with its place."""

    first: int = 0
    head: Head = field(default_factory=Head)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    torn: str | None = None  # the place of a last line that a crash has torn


class _Walk:
    """One walk, oldest file first."""

    def __init__(self, kept: Head | None) -> None:
        self.report = Report()
        self._kept = kept
        self._start: Head | None = None
        self._head: Head | None = None  # None: what comes next cannot be compared with what came before
        self._deleted: set[tuple[object, object]] = set()

    def file(self, path: Path, *, is_last: bool) -> None:
        """Check one file; after a line that does not fit, the rest of its file is not looked at."""
        for number, line in enumerate(_lines(path), 1):
            place = f"{path.name}, line {number}"
            if is_last and not line.endswith(b"\n"):
                self.report.torn = place
                return
            try:
                head = self._follow(line, number)
            except LineBroken as broken:
                self.report.problems.append(f"{place}{self._expected}: {broken.problem}")
                self._head = None
                return
            self._head = self.report.head = head
            if self._kept is not None and self._kept.count == head.count and self._kept != head:
                self.report.problems.append(f"{place}: entry {head.count} is not the one that the given head names")
            if any(mark in line for mark in _NOTABLE):
                self._note(head.count, parse(line))

    def end(self) -> Report:
        """Look at both ends, and return what was found."""
        report, start = self.report, self._start or Head()
        report.first = start.count + 1
        if start.count and (start.count, start.hash) not in self._deleted:
            report.problems.insert(
                0, f"entries 1 to {start.count} are gone, and no entry says that they were deleted for room"
            )
        if self._kept is not None and self._kept.count > report.head.count:
            report.problems.append(f"entries {report.head.count + 1} to {self._kept.count} are missing at the end")
        if self._kept is not None and self._kept.count < start.count:
            report.notes.append("the given head is older than the oldest entry that is kept")
        return report

    @property
    def _expected(self) -> str:
        return "" if self._head is None else f" (entry {self._head.count + 1})"

    def _follow(self, line: bytes, number: int) -> Head:
        if number > 1:
            if self._head is None:
                raise LineBroken("it follows nothing")
            return follow(self._head, line)
        claimed = first_head(line)
        self._start = self._start or claimed
        if self._head is not None and claimed != self._head:
            missing = f"entries {self._head.count + 1} to {claimed.count} are missing before it"
            raise LineBroken(missing if claimed.count > self._head.count else "it does not follow the file before it")
        return follow(claimed, line)

    def _note(self, count: int, fields: dict[str, Any]) -> None:
        match fields.get("kind"):
            case "deleted":
                self._deleted.add((fields.get("last"), fields.get("hash")))
            case "gap":
                self.report.notes.append(
                    f"entry {count}: {fields.get('lost')} entries could not be written between {fields.get('from')} "
                    f"and {fields.get('until')}"
                )
            case "repair":
                self.report.notes.append(f"entry {count}: a torn line of {fields.get('cut_bytes')} bytes was cut off")
            case "damage":
                self.report.notes.append(f"entry {count}: {fields.get('file')} was found damaged at a start")
            case "start":
                self.report.notes.append(
                    f"entry {count}: the run before did not end in good order; what was under way then, and the last "
                    "second before, may have no entries"
                )


def verify(directory: Path, kept: Head | None = None, wait: Callable[[float], None] = sleep) -> Report:
    """Check every line of every file, and against a head that was kept elsewhere; raises OSError."""
    report = _walk(directory, kept)
    if report.torn is not None or report.problems:  # perhaps a running agent was just writing, or made room
        wait(SETTLE_SECONDS)
        report = _walk(directory, kept)
    if report.torn is not None:
        report.problems.append(
            f"{report.torn}: the line is torn, as by a crash or a power cut; the agent's next start repairs that"
        )
    return report


def newest(directory: Path, count: int, since: str = "") -> list[dict[str, Any]]:
    """Return the newest entries, oldest first, none from before `since` (as in `at`); raises OSError."""
    found: deque[dict[str, Any]] = deque()
    for path in reversed(audit_files(directory)):
        wanted: deque[dict[str, Any]] = deque(maxlen=count - len(found))
        oldest = ""
        for line in _lines(path):
            with suppress(LineBroken):
                entry = parse(line)
                oldest = oldest or str(entry.get("at", ""))
                if str(entry.get("at", "")) >= since:
                    wanted.append(entry)
        found.extendleft(reversed(wanted))
        if len(found) >= count or oldest < since:
            break
    return list(found)


def _walk(directory: Path, kept: Head | None) -> Report:
    walk = _Walk(kept)
    files = audit_files(directory)
    for path in files:
        with suppress(FileNotFoundError):  # deleted for room meanwhile
            walk.file(path, is_last=path == files[-1])
    return walk.end()


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE):
            yield line
