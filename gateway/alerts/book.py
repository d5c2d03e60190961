"""Which alerts are open: what is wrong right now goes in, notices come out. Pure: the time comes in as an argument.

An alert is one cause, by kind and subject. It opens when its cause has lasted, is told once, and is resolved when its
cause has been gone for a while; a cause that comes and goes meanwhile says nothing. What is not known does not count
as gone.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, NamedTuple


class Kind(Enum):
    """What an alert can be about."""

    AGENT_OFFLINE = "agent_offline"
    CERTIFICATE_EXPIRES = "certificate_expires"
    LOGIN_REJECTED = "login_rejected"
    DEAD_LETTERS = "dead_letters"
    EVENTS_LOST = "events_lost"


class Patience(NamedTuple):
    """How long a cause lasts before it is told, and how long it is gone before that is told."""

    raise_after: timedelta
    clear_after: timedelta


_AT_ONCE: Final = timedelta(0)
PATIENCE: Final = {
    Kind.AGENT_OFFLINE: Patience(timedelta(minutes=2), timedelta(minutes=1)),
    Kind.CERTIFICATE_EXPIRES: Patience(_AT_ONCE, _AT_ONCE),
    Kind.LOGIN_REJECTED: Patience(_AT_ONCE, timedelta(minutes=1)),
    Kind.DEAD_LETTERS: Patience(_AT_ONCE, _AT_ONCE),
    Kind.EVENTS_LOST: Patience(_AT_ONCE, _AT_ONCE),
}

MAX_OPEN: Final = 1000


class Key(NamedTuple):
    """One cause."""

    kind: Kind
    subject: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is wrong right now; `text` and `action` are for people, `since` when it is known."""

    kind: Kind
    subject: str
    text: str
    action: str
    since: datetime | None = None

    @property
    def key(self) -> Key:
        """Which cause it is."""
        return Key(self.kind, self.subject)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that was opened; `resolved_at` once it is over."""

    id: str
    kind: Kind
    subject: str
    text: str
    action: str
    since: datetime
    opened_at: datetime
    resolved_at: datetime | None = None

    @property
    def row(self) -> dict[str, Any]:
        """The alert as JSON."""
        return {name: _plain(value) for name, value in asdict(self).items()}


@dataclass(slots=True)
class _Open:
    alert: Alert
    clear_since: datetime | None = None


@dataclass(slots=True)
class AlertBook:
    """The open alerts, and the causes that have not lasted yet."""

    _open: dict[Key, _Open] = field(default_factory=dict)
    _waiting: dict[Key, datetime] = field(default_factory=dict)

    def observe(self, facts: Iterable[Fact], now: datetime, *, unknown: frozenset[Kind] = frozenset()) -> list[Alert]:
        """Take what is wrong `now`, and return the alerts that opened or ended; of `unknown` kinds nothing ends."""
        present = {fact.key: fact for fact in facts}
        told = [alert for fact in present.values() if (alert := self._seen(fact, now)) is not None]
        for key in [key for key in self._waiting if key not in present and key.kind not in unknown]:
            del self._waiting[key]
        gone = [key for key in self._open if key not in present and key.kind not in unknown]
        return told + [alert for key in gone if (alert := self._missed(key, now)) is not None]

    def alerts(self) -> list[Alert]:
        """Return the open alerts, oldest first."""
        return sorted((each.alert for each in self._open.values()), key=lambda alert: alert.opened_at)

    def rows(self) -> list[dict[str, Any]]:
        """Return what `restore` needs."""
        return [alert.row for alert in self.alerts()]

    def restore(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take up the alerts that were open at the last stop; raises KeyError, TypeError, ValueError."""
        for row in rows:
            alert = read_alert(row)
            self._open[Key(alert.kind, alert.subject)] = _Open(alert)

    def _seen(self, fact: Fact, now: datetime) -> Alert | None:
        known = self._open.get(fact.key)
        if known is not None:
            known.clear_since = None
            return None
        first = self._waiting.setdefault(fact.key, now)
        if now - first < PATIENCE[fact.kind].raise_after or len(self._open) >= MAX_OPEN:
            return None
        del self._waiting[fact.key]
        since = fact.since or first
        name = f"{fact.kind.value}-{fact.subject}-{int(now.timestamp() * 1000):x}"
        alert = Alert(name, fact.kind, fact.subject, fact.text, fact.action, since, now)
        self._open[fact.key] = _Open(alert)
        return alert

    def _missed(self, key: Key, now: datetime) -> Alert | None:
        known = self._open[key]
        known.clear_since = known.clear_since or now
        if now - known.clear_since < PATIENCE[key.kind].clear_after:
            return None
        del self._open[key]
        return replace(known.alert, resolved_at=now)


def read_alert(row: dict[str, Any]) -> Alert:
    """Return the alert of a `row`; raises KeyError, TypeError, ValueError."""
    return Alert(
        id=str(row["id"]),
        kind=Kind(row["kind"]),
        subject=str(row["subject"]),
        text=str(row["text"]),
        action=str(row["action"]),
        since=datetime.fromisoformat(row["since"]),
        opened_at=datetime.fromisoformat(row["opened_at"]),
        resolved_at=datetime.fromisoformat(row["resolved_at"]) if row["resolved_at"] else None,
    )


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case Enum():
            return value.value
        case _:
            return value
