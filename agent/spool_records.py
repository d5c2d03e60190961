"""What the spool keeps: one request to the gateway for each webhook or gap, and why it may not be able to keep it.

A record is what docs/protocol.md §11 sends, so that whoever carries it has nothing to decide. Pure: clock and dice come
in as arguments.
"""

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from http1.messages import Headers

EVENTS_PATH = b"/v1/events/"
GAPS_PATH = b"/v1/gaps"
MAX_QUERY = 4096
MAX_HEADER_BYTES = 8192
ROW_OVERHEAD = 512
"""Bytes that a row counts beside what is in it: keys, page headers, the rest of its last page."""

_KEPT_HEADERS = frozenset({b"content-type", b"user-agent", b"x-hub-signature"})
_KEPT_PREFIX = b"x-atlassian-webhook-"


class Cause(Enum):
    """Why webhooks may have been lost (docs/protocol.md §11)."""

    AGENT = "agent"
    SPOOL_FULL = "spool_full"
    JIRA = "jira"


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """One request to a gateway, by the agent's clock (milliseconds since 1970)."""

    event_id: str
    target: bytes
    received_at: int
    query: bytes
    headers: Headers
    body: bytes

    @property
    def is_gap(self) -> bool:
        """Whether it tells of a gap, and not of a webhook."""
        return self.target == GAPS_PATH

    @property
    def size(self) -> int:
        """Bytes that it counts for the spool's limit."""
        fields = sum(len(name) + len(value) + 2 for name, value in self.headers)
        return ROW_OVERHEAD + len(self.target) + len(self.query) + fields + len(self.body)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record and its row: rows are numbered in the order in which they were acknowledged."""

    id: int
    record: SpoolRecord


def webhook_record(
    event_id: str, hook: bytes, received_at: int, query: bytes, headers: Headers, body: bytes
) -> SpoolRecord:
    """Return the record of one webhook; `hook` is the SHA-256 of the hook's id."""
    target = EVENTS_PATH + hook.hex().encode()
    kept = query if len(query) <= MAX_QUERY else b""  # it names the user at most, and the body does that too
    return SpoolRecord(event_id, target, received_at, kept, kept_headers(headers), body)


def gap_record(event_id: str, since: int, now: int, cause: Cause) -> SpoolRecord:
    """Return the record of a time in which webhooks may have been lost; a clock that was set back makes it longer."""
    gap = {"from": min(since, now), "to": max(since, now), "cause": cause.value}
    headers = [(b"Content-Type", b"application/json")]
    return SpoolRecord(event_id, GAPS_PATH, now, b"", headers, json.dumps(gap).encode())


def kept_headers(headers: Headers) -> Headers:
    """Return those of a webhook's headers that travel, up to MAX_HEADER_BYTES."""
    kept: Headers = []
    size = 0
    for name, value in headers:
        lower = name.lower()
        if lower in _KEPT_HEADERS or lower.startswith(_KEPT_PREFIX):
            size += len(name) + len(value)
            if size <= MAX_HEADER_BYTES:
                kept.append((name, value))
    return kept


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in the file: counted when it was opened, and again after each write."""

    records: int
    size: int  # bytes, as records count them
    last_id: int
    oldest_at: int | None  # received_at of the oldest record
    hooks: frozenset[bytes] = frozenset()
    alive_at: int | None = None


@dataclass(slots=True)
class Changes:
    """What goes into one transaction."""

    appends: list[StoredRecord] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    hooks: frozenset[bytes] | None = None
    alive_at: int | None = None

    def __bool__(self) -> bool:
        return bool(self.appends or self.drops) or self.hooks is not None or self.alive_at is not None


class SpoolError(Exception):
    """A record was not kept; the text is one line for people."""


class SpoolFull(SpoolError):
    """JIRA_AGENT_SPOOL_MAX_BYTES is reached; `size` bytes had no room."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the spool is full ({limit} bytes); the gateway has to take events, or raise JIRA_AGENT_SPOOL_MAX_BYTES"
        )
        self.size = size


class SpoolUnavailable(SpoolError):
    """The disk does not take or give records now; the next attempt may succeed."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used now ({reason}); look at the disk's space and health")


class SpoolDamaged(SpoolError):
    """The file is not what we wrote; nobody but a person may remove it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is damaged ({reason}); stop the agent and move {path.name}* away: webhooks in it that were not "
            "carried yet can be read with sqlite3's .recover, the agent begins a new file"
        )


class SpoolInUse(SpoolError):
    """Another process has the file."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is in use by another process; stop the other agent or give this one a STATE_DIR")
