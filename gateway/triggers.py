"""Triggers and hooks in memory, as the way of an event asks for them: the part of the directory that is about events.

Immutable, replaced as a whole with the directory. Secrets are unsealed here, once.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from pydantic import SecretBytes, SecretStr

from gateway.sealing import SecretKey, WrongSecretKey
from gateway.store import Hook, Kind, Snapshot, Trigger, Way

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HookEntry:
    """A hook that is in force. `agent` is whose agent may bring its events, None for a direct connection.

    `hook_id` opens the way in; `secret` signs.
    """

    row: Hook
    agent: str | None
    hook_id: SecretStr
    secret: SecretStr

    @property
    def id(self) -> int:
        """Its number."""
        return self.row.id

    @property
    def connection(self) -> str:
        """Whose Jira it is of."""
        return self.row.connection


@dataclass(frozen=True, slots=True)
class TriggerEntry:
    """A trigger that is in force. `secret` signs what is sent; `previous_secret` too, until `previous_until`."""

    row: Trigger
    secret: SecretStr
    previous_secret: SecretStr | None = None
    previous_until: datetime | None = None

    @property
    def id(self) -> int:
        """Its number."""
        return self.row.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.row.name

    @property
    def is_sent(self) -> bool:
        """Whether its events are pushed; the others are only kept."""
        return self.row.deliver_to is not None

    def secrets(self, now: datetime) -> list[SecretStr]:
        """Return the secrets that sign now, the newest first."""
        if self.previous_secret is None or self.previous_until is None or self.previous_until <= now:
            return [self.secret]
        return [self.secret, self.previous_secret]


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """All triggers and hooks of one version of the store."""

    triggers: tuple[TriggerEntry, ...] = ()
    hooks: tuple[HookEntry, ...] = ()
    _by_hash: dict[str, HookEntry] = field(default_factory=dict)
    _by_hook: dict[int, tuple[TriggerEntry, ...]] = field(default_factory=dict)
    _by_name: dict[str, TriggerEntry] = field(default_factory=dict)
    _by_id: dict[int, TriggerEntry] = field(default_factory=dict)

    def hook(self, id_hash: str) -> HookEntry | None:
        """Return the hook whose id has this SHA-256."""
        return self._by_hash.get(id_hash)

    def trigger(self, which: str | int) -> TriggerEntry | None:
        """Return the trigger of this name or number."""
        return self._by_id.get(which) if isinstance(which, int) else self._by_name.get(which)

    def of_hook(self, hook: int) -> tuple[TriggerEntry, ...]:
        """Return the triggers that a hook feeds."""
        return self._by_hook.get(hook, ())

    def of_connection(self, connection: str) -> list[TriggerEntry]:
        """Return the triggers of a connection."""
        return [trigger for trigger in self.triggers if trigger.row.connection == connection]

    def hashes_of(self, agent: str) -> list[bytes]:
        """Return the raw hashes of the hooks at which this agent receives webhooks."""
        mine = [hook for hook in self.hooks if hook.agent == agent and hook.row.way is Way.LAN]
        return [bytes.fromhex(hook.row.id_hash) for hook in mine]


def read_subscriptions(snapshot: Snapshot, key: SecretKey) -> Subscriptions:
    """Return the triggers and hooks of a snapshot; one whose secret does not open is left out, and logged."""
    agents = {row.name: row.agent for row in snapshot.connections}
    hooks = [hook for row in snapshot.hooks if (hook := _hook(row, agents.get(row.connection), key))]
    triggers = [trigger for row in snapshot.triggers if (trigger := _trigger(row, key))]
    by_hook: defaultdict[int, list[TriggerEntry]] = defaultdict(list)
    for subscribed in triggers:
        if subscribed.row.hook is not None and subscribed.row.kind is not Kind.POLLED:
            by_hook[subscribed.row.hook].append(subscribed)
    return Subscriptions(
        tuple(triggers),
        tuple(hooks),
        {entry.row.id_hash: entry for entry in hooks},
        {hook: tuple(entries) for hook, entries in by_hook.items()},
        {entry.name: entry for entry in triggers},
        {entry.id: entry for entry in triggers},
    )


def trigger_place(name: str) -> str:
    """Return the place that a trigger's signing secret is sealed for."""
    return f"triggers/{name}/sealed_secret"


def hook_place(id_hash: str, column: str) -> str:
    """Return the place that a hook's id or secret is sealed for."""
    return f"hooks/{id_hash}/{column}"


def _hook(row: Hook, agent: str | None, key: SecretKey) -> HookEntry | None:
    hook_id = _opened(row.sealed_id, hook_place(row.id_hash, "sealed_id"), key)
    secret = _opened(row.sealed_secret, hook_place(row.id_hash, "sealed_secret"), key)
    return None if hook_id is None or secret is None else HookEntry(row, agent, hook_id, secret)


def _trigger(row: Trigger, key: SecretKey) -> TriggerEntry | None:
    secret = _opened(row.sealed_secret, trigger_place(row.name), key)
    if secret is None:
        return None
    previous = None if row.sealed_previous is None else _opened(row.sealed_previous, trigger_place(row.name), key)
    return TriggerEntry(row, secret, previous, row.previous_until)


def _opened(sealed: bytes, place: str, key: SecretKey) -> SecretStr | None:
    try:
        plain: SecretBytes = key.unseal(sealed, place)
    except WrongSecretKey as error:
        log.error("subscription_unusable", reason=str(error))  # noqa: TRY400 - the reason says it all
        return None
    return SecretStr(plain.get_secret_value().decode())
