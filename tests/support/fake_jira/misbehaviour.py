"""Faults on demand: what a sick Jira, a dying proxy or a broken network does to one request.

Each fault is data, so that another process can ask for it through the control port.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tests.support.fake_jira.recording import RecordedRequest


@dataclass(frozen=True, slots=True)
class Slow:
    """Take the request, think for `seconds`, then answer as usual."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Take the whole request and never answer."""


@dataclass(frozen=True, slots=True)
class CloseAfterRequestHead:
    """Close as soon as the head has come, without reading the body."""

    reset: bool = False


@dataclass(frozen=True, slots=True)
class CloseBeforeAnswer:
    """Take the whole request, then close without a byte of an answer."""

    reset: bool = False


@dataclass(frozen=True, slots=True)
class CutMidBody:
    """Send the true head and `after` bytes of the body, then close."""

    after: int
    reset: bool = False


@dataclass(frozen=True, slots=True)
class StallBody:
    """Send the true head and `after` bytes of the body, then nothing more."""

    after: int


@dataclass(frozen=True, slots=True)
class DripBody:
    """Send the body `step` bytes at a time with `pause` seconds between."""

    step: int
    pause: float


@dataclass(frozen=True, slots=True)
class LieAboutLength:
    """Declare this Content-Length, send the real body, then close."""

    declared: int


@dataclass(frozen=True, slots=True)
class StallRead:
    """Read `after` bytes of the request's body, pause for `seconds`, go on as usual."""

    after: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Take the request (unless `read_body` is off), write exactly these bytes, then close (unless told not to)."""

    data: bytes
    close: bool = True
    read_body: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this status instead of Jira; `read_body` False answers before the body is read."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    read_body: bool = True


@dataclass(frozen=True, slots=True)
class Canned:
    """Answer with an entry of fixtures/errors.json: `rate-limited`, `starting-up`, `sso-login-page`, …"""

    name: str


Fault = (
    Slow | Hang | CloseAfterRequestHead | CloseBeforeAnswer | CutMidBody | StallBody | DripBody | LieAboutLength
    | StallRead | RawAnswer | Status | Canned
)  # fmt: skip
FAULTS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Slow, Hang, CloseAfterRequestHead, CloseBeforeAnswer, CutMidBody, StallBody, DripBody, LieAboutLength,
        StallRead, RawAnswer, Status, Canned,
    )
}  # fmt: skip


def fault_to_json(fault: Fault) -> dict[str, Any]:
    """Bytes become latin-1 text."""
    values = {
        key: value.decode("latin-1") if isinstance(value, bytes) else value for key, value in asdict(fault).items()
    }
    return {"kind": type(fault).__name__, **values}


def fault_from_json(data: dict[str, Any]) -> Fault:
    """The inverse of `fault_to_json`. Raises KeyError or TypeError."""
    kind = FAULTS[data["kind"]]
    values = {item.name: data[item.name] for item in fields(kind) if item.name in data}
    if kind is RawAnswer:
        values["data"] = values["data"].encode("latin-1")
    if kind is Status:
        values["headers"] = tuple((name, value) for name, value in values.get("headers", ()))
    fault: Fault = kind(**values)
    return fault


@dataclass(slots=True, eq=False)
class Rule:
    """Where and how often a fault applies. `hits` counts; `remove()` ends it."""

    prefix: str
    fault: Fault
    times: int | None = None
    method: str | None = None
    header: tuple[str, str] | None = None
    hits: int = 0
    rules: list["Rule"] = field(default_factory=list)

    def applies(self, record: RecordedRequest, path: str) -> bool:
        """Whether this request is meant; `path` is the raw path without the context path."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method is not None and self.method != record.method:
            return False
        if self.header is not None and record.header(self.header[0]) != self.header[1].encode():
            return False
        return path.startswith(self.prefix)

    def remove(self) -> None:
        """No longer apply."""
        if self in self.rules:
            self.rules.remove(self)


Predicate = Callable[[Any], bool]


def choose(rules: list[Rule], record: RecordedRequest, path: str) -> Fault | None:
    """The fault of the newest rule that applies, counted as a hit."""
    for rule in reversed(rules):
        if rule.applies(record, path):
            rule.hits += 1
            return rule.fault
    return None
