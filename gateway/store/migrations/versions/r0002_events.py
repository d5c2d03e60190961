"""Triggers, hooks, events and their deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INSTANT = sa.BigInteger  # milliseconds since 1970, UTC


def upgrade() -> None:
    """Create the tables of events, and the column that tells until when the gateway lived."""
    op.add_column("gateway", sa.Column("alive_at", INSTANT))
    _create_hooks()
    _create_triggers()
    _create_progress()
    _create_events()
    _create_deliveries()


def _create_hooks() -> None:
    op.create_table(
        "hooks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("connection", sa.String(63), sa.ForeignKey("connections.name"), nullable=False),
        sa.Column("way", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("jql", sa.Text),
        sa.Column("id_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("sealed_id", sa.LargeBinary, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("signs", sa.Boolean, nullable=False),
        sa.Column("remote_id", sa.String(64)),
        sa.Column("base_url", sa.Text),
        sa.Column("created_at", INSTANT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hook_states",
        sa.Column("hook", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("problem", sa.Text),
        sa.Column("checked_at", INSTANT),
        sa.Column("first_event_at", INSTANT),
        sa.Column("last_event_at", INSTANT),
        sa.Column("refused_at", INSTANT),
        sa.Column("refused", sa.Text),
    )


def _create_triggers() -> None:
    op.create_table(
        "triggers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(63), nullable=False, unique=True),
        sa.Column("connection", sa.String(63), sa.ForeignKey("connections.name"), nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("jql", sa.Text),
        sa.Column("deliver_to", sa.Text),
        sa.Column("wanted", sa.String(16)),
        sa.Column("way", sa.String(16)),
        sa.Column("ordered", sa.Boolean, nullable=False),
        sa.Column("poll_seconds", sa.Float, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("sealed_previous", sa.LargeBinary),
        sa.Column("previous_until", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("kind", sa.String(16)),
        sa.Column("hook", sa.Integer, sa.ForeignKey("hooks.id")),
        sa.Column("note", sa.Text),
        sa.Column("disabled_at", INSTANT),
        sa.Column("disabled_reason", sa.Text),
        sqlite_autoincrement=True,
    )


def _create_progress() -> None:
    op.create_table(
        "watermarks",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("until", INSTANT),
        sa.Column("looked_at", INSTANT),
        sa.Column("problem", sa.Text),
    )
    op.create_table(
        "gaps",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("uid", sa.String(128), nullable=False, unique=True),
        sa.Column("connection", sa.String(63), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("from_at", INSTANT, nullable=False),
        sa.Column("to_at", INSTANT, nullable=False),
        sa.Column("reported_at", INSTANT, nullable=False),
        sa.Column("way", sa.String(16)),
        sa.Column("swept_at", INSTANT),
        sa.Column("found", sa.Integer),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("connection", sa.String(63), nullable=False),
        sa.Column("occurrence", sa.String(400), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("occurred_at", INSTANT),
        sa.Column("issue_id", sa.String(255)),
        sa.Column("issue_key", sa.String(255)),
        sa.Column("actor", sa.Text),
        sa.Column("repaired", sa.Boolean, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_occurrence", "events", ["connection", "occurrence", "type"], unique=True)
    op.create_index("events_age", "events", ["received_at", "size"])


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("trigger", sa.Integer, nullable=False),
        sa.Column("occurrence", sa.String(400), nullable=False),
        sa.Column("event", sa.Integer, nullable=False),
        sa.Column("issue", sa.String(255)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("settled_at", INSTANT),
        sqlite_autoincrement=True,
    )
    op.create_index("deliveries_occurrence", "deliveries", ["trigger", "occurrence"], unique=True)
    op.create_index("deliveries_log", "deliveries", ["trigger", "number"])
    op.create_index("deliveries_state", "deliveries", ["trigger", "state", "next_at"])
    op.create_index("deliveries_issue", "deliveries", ["trigger", "issue", "number"])
    op.create_index("deliveries_event", "deliveries", ["event"])
