"""What a Jira claims, read with bounds: ids, keys, texts, people, JSON. Nobody trusts a Jira.

A value that is not what it should be is None, never an error, and never a text that has no UTF-8 form.
"""

import json
import math
import re
from typing import Any, Final

MAX_TEXT: Final = 255
MAX_VALUES: Final = 400_000
"""Ten megabytes of an issue's JSON have fewer. Of `[],[],…` they have millions: 300 MB of objects, and seconds."""
UNKNOWN: Final = "unknown"

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.:-]{1,255}", re.ASCII)
_EVENT: Final = re.compile(r"[A-Za-z0-9_:.-]{1,64}", re.ASCII)
_LARGEST_NUMBER: Final = 2**63 - 1


def is_dense(body: bytes) -> bool:
    """Say whether a JSON text may hold more values than are read; its texts are counted as if they were JSON."""
    return body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES


def load_json(body: bytes) -> Any:
    """Return the value of a JSON text; what no strict reader accepts (NaN, a number beyond all bounds) becomes null.

    Raises:
        ValueError: it is no JSON, or nested, long or dense beyond what can be read.
    """
    if is_dense(body):
        raise ValueError("it holds too many values")
    try:
        return json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(_: str) -> None:
    return None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def dump_json(value: object) -> bytes:
    """Return compact JSON in ASCII, which holds lone surrogates as escapes."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def member(value: object, name: str) -> dict[str, Any] | None:
    """Return the object that `value`, if it is an object itself, holds as `name`."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else None


def members(value: object, name: str) -> list[dict[str, Any]]:
    """Return the objects in the list that `value`, if it is an object itself, holds as `name`."""
    found = value.get(name) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def identifier(value: object) -> str | None:
    """Return an id or key as text: Jira writes the same id as a number here and as a text there."""
    if type(value) is int:  # a bool is no id
        return str(value) if 0 <= value <= _LARGEST_NUMBER else None
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def count(value: object) -> int | None:
    """Return a whole number that is not negative."""
    return value if type(value) is int and 0 <= value <= _LARGEST_NUMBER else None


def event_name(value: object) -> str:
    """Return the name of an event, `unknown` for what cannot be one."""
    return value if isinstance(value, str) and _EVENT.fullmatch(value) else UNKNOWN


def line(value: object) -> str | None:
    """Return a text of one line that is used as it is, None when it cannot be printed or is too long."""
    usable = isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable()
    return value if usable and isinstance(value, str) else None


def label(value: object) -> str | None:
    """Return a text that people read: cut off where it is too long, without what cannot be printed."""
    if not isinstance(value, str):
        return None
    text = value[:MAX_TEXT]
    if not text.isprintable():
        text = "".join(filter(str.isprintable, text))
    return text or None


def actor(user: object) -> dict[str, str] | None:
    """Return who somebody is, without an address: `id`, and where known `name` and `display_name`.

    The id is Cloud's account id, else the key, else the login, as old Jiras have nothing else.
    """
    if not isinstance(user, dict):
        return None
    name = line(user.get("name"))
    account = line(user.get("accountId")) or line(user.get("key")) or name
    if account is None:
        return None
    found = {"id": account, "name": name, "display_name": label(user.get("displayName"))}
    return {key: value for key, value in found.items() if value is not None}
