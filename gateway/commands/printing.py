"""How commands print: results on standard output, prose on standard error, a secret alone on its line."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from runtime.terminal import printable

Fields = Mapping[str, Any]


def print_json(value: object) -> None:
    """Print one JSON value; times in ISO 8601, sets sorted."""
    put(json.dumps(value, default=_plain))


def print_table(rows: Iterable[Fields], columns: Sequence[str], *, empty: str) -> None:
    """Print rows as aligned columns under their names; when there are none, say so on standard error."""
    cells = [[text(row.get(column)) for column in columns] for row in rows]
    if not cells:
        say(empty)
        return
    cells.insert(0, [column.replace("_", " ").upper() for column in columns])
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        put("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Fields) -> None:
    """Print one thing, a line for each of its fields."""
    width = max(map(len, fields))
    for name, value in fields.items():
        put(f"{name.replace('_', ' ').ljust(width)}  {text(value)}")


def put(line: str) -> None:
    """Print one line of the result; a secret has it for itself, so that a script can read it."""
    sys.stdout.write(printable(line) + "\n")


def say(prose: str) -> None:
    """Tell the person something that is not the result."""
    sys.stderr.write(printable(prose) + "\n")


def text(value: object) -> str:
    """Return a value as people read it."""
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}Z"
        case float():
            return f"{value:g}"
        case list() | tuple() | set() | frozenset():
            return ", ".join(sorted(map(text, value))) or "-"
        case _:
            return str(value)


def duration(span: timedelta) -> str:
    """Return a duration in its largest whole unit: 90 days, 1 hour."""
    seconds = int(span.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat(timespec="seconds")
        case Enum():
            return value.value
        case set() | frozenset():
            return sorted(value)
        case _:
            raise TypeError(type(value).__name__)
