"""Hooks and triggers as the store hands them out, sealed with a key of the tests: for unit tests of events."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pydantic import SecretBytes, SecretStr

from gateway.directory import Directory
from gateway.sealing import SecretKey
from gateway.store import Connection, Credentials, Hook, Kind, Snapshot, Trigger, Way
from gateway.triggers import hook_place, trigger_place

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
KEY = SecretKey(SecretStr("k" * 40))
HOOK_ID = "hook-id-of-43-characters-0123456789-abcdefg"
SECRET = "5" * 64
SIGNING = "whsec_" + "QUJD" * 11


def make_hook(number: int = 1, hook_id: str = HOOK_ID, **fields: Any) -> Hook:
    """A hook of the connection `hq` at its agent."""
    id_hash = sha256(hook_id.encode()).hexdigest()
    row = Hook(number, "hq", Way.LAN, Kind.REGISTERED, id_hash, NOW)
    sealed = {
        "sealed_id": KEY.seal(SecretBytes(hook_id.encode()), hook_place(id_hash, "sealed_id")),
        "sealed_secret": KEY.seal(SecretBytes(SECRET.encode()), hook_place(id_hash, "sealed_secret")),
    }
    return replace(row, **{**sealed, **fields})


def make_trigger(number: int = 1, name: str = "sync", **fields: Any) -> Trigger:
    """A trigger of the connection `hq` for new issues, fed by hook 1, sent to a subscriber."""
    row = Trigger(number, name, "hq", frozenset({"jira:issue_created"}), NOW, kind=Kind.REGISTERED, hook=1)
    sealed = KEY.seal(SecretBytes(SIGNING.encode()), trigger_place(name))
    return replace(row, **{"deliver_to": "https://subscriber.example/in", "sealed_secret": sealed, **fields})


def make_directory(*rows: Hook | Trigger | Connection, version: int = 1) -> Directory:
    """A directory of these; without a connection there is `hq`, through the agent `headquarters`."""
    connections = tuple(row for row in rows if isinstance(row, Connection))
    snapshot = Snapshot(
        version,
        (),
        (),
        connections or (Connection("hq", "headquarters", Credentials.AGENT),),
        (),
        tuple(row for row in rows if isinstance(row, Trigger)),
        tuple(row for row in rows if isinstance(row, Hook)),
    )
    return Directory(snapshot, KEY)
