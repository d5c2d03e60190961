"""The gateway's memory on disk: agents, invites, connections, tokens, triggers, events and the audit trail.

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
from gateway.store.event_rows import (
    Cause,
    Delivery,
    Event,
    Gap,
    Hook,
    HookState,
    Kind,
    NewEvent,
    Settled,
    State,
    Trigger,
    Watermark,
    Way,
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
    "Cause",
    "Change",
    "Connection",
    "Credentials",
    "Delivery",
    "Event",
    "Gap",
    "Hook",
    "HookState",
    "InUse",
    "Instance",
    "Invite",
    "InviteRejected",
    "Kind",
    "NewEvent",
    "NotFound",
    "SchemaTooNew",
    "Scope",
    "Settled",
    "Snapshot",
    "State",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "Token",
    "Trigger",
    "Watermark",
    "Way",
    "database_path",
    "open_store",
]
