"""The gateway's memory on disk: agents, invites, connections, tokens and the audit trail.

Callers see `Store`, the frozen rows of `gateway.store.rows` and the errors of `gateway.store.errors`;
nothing of SQLAlchemy leaves this package, so that PostgreSQL can follow SQLite without touching a caller.
"""

from gateway.store.change import Change
from gateway.store.engine import database_path
from gateway.store.errors import (
    AlreadyExists,
    InUse,
    InviteRejected,
    NotFound,
    SchemaTooNew,
    StoreError,
    StoreUnavailable,
)
from gateway.store.rows import (
    Agent,
    Connection,
    Credentials,
    Instance,
    Invite,
    Scope,
    Snapshot,
    Token,
)
from gateway.store.store import Store, open_store

__all__ = [
    "Agent",
    "AlreadyExists",
    "Change",
    "Connection",
    "Credentials",
    "InUse",
    "Instance",
    "Invite",
    "InviteRejected",
    "NotFound",
    "SchemaTooNew",
    "Scope",
    "Snapshot",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "Token",
    "database_path",
    "open_store",
]
