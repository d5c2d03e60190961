"""What `jira-gateway doctor` looks at in a gateway that lives: its disk, its clock, certificates, agents, webhooks.

The facts come in as plain rows, read by the command; nothing here opens anything. The rest is gateway.doctor's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.probe import Check
from gateway.settings import GatewaySettings
from gateway.store.rows import Instance

MIN_FREE_BYTES: Final = 256 << 20
SHORT: Final = timedelta(hours=48)
CLOCK_BACK: Final = timedelta(seconds=60)
NAMED: Final = 5

Links = Sequence[Mapping[str, Any]]
_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)


@dataclass(frozen=True, slots=True)
class Stock:
    """What the store and the running gateway (`links` None without one) know at one moment."""

    now: datetime
    newest_record: datetime | None
    instances: Sequence[Instance]
    triggers: Sequence[Mapping[str, Any]]
    links: Links | None


def check_disk(settings: GatewaySettings, free: int, events_bytes: int) -> Check:
    """Compare the free bytes of the state directory's disk with what may still come."""
    expected = max(0, settings.events_max_bytes - events_bytes)
    detail = f"{free >> 20} MiB free for {settings.state_dir}"
    if free < MIN_FREE_BYTES:
        action = "make room on this disk: without it webhooks get 503, and nothing can be changed"
        return Check("disk", "fail", detail, action)
    if free < expected:
        action = f"events may take {expected >> 20} MiB more: enlarge the disk, or lower JIRA_GATEWAY_EVENTS_MAX_BYTES"
        return Check("disk", "pass", detail, action)
    return Check("disk", "pass", detail)


def check_clock(stock: Stock, status: int | None) -> Check:
    """Look whether the clock went back behind what is recorded, and (`status`) what the kernel says of it."""
    newest = stock.newest_record
    if newest is not None and newest - stock.now > CLOCK_BACK:
        detail = f"the clock shows {stock.now:%Y-%m-%d %H:%M:%S} UTC, but a record is of {newest:%Y-%m-%d %H:%M:%S} UTC"
        return Check("clock", "fail", detail, "set the clock: certificates, tokens and signatures go by it")
    detail = f"{stock.now:%Y-%m-%d %H:%M:%S} UTC"
    if status is None:
        return Check("clock", "pass", detail)
    if status & _UNSYNCHRONISED:
        action = "let chrony or systemd-timesyncd keep the clock"
        return Check("clock", "pass", f"{detail}; the kernel knows of nobody who keeps it", action)
    return Check("clock", "pass", f"{detail}, kept by NTP")


def check_agents(stock: Stock) -> Check:
    """Name the agents that have an instance and no link."""
    if stock.links is None:
        return Check("agents", "skip", "no gateway runs")
    names = {row.agent for row in stock.instances if row.revoked_at is None}
    if not names:
        return Check("agents", "skip", "none is enrolled: jira-gateway agents invite NAME")
    offline = sorted(names - {str(link["agent"]) for link in stock.links})
    if offline:
        detail = f"{len(offline)} of {len(names)} are offline: {_some(offline)}"
        action = "jira-agent doctor on their machines; jira-gateway agents revoke NAME for what is gone for good"
        return Check("agents", "fail", detail, action)
    return Check("agents", "pass", f"all {len(names)} are connected")


def check_agent_certificates(stock: Stock) -> Check:
    """Name the agents whose last certificate ends in less than 48 hours, or has ended."""
    ends: dict[str, datetime] = {}
    for row in stock.instances:
        if row.revoked_at is None:
            ends[row.agent] = max(row.expires_at, ends.get(row.agent, row.expires_at))
    if not ends:
        return Check("agent-certificates", "skip", "none is enrolled")
    short = sorted((end, name) for name, end in ends.items() if end - stock.now < SHORT)
    if not short:
        end, name = min((end, name) for name, end in ends.items())
        return Check("agent-certificates", "pass", f"the first to end is {name}'s, on {end:%Y-%m-%d %H:%M} UTC")
    named = _some(
        [f"{name} ({'ended' if end <= stock.now else 'ends'} {end:%Y-%m-%d %H:%M} UTC)" for end, name in short]
    )
    action = "an agent renews by itself at half of the time: jira-agent doctor on its machine; else invite it again"
    return Check("agent-certificates", "fail", f"{len(short)} with less than 48 h: {named}", action)


def check_triggers(stock: Stock) -> list[Check]:
    """Say of each trigger whether what Jira sends arrives, and what a person has to look at."""
    if not stock.triggers:
        return [Check("triggers", "skip", "there are none: jira-gateway triggers add")]
    return [_trigger(row) for row in stock.triggers]


def _trigger(row: Mapping[str, Any]) -> Check:
    name, show = f"trigger {row['name']}", f"jira-gateway triggers show {row['name']}"
    if row["problem"]:
        return Check(name, "fail", str(row["problem"]), show)
    if row["state"] == "disabled":
        action = f"jira-gateway triggers enable {row['name']}"
        return Check(name, "fail", f"disabled: {row['disabled_reason'] or 'by an operator'}", action)
    dead = row["counts"].get("dead", 0)
    if dead:
        detail = f"{_last_event(row)}; {dead} events in the dead letters"
        return Check(name, "fail", detail, f"{show}; jira-gateway triggers replay {row['name']} --dead")
    if row["hook"] is not None and row["hook"]["last_event_at"] is None:
        action = "change an issue in Jira, and look again: a webhook that never came may be kept back on the way"
        return Check(name, "pass", _last_event(row), action)
    return Check(name, "pass", _last_event(row))


def _last_event(row: Mapping[str, Any]) -> str:
    if row["hook"] is None:
        mark = row["watermark"] or {}
        looked = mark.get("looked_at")
        return "searched for, not yet" if looked is None else f"searched for, last {looked:%Y-%m-%d %H:%M} UTC"
    last = row["hook"]["last_event_at"]
    return "no webhook has come yet" if last is None else f"the last webhook came {last:%Y-%m-%d %H:%M} UTC"


def check_stock(
    settings: GatewaySettings, stock: Stock, free: int, events_bytes: int, clock: int | None
) -> list[Check]:
    """Run every check of this file."""
    return [
        check_disk(settings, free, events_bytes),
        check_clock(stock, clock),
        check_agents(stock),
        check_agent_certificates(stock),
        *check_triggers(stock),
    ]


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    rest = len(shown) - NAMED
    return ", ".join(shown[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
