"""What the store hands out of triggers and events: frozen rows with plain types, as in gateway.store.rows."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """How a trigger learns of what happens in Jira (docs/events.md)."""

    REGISTERED = "registered"
    MANUAL = "manual"
    POLLED = "polled"


class Way(StrEnum):
    """Where Jira posts a hook's webhooks: at the agent in its own network, or at the gateway."""

    LAN = "lan"
    INTERNET = "internet"


class State(StrEnum):
    """What became of a delivery. `KEPT`: there is nowhere to send it, whoever wants it fetches it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    KEPT = "kept"


class Cause(StrEnum):
    """Why webhooks may have been lost for a while."""

    AGENT = "agent"
    GATEWAY = "gateway"
    JIRA = "jira"
    SPOOL_FULL = "spool_full"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A subscription. `wanted` and `way` None mean: whatever is possible.

    `kind`, `hook` and `note` (why this kind, in words) are the running gateway's decision; None before it was made.
    `deliver_to` None: nothing is sent, the events are fetched.
    """

    id: int
    name: str
    connection: str
    events: frozenset[str]
    created_at: datetime
    jql: str | None = None
    deliver_to: str | None = field(default=None, repr=False)  # who knows it may be able to post there
    wanted: Kind | None = None
    way: Way | None = None
    ordered: bool = False
    poll_seconds: float = 10.0
    sealed_secret: bytes = field(default=b"", repr=False)
    sealed_previous: bytes | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    kind: Kind | None = None
    hook: int | None = None
    note: str | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of one Jira. Its id opens the way in, so it is sealed; `id_hash` is the SHA-256 of it in hex.

    `signs`: its webhooks count only with a right signature. `remote_id` is Jira's own name for it, `base_url` the
    address below which we registered it.
    """

    id: int
    connection: str
    way: Way
    kind: Kind
    id_hash: str
    created_at: datetime
    jql: str | None = None
    sealed_id: bytes = field(default=b"", repr=False)
    sealed_secret: bytes = field(default=b"", repr=False)
    signs: bool = False
    remote_id: str | None = None
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class HookState:
    """What is known of a hook's life; changes without a change of the configuration."""

    hook: int
    problem: str | None = None
    checked_at: datetime | None = None
    first_event_at: datetime | None = None
    last_event_at: datetime | None = None
    refused_at: datetime | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Watermark:
    """Up to when (by Jira's clock) everything was looked at; `problem` says why the last look failed."""

    name: str
    until: datetime | None = None
    looked_at: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """From when until when webhooks of a connection may have been lost, by our clock; `way` None: on both."""

    number: int
    uid: str
    connection: str
    cause: Cause
    from_at: datetime
    to_at: datetime
    reported_at: datetime
    way: Way | None = None
    swept_at: datetime | None = None
    found: int | None = None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened in Jira, on its way into the store, with the ids of the triggers that want it.

    `occurrence` is the documented key (docs/events.md); `actor` is JSON text; `body` is Jira's JSON, b"" for none;
    `hook` is the one that it came through.
    """

    connection: str
    occurrence: str
    type: str
    received_at: datetime
    triggers: tuple[int, ...]
    body: bytes = field(default=b"", repr=False)
    occurred_at: datetime | None = None
    issue_id: str | None = None
    issue_key: str | None = None
    actor: str | None = None
    repaired: bool = False
    hook: int | None = None
    kept_for: frozenset[int] = frozenset()  # of `triggers`, those that are sent nothing


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event."""

    seq: int
    connection: str
    occurrence: str
    type: str
    received_at: datetime
    body: bytes = field(repr=False)
    occurred_at: datetime | None
    issue_id: str | None
    issue_key: str | None
    actor: str | None
    repaired: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event for one trigger. `number` grows in the order in which deliveries were stored: it is the cursor.

    `attempts` were made so far; `next_at` is when the next is due.
    """

    number: int
    trigger: int
    state: State
    attempts: int
    event: Event
    next_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of one attempt: what the delivery is from now on."""

    number: int
    state: State
    attempts: int
    next_at: datetime | None
    last_status: int | None
    last_error: str | None
    settled_at: datetime | None
