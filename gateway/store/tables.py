"""The schema as SQLAlchemy Core tables, for queries. `migrations/` creates it; a test holds them equal."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware datetime kept as whole milliseconds since 1970: the same on every database, and comparable."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the milliseconds to store."""
        del dialect
        return None if value is None else (value - EPOCH) // MILLISECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the UTC datetime."""
        del dialect
        return None if value is None else EPOCH + value * MILLISECOND


metadata = MetaData()

gateway = Table(  # one row: what is true of the store as a whole
    "gateway",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("changes", BigInteger, nullable=False),
    Column("key_check", LargeBinary),
    Column("alive_at", Instant),
)

agents = Table(
    "agents",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

instances = Table(
    "instances",
    metadata,
    Column("agent", ForeignKey("agents.name"), primary_key=True),
    Column("instance", String(63), primary_key=True),
    Column("serial", String(40), nullable=False, unique=True),
    Column("enrolled_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

invites = Table(
    "invites",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("agent", ForeignKey("agents.name"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
)

connections = Table(
    "connections",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("via", String(63), nullable=False),
    Column("credentials", String(16), nullable=False),
    Column("base_url", Text),
    Column("username", Text),
    Column("sealed_secret", LargeBinary),
    Column("rewrite_links", Boolean, nullable=False),
    Column("timeout_seconds", Float, nullable=False),
    Column("ca_pem", Text),
)

tokens = Table(
    "tokens",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("rate", Float),
    Column("expires_at", Instant),
    Column("previous_hash", String(64)),
    Column("previous_expires_at", Instant),
    Column("revoked_at", Instant),
)

token_connections = Table(
    "token_connections",
    metadata,
    Column("token", ForeignKey("tokens.name", ondelete="CASCADE"), primary_key=True),
    Column("connection", ForeignKey("connections.name", ondelete="CASCADE"), primary_key=True),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("mac", String(64), nullable=False),
)
