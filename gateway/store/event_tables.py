"""The tables of triggers and events, beside those of gateway.store.tables. `migrations/` creates them."""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from gateway.store.tables import Instant, metadata

hooks = Table(
    "hooks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("connection", ForeignKey("connections.name"), nullable=False),
    Column("way", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("jql", Text),
    Column("id_hash", String(64), nullable=False, unique=True),
    Column("sealed_id", LargeBinary, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("signs", Boolean, nullable=False),
    Column("remote_id", String(64)),
    Column("base_url", Text),
    Column("created_at", Instant, nullable=False),
    sqlite_autoincrement=True,  # an id is never used again: names of hooks and triggers live on in Jira and in logs
)

triggers = Table(
    "triggers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("connection", ForeignKey("connections.name"), nullable=False),
    Column("events", Text, nullable=False),
    Column("jql", Text),
    Column("deliver_to", Text),
    Column("wanted", String(16)),
    Column("way", String(16)),
    Column("ordered", Boolean, nullable=False),
    Column("poll_seconds", Float, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("sealed_previous", LargeBinary),
    Column("previous_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("kind", String(16)),
    Column("hook", ForeignKey("hooks.id")),
    Column("note", Text),
    Column("disabled_at", Instant),
    Column("disabled_reason", Text),
    sqlite_autoincrement=True,
)

hook_states = Table(
    "hook_states",
    metadata,
    Column("hook", Integer, primary_key=True, autoincrement=False),
    Column("problem", Text),
    Column("checked_at", Instant),
    Column("first_event_at", Instant),
    Column("last_event_at", Instant),
    Column("refused_at", Instant),
    Column("refused", Text),
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("until", Instant),
    Column("looked_at", Instant),
    Column("problem", Text),
)

gaps = Table(
    "gaps",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("uid", String(128), nullable=False, unique=True),
    Column("connection", String(63), nullable=False),
    Column("cause", String(16), nullable=False),
    Column("from_at", Instant, nullable=False),
    Column("to_at", Instant, nullable=False),
    Column("reported_at", Instant, nullable=False),
    Column("way", String(16)),
    Column("swept_at", Instant),
    Column("found", Integer),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("connection", String(63), nullable=False),
    Column("occurrence", String(400), nullable=False),
    Column("type", String(64), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("occurred_at", Instant),
    Column("issue_id", String(255)),
    Column("issue_key", String(255)),
    Column("actor", Text),
    Column("repaired", Boolean, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("events_occurrence", "connection", "occurrence", "type", unique=True),
    Index("events_age", "received_at", "size"),
    sqlite_autoincrement=True,
)

# No foreign keys here: a batch of many events must not fail because one trigger was removed meanwhile.
deliveries = Table(
    "deliveries",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("trigger", Integer, nullable=False),
    Column("occurrence", String(400), nullable=False),
    Column("event", Integer, nullable=False),
    Column("issue", String(255)),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("settled_at", Instant),
    Index("deliveries_occurrence", "trigger", "occurrence", unique=True),
    Index("deliveries_log", "trigger", "number"),
    Index("deliveries_state", "trigger", "state", "next_at"),
    Index("deliveries_issue", "trigger", "issue", "number"),
    Index("deliveries_event", "event"),
    sqlite_autoincrement=True,
)
