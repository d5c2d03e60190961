"""The first schema: agents, instances, invites, connections, tokens, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INSTANT = sa.BigInteger  # milliseconds since 1970, UTC


def upgrade() -> None:
    """Create every table, and the one row that counts changes."""
    _create_agents()
    _create_connections()
    _create_tokens()
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
    )
    gateway = op.create_table(
        "gateway",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("changes", sa.BigInteger, nullable=False),
        sa.Column("key_check", sa.LargeBinary),
    )
    op.bulk_insert(gateway, [{"id": 1, "changes": 0, "key_check": None}])


def _create_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
    )
    op.create_table(
        "instances",
        sa.Column("agent", sa.String(63), sa.ForeignKey("agents.name"), primary_key=True),
        sa.Column("instance", sa.String(63), primary_key=True),
        sa.Column("serial", sa.String(40), nullable=False, unique=True),
        sa.Column("enrolled_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
    )
    op.create_table(
        "invites",
        sa.Column("secret_hash", sa.String(64), primary_key=True),
        sa.Column("agent", sa.String(63), sa.ForeignKey("agents.name"), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT),
    )


def _create_connections() -> None:
    op.create_table(
        "connections",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("via", sa.String(63), nullable=False),
        sa.Column("credentials", sa.String(16), nullable=False),
        sa.Column("base_url", sa.Text),
        sa.Column("username", sa.Text),
        sa.Column("sealed_secret", sa.LargeBinary),
        sa.Column("rewrite_links", sa.Boolean, nullable=False),
        sa.Column("timeout_seconds", sa.Float, nullable=False),
        sa.Column("ca_pem", sa.Text),
    )


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("scopes", sa.String(64), nullable=False),
        sa.Column("read_only", sa.Boolean, nullable=False),
        sa.Column("rate", sa.Float),
        sa.Column("expires_at", INSTANT),
        sa.Column("previous_hash", sa.String(64)),
        sa.Column("previous_expires_at", INSTANT),
        sa.Column("revoked_at", INSTANT),
    )
    op.create_table(
        "token_connections",
        sa.Column("token", sa.String(63), sa.ForeignKey("tokens.name", ondelete="CASCADE"), primary_key=True),
        sa.Column(
            "connection",
            sa.String(63),
            sa.ForeignKey("connections.name", ondelete="CASCADE"),
            primary_key=True,
        ),
    )
