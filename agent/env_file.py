"""The env file, when a command writes into it with a person's consent: one assignment changed, everything else kept.

The format is that of systemd's ``EnvironmentFile=`` (systemd.exec(5)), which runtime.configuration reads. Secrets are
never written here. Mode and owner of the file stay as they are; it is replaced all at once or not at all.
"""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

NEW_FILE = 0o640
_PLAIN = re.compile(r"[A-Za-z0-9_.:/,@%+=\[\]-]*")


class EnvFileUnwritable(Exception):
    """The file cannot be written; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def assignment(name: str, value: str) -> str:
    """Return one line of the file; raises ValueError for a value that it cannot hold as it is."""
    if not _PLAIN.fullmatch(value):
        raise ValueError(f"{name} has characters that this file cannot hold")
    return f"{name}={value}"


def with_assignments(text: str, values: Mapping[str, str]) -> str:
    """Return the file's text with these values, in the place of old ones, of commented ones, or at the end."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for name, value in values.items():
        line = assignment(name, value)
        at = _place(lines, re.compile(rf"\s*{name}\s*=")) or _place(lines, re.compile(rf"\s*[#;]\s*{name}\s*="))
        if at:
            lines[at - 1] = line
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _place(lines: list[str], pattern: re.Pattern[str]) -> int:
    """Return the number of the last line that matches, from 1; 0 when none does."""
    return max((number for number, line in enumerate(lines, 1) if pattern.match(line)), default=0)


def can_write(path: Path) -> bool:
    """Tell whether the file can be replaced, or made, by who runs this."""
    return path.parent.is_dir() and os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def write_assignments(path: Path, values: Mapping[str, str]) -> None:
    """Change these values in the file, or make it.

    Raises:
        EnvFileUnwritable: it stays as it was.
    """
    path = path.resolve()  # a link stays one
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        status = path.stat() if path.exists() else None
        text = "" if status is None else path.read_text(encoding="utf-8")
        try:
            _write(scratch, with_assignments(text, values), NEW_FILE if status is None else status.st_mode & 0o7777)
            if os.geteuid() == 0:
                owner = path.parent.stat() if status is None else status
                os.chown(scratch, owner.st_uid, owner.st_gid)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise EnvFileUnwritable(getattr(error, "strerror", None) or str(error)) from None


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
