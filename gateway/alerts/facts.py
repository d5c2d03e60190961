"""What is wrong right now, as far as alerts are about it: reads the parts of the gateway, changes nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from certs.expiry import CertificateFile
from gateway.alerts.book import Fact, Kind
from gateway.directory import Directory
from gateway.outcomes import OutcomeLog
from gateway.registry import Registry
from gateway.store.event_store import EventStore

CERTIFICATE_LEFT: Final = timedelta(hours=48)
RECENT: Final = timedelta(hours=1)
"""How long dead letters and lost events count: each incident is one alert, and the next one another."""

_CERTIFICATES: Final = {
    "tunnel": ("the tunnel's certificate", "It renews itself when the gateway can write its state directory."),
    "ca": ("the CA of the tunnel", "Make a new CA in time: docs/operations.md."),
    "api": ("the certificate for callers", "Put a new one into JIRA_GATEWAY_API_CERT_FILE."),
}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from."""

    registry: Registry
    directory: Callable[[], Directory]
    certificates: Mapping[str, CertificateFile]
    outcomes: OutcomeLog
    events: EventStore


async def look(sources: Sources, now: datetime) -> list[Fact]:
    """Return everything that is wrong; raises `StoreError` when the events cannot be read."""
    return [*here(sources, now), *await _events(sources, now)]


def here(sources: Sources, now: datetime) -> list[Fact]:
    """Return what is wrong beside the events."""
    return [*_agents(sources, now), *_certificates(sources, now), *_logins(sources)]


def _agents(sources: Sources, now: datetime) -> Iterator[Fact]:
    directory = sources.directory()
    enrolled = {row.agent for row in directory.instances() if row.revoked_at is None}
    online = {agent_link.identity.name for agent_link in sources.registry.links() if agent_link.link.is_usable}
    for name in sorted(set(directory.agents()) & enrolled - online):
        text = f"The agent {name} has been offline for two minutes: nothing reaches its Jira."
        yield Fact(Kind.AGENT_OFFLINE, name, text, "Look at its service and its network; jira-agent status says more.")
    until: dict[tuple[str, str], datetime] = {}
    for agent_link in sources.registry.links():  # while a certificate is renewed there are links with either
        key = (agent_link.identity.name, agent_link.identity.instance)
        until[key] = max(until.get(key, agent_link.certificate.not_after), agent_link.certificate.not_after)
    for (name, instance), end in until.items():
        if end - now < CERTIFICATE_LEFT:
            text = f"The certificate of the agent {name}, instance {instance}, ends at {_shown(end)}."
            action = "Agents renew theirs at half-life: its log says why not. Otherwise enroll it again."
            yield Fact(Kind.CERTIFICATE_EXPIRES, f"agent {name}/{instance}", text, action)


def _certificates(sources: Sources, now: datetime) -> Iterator[Fact]:
    for name, file in sources.certificates.items():
        expires_at = file.expires_at()
        if expires_at is None:
            continue
        end = datetime.fromtimestamp(expires_at, UTC)
        if end - now < CERTIFICATE_LEFT:
            what, action = _CERTIFICATES.get(name, (f"the certificate {name}", "Renew it."))
            yield Fact(Kind.CERTIFICATE_EXPIRES, name, f"{what[0].upper()}{what[1:]} ends at {_shown(end)}.", action)


def _logins(sources: Sources) -> Iterator[Fact]:
    for name, at in sources.outcomes.rejected_logins.items():
        entry = sources.directory().connection(name)
        if entry is not None:
            where = "the gateway" if entry.agent is None or entry.authorization is not None else f"agent {entry.agent}"
            text = f"Jira rejected the login of the connection {name}, which {where} holds."
            action = "Set the right credentials; jira-gateway connections test says what Jira answers."
            yield Fact(Kind.LOGIN_REJECTED, name, text, action, at)


async def _events(sources: Sources, now: datetime) -> list[Fact]:
    dead, lost = await sources.events.losses(now - RECENT)
    names = {entry.id: entry.name for entry in sources.directory().subscriptions.triggers}
    facts = [
        Fact(
            Kind.DEAD_LETTERS,
            names[trigger],
            f"Events of the trigger {names[trigger]} were given up after ten attempts.",
            "See jira-gateway triggers events --state dead, mend the subscriber, then jira-gateway triggers replay.",
        )
        for trigger in dead
        if trigger in names
    ]
    return facts + [
        Fact(
            Kind.EVENTS_LOST,
            connection,
            f"Webhooks of the connection {connection} may have been lost for a time; they are searched for in Jira.",
            "The event gap says from when until when; a consumer that needs everything compares with Jira.",
        )
        for connection in lost
    ]


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
