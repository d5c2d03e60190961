"""What the audit log says of a request and of everything else, as the insides of JSON objects. Pure.

Callers and gateways choose many of these bytes: whatever they are, an entry is one line of ASCII. A path is cut before
its query, parameters and fragment, which may hold credentials.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final, NamedTuple

MAX_PATH: Final = 1024
MAX_NAME: Final = 128
_SEEN: Final = MAX_NAME + 1  # of a name, to know whether it is longer
_FIXED_BYTES: Final = 480  # of memory and of the line, beside what others chose
_SECRET_PARTS: Final = re.compile(rb"[?;#]")


class RequestEntry(NamedTuple):
    """One request that was carried or refused: made on the request path, written later."""

    at: float  # seconds since 1970, when it ended
    caller: bytes
    request_id: bytes
    connection: bytes
    method: bytes
    target: bytes
    rule: str | None
    outcome: str
    status: int  # of Jira's answer; 0 without one
    received: int  # bytes of the request's body that came
    answered: int  # bytes of the answer's body that went
    seconds: float

    @property
    def size(self) -> int:
        """Bytes that it takes until it is written, roughly and rather too many."""
        chosen = len(self.caller) + len(self.request_id) + len(self.connection) + len(self.method) + len(self.target)
        return _FIXED_BYTES + 2 * chosen

    def body(self) -> str:
        """Return the entry."""
        at, caller, request_id, connection, method, target, rule, outcome, status, received, answered, seconds = self
        path = target[: MAX_PATH + 1]
        secret = _SECRET_PARTS.search(path)
        path = path if secret is None else path[: secret.start()]
        return (
            f'"at":"{moment(at)}","kind":"request","caller":{_name(caller[:_SEEN])},'
            f'"id":{_text(request_id, MAX_NAME)},"connection":{_name(connection[:_SEEN])},'
            f'"method":{_name(method[:_SEEN])},"path":{_text(path, MAX_PATH)},'
            f'"rule":{"null" if rule is None else _word(rule[:MAX_NAME])},"outcome":{_word(outcome)},'
            f'"status":{status or "null"},"received":{received},"answered":{answered},"ms":{seconds * 1000:.1f}'
        )


class NoteEntry(NamedTuple):
    """Anything else, such as a start, a turn of the switch, or a gap."""

    at: float
    kind: str
    fields: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return _FIXED_BYTES

    def body(self) -> str:
        """Return the entry."""
        inside = json.dumps({"kind": self.kind, **self.fields}, separators=(",", ":"))[1:-1]
        return f'"at":"{moment(self.at)}",{inside}'


Entry = RequestEntry | NoteEntry


def moment(at: float) -> str:
    """Return a time in UTC with milliseconds."""
    whole = int(at)
    return f"{_second(whole)}.{int((at - whole) * 1000):03d}Z"


_last_second: tuple[int, str] = (-1, "")


def _second(whole: int) -> str:
    global _last_second  # noqa: PLW0603 - many entries share their second, and strftime costs more than all the rest
    if _last_second[0] != whole:
        _last_second = whole, datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return _last_second[1]


@lru_cache(1024)  # the same few again and again
def _name(value: bytes) -> str:
    return _text(value, MAX_NAME)


_word = lru_cache(1024)(quoted)


def _text(value: bytes, longest: int) -> str:
    if len(value) > longest:
        value = value[:longest] + b"..."
    return quoted(value.decode("ascii", "backslashreplace"))
