"""The lines of the audit log: one JSON object each, chained by SHA-256. Pure; knows nothing of files.

A line is ``{"n":5,…,"chain":"<hash>"}``. The hash is over the hash of the line before it and this line up to its own
hash, byte for byte: whoever changes, removes, inserts or moves a line breaks the chain there. There is no key
(docs/decisions/0017-switch-and-audit.md): what shows that everything was written anew is a head kept elsewhere.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

ORIGIN: Final = "0" * 64
"""Stands where the hash before the first line would be."""

MAX_LINE: Final = 16 * 1024
_MIDDLE: Final = b',"chain":"'
_TAIL: Final = len(_MIDDLE) + len(ORIGIN) + len(b'"}\n')
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log ends: the number of its last line, and that line's hash. Written `COUNT:HASH`."""

    count: int = 0
    hash: str = ORIGIN

    def __str__(self) -> str:
        return f"{self.count}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read `COUNT:HASH`; raises ValueError when it is neither."""
        count, _, mark = text.strip().partition(":")
        if not (re.fullmatch(r"[0-9]{1,15}", count) and _HASH.fullmatch(mark)):
            raise ValueError("that is no audit head; give COUNT:HASH as `jira-agent audit verify` prints it")
        return cls(int(count), mark)


class LineBroken(Exception):
    """A line that does not follow the one before it; `problem` says how."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def seal(head: Head, bodies: Iterable[str]) -> tuple[bytes, Head]:
    """Return the lines that follow `head`, and where they end. A body is the inside of a JSON object, in ASCII."""
    count, mark, lines = head.count, head.hash.encode(), []
    for body in bodies:
        count += 1
        core = b'{"n":%d,%b' % (count, body.encode("ascii"))
        mark = sha256(mark + core).hexdigest().encode()
        lines.append(b'%b,"chain":"%b"}\n' % (core, mark))
    return b"".join(lines), Head(count, mark.decode())


def follow(head: Head, line: bytes) -> Head:
    """Return where the log ends with this line; raises LineBroken when it is not the one that follows `head`."""
    core, middle, mark = line[:-_TAIL], line[-_TAIL : -_TAIL + len(_MIDDLE)], line[-_TAIL + len(_MIDDLE) : -3]
    if middle != _MIDDLE or line[-3:] != b'"}\n':
        raise LineBroken("it is no line of an audit log")
    number = head.count + 1
    if not core.startswith(b'{"n":%d,' % number):
        found = re.match(rb'\{"n":([0-9]{1,15}),', core)
        stands = f"line {int(found[1])} stands" if found else "something else stands"
        raise LineBroken(f"it is missing, {stands} in its place")
    expected = sha256(head.hash.encode() + core).hexdigest()
    if mark != expected.encode():
        raise LineBroken("its content, or that of the line before it, was changed")
    return Head(number, expected)


def first_head(line: bytes) -> Head:
    """Return what the first line of a file follows, as it says itself; raises LineBroken when it is no such line."""
    fields = parse(line)
    number, after = fields.get("n"), fields.get("after")
    if fields.get("kind") != "file" or type(number) is not int or number < 1 or not isinstance(after, str):
        raise LineBroken("it is not the beginning of a file of the audit log")
    if not _HASH.fullmatch(after):
        raise LineBroken("it names no line that it follows")
    return Head(number - 1, after)


def last_head(line: bytes) -> Head:
    """Return where a log ends by its last line's own words; raises LineBroken."""
    fields = parse(line)
    number, mark = fields.get("n"), fields.get("chain")
    if type(number) is not int or not isinstance(mark, str) or not _HASH.fullmatch(mark):
        raise LineBroken("it is no line of an audit log")
    return Head(number, mark)


def parse(line: bytes) -> dict[str, Any]:
    """Return a line's fields; raises LineBroken."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise LineBroken("it is no line of an audit log")
    return fields
