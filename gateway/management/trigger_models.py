"""The bodies, queries and answers about triggers and their events, as those of gateway.management.models."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gateway.events.feed import MAX_PAGE
from gateway.events.targets import MAX_URL
from gateway.management.models import Asked, Count, Duration, Name, Told
from gateway.store import Cause, Kind, State, Way
from gateway.trigger_rules import (
    CURSOR_PATTERN,
    DEFAULT_POLL_SECONDS,
    MAX_IDS,
    MAX_JQL_BYTES,
    MAX_POLL_SECONDS,
    MESSAGE_ID_PATTERN,
    MIN_POLL_SECONDS,
)

MAX_WAIT_SECONDS = 60

_STATES = "|".join(State)

EventName = Annotated[str, Field(min_length=1, max_length=64, examples=["jira:issue_created"])]
MessageId = Annotated[str, Field(pattern=f"^({MESSAGE_ID_PATTERN}|{CURSOR_PATTERN})$")]
PollSeconds = Annotated[float, Field(ge=MIN_POLL_SECONDS, le=MAX_POLL_SECONDS)]


class NewTrigger(Asked):
    """A new trigger: which events of which connection, and where they go."""

    name: Name = Field(examples=["tickets"])
    connection: Name
    events: list[EventName] = Field(
        min_length=1, max_length=64, description="names of Jira's webhook events", examples=[["jira:issue_created"]]
    )
    jql: str = Field(
        default_factory=str, min_length=1, max_length=MAX_JQL_BYTES, description="which issues; left out: all"
    )
    deliver_to: str = Field(
        default_factory=str, min_length=1, max_length=MAX_URL, description="where they are sent; left out: nowhere"
    )
    kind: Kind = Field(default_factory=lambda: Kind.REGISTERED, description="left out: whatever is possible")
    way: Way = Field(default_factory=lambda: Way.LAN, description="where webhooks arrive; left out: as possible")
    poll_seconds: PollSeconds = Field(default_factory=float, description=f"left out: {DEFAULT_POLL_SECONDS:g}")
    ordered: bool = Field(False, description="send one after the other for each issue")


class ManualSteps(Told):
    """What an administrator of Jira does by hand; `secret` None: this Jira does not sign."""

    url: str
    secret: str | None
    events: list[str]
    jql: str | None
    steps: list[str]


class MadeTrigger(Told):
    """What came of a new trigger; `secret` signs what is sent and is shown once, None: nothing is sent."""

    name: str
    secret: str | None
    kind: Kind | None
    way: Way | None
    note: str | None
    problem: str | None
    manual: ManualSteps | None


class TriggerView(Told):
    """A trigger in a list. `state` deciding: the gateway has not found out yet what is possible."""

    name: str
    connection: str
    state: Literal["deciding", "active", "disabled"]
    kind: Kind | None
    way: Way | None
    events: list[str]
    jql: str | None
    deliver_to: str | None
    problem: str | None
    counts: dict[State, int]


class TriggerList(Told):
    """All triggers by name."""

    items: list[TriggerView]


class HookView(Told):
    """The webhook in Jira that feeds a trigger; `refused` is why the last one that was refused was."""

    id: int
    remote_id: str | None
    signs: bool
    checked_at: datetime | None
    first_event_at: datetime | None
    last_event_at: datetime | None
    refused_at: datetime | None
    refused: str | None


class WatermarkView(Told):
    """Up to when, by Jira's clock, everything was looked at."""

    until: datetime | None
    looked_at: datetime | None
    problem: str | None


class GapView(Told):
    """A time in which webhooks may have been lost, and which was not looked through yet; `way` None: both."""

    cause: Cause
    way: Way | None
    from_at: datetime
    to_at: datetime


class TriggerDetails(TriggerView):
    """Everything about a trigger that is no secret. `wanted` is the kind that was asked for.

    Of its events, polling finds those in `never_found` not at all, and `jql` does not filter those in `never_filtered`.
    """

    ordered: bool
    poll_seconds: float
    created_at: datetime
    wanted: Kind | None
    note: str | None
    disabled_at: datetime | None
    disabled_reason: str | None
    previous_until: datetime | None
    never_found: list[str]
    never_filtered: list[str]
    hook: HookView | None
    watermark: WatermarkView | None
    open_gaps: list[GapView]


class SecretRotation(Asked):
    """How long the old secret signs beside the new one."""

    overlap: Duration = Field("24h")


class TriggerSecret(Told):
    """A trigger's new signing secret, shown once."""

    name: str
    secret: str
    previous_until: datetime


class Replaying(Asked):
    """What is sent again: `since` a time or a duration ago, or these `ids`; or with `dead` alone all that is dead."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    since: str = Field(default_factory=str, min_length=1, max_length=40, examples=["2h", "2026-11-26T17:00:00Z"])
    ids: list[MessageId] = Field(default_factory=list, min_length=1, max_length=MAX_IDS)
    dead: bool = Field(False, description="only what was given up")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("there is nothing to send again")
        return self


class Replayed(Told):
    """How many deliveries are sent again."""

    name: str
    count: int


class EventQuery(Asked):
    """Which page, and how long to wait for it."""

    after: Count = Field(0, ge=0, description="the cursor of the last event that is known")
    wait: Count = Field(0, ge=0, le=MAX_WAIT_SECONDS, description="seconds, when there is nothing yet")
    limit: Count = Field(100, ge=1, le=MAX_PAGE)
    state: str = Field(
        default_factory=str,
        pattern=f"^({_STATES})(,({_STATES})){{0,3}}$",
        description="only deliveries in these states, with commas between them",
    )


class EventEntry(Told):
    """A delivery: its place, what became of it, and the event as a subscriber gets it (docs/events.md)."""

    cursor: str
    state: State
    attempts: int
    last_status: int | None
    last_error: str | None
    next_at: datetime | None
    event: dict[str, Any]


class EventPage(Told):
    """Deliveries in order; `next` is the `after` of the next page."""

    items: list[EventEntry]
    next: str
