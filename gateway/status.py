"""What the gateway says of itself: the status page and the links, for people and for --json."""

from datetime import UTC, datetime, timedelta
from typing import Any

from certs.certificates import serial_hex
from gateway.directory import Directory
from gateway.registry import AgentLink, Registry

WEDGED_SHOWN = timedelta(minutes=10)
"""How long a link that was taken out of use stays in sight."""


def status_page(registry: Registry, directory: Directory, software: str) -> dict[str, Any]:
    """Return the status page: which agents are connected, and which version of the store is in force."""
    links: dict[str, int] = {}
    for agent_link in registry.links():
        links[agent_link.identity.name] = links.get(agent_link.identity.name, 0) + 1
    return {"software": software, "store_version": directory.version, "agents": links}


def link_rows(registry: Registry) -> list[dict[str, Any]]:
    """Return one row per live link, used or not, and one per link that was lately taken out of use (`wedged_at`)."""
    now = datetime.now(UTC)
    wedged = [row for row in registry.wedged if now - datetime.fromisoformat(row["wedged_at"]) < WEDGED_SHOWN]
    return [*(_row(agent_link) for agent_link in registry.every_link()), *wedged]


def wedged_row(agent_link: AgentLink, now: datetime) -> dict[str, Any]:
    """Return the row of a link that is taken out of use now, although it is up."""
    return _row(agent_link) | {"usable": False, "wedged_at": now.isoformat(timespec="seconds")}


def _row(agent_link: AgentLink) -> dict[str, Any]:
    link = agent_link.link
    rtt, took = link.rtt, agent_link.canary.took
    return {
        "agent": agent_link.identity.name,
        "instance": agent_link.identity.instance,
        "serial": serial_hex(agent_link.certificate.serial),
        "certificate_expires_at": agent_link.certificate.not_after.isoformat(),
        "address": agent_link.address,
        "opened_at": agent_link.opened_at.isoformat(timespec="seconds"),
        "usable": link.is_usable and not agent_link.is_unproven,
        "streams": agent_link.in_flight,
        "rtt_ms": None if rtt is None else round(rtt * 1000, 2),
        "canary_ms": None if took is None else round(took * 1000, 2),
        "wedged_at": None,
        "software": link.software,
        "jira": agent_link.settings.get(b"jira-base-url", b"").decode("utf-8", "replace"),
        "switch": agent_link.settings.get(b"switch", b"open").decode("ascii"),
        "switch_reason": agent_link.settings.get(b"switch-reason", b"").decode("utf-8", "replace"),
    }
