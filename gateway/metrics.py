"""The gateway's metrics: reads its parts at each scrape. What each metric means is in gateway/metric_table.py.

Counts nothing itself, and changes nothing.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import runtime.metric_text  # noqa: F401 - loaded before callers come: the first scrape would hold them up for 20 ms
from certs.expiry import CertificateFile
from gateway.alerts.service import AlertService
from gateway.direct_links import DirectLink
from gateway.directory import Directory
from gateway.egress_proof import EgressProof
from gateway.events.metrics import put_events
from gateway.events.service import EventService
from gateway.kept_body import KeptRoom
from gateway.line_desk import LineDesk
from gateway.metric_table import PREFIX, TABLE
from gateway.outcomes import OutcomeLog
from gateway.registry import Registry
from gateway.timings import OUTCOMES, PHASES, WAYS, ConnectionTally, Timings
from http1.limits import OpenSockets
from runtime.loop_lag import LoopLag
from runtime.metrics import SAMPLES_AT_ONCE, MetricsPage, Sheet, put_lanes, put_program
from tunnel.budget import Budget
from tunnel.traffic import LANES, Traffic

K = TypeVar("K", str, tuple[str, str])
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class GatewayMetrics:
    """The parts that are read. `room` and `events` are None before the front door is open."""

    registry: Registry
    outcomes: OutcomeLog
    sockets: OpenSockets
    budget: Budget
    direct: Iterable[DirectLink]
    egress_proof: EgressProof
    directory: Callable[[], Directory]
    state_dir: Path
    certificates: dict[str, CertificateFile]
    is_ready: Callable[[], bool] = lambda: False
    room: KeptRoom | None = None
    events: EventService | None = None
    alerts: AlertService | None = None
    lines: LineDesk | None = None
    lag: LoopLag = field(default_factory=LoopLag)
    page: MetricsPage = field(init=False)

    def __post_init__(self) -> None:
        """Make the page."""
        self.page = MetricsPage(TABLE, self.fill)

    def __repr__(self) -> str:
        return f"<GatewayMetrics of {self.registry!r}>"

    def fill(self, sheet: Sheet) -> Iterator[None]:
        """Put every number on the sheet of one scrape; at each yield others may have the loop."""
        free = shutil.disk_usage(self.state_dir).free
        put_program(sheet, PREFIX, self.lag, is_ready=self.is_ready(), free_bytes=free)
        yield from put_links(sheet, self.registry, self.directory(), datetime.now(UTC))
        self._put_requests(sheet)
        yield from put_timings(sheet, self.outcomes.timings, {entry.name for entry in self.directory().connections()})
        put_direct(sheet, self.direct)
        for name, file in self.certificates.items():
            if (expires_at := file.expires_at()) is not None:
                sheet.put("jira_gateway_certificate_expiry_timestamp_seconds", expires_at, name)
        is_mismatch = self.egress_proof.mismatch is not None and not self.egress_proof.is_pending
        sheet.put("jira_gateway_egress_mismatch", is_mismatch)
        if self.lines is not None:
            sheet.put("jira_gateway_line_probes_total", self.lines.visits)
            sheet.put("jira_gateway_line_probes_refused_total", self.lines.refused)
            sheet.put("jira_gateway_line_probe_bytes_total", self.lines.bytes)
        if self.events is not None:
            put_events(sheet, self.events)
        if self.alerts is not None:
            put_alerts(sheet, self.alerts)

    def _put_requests(self, sheet: Sheet) -> None:
        outcomes, sockets, budget = self.outcomes, self.sockets, self.budget
        in_flight = sum(agent_link.in_flight for agent_link in self.registry.links())
        sheet.put("jira_gateway_requests_in_flight", in_flight)
        sheet.put_each("jira_gateway_answers_total", {str(key): count for key, count in outcomes.by_status.items()})
        sheet.put_each("jira_gateway_errors_total", outcomes.by_slug)
        sheet.put("jira_gateway_hung_up_total", outcomes.hung_up)
        sheet.put("jira_gateway_caller_sockets", len(sockets.open))
        sheet.put("jira_gateway_caller_sockets_refused_total", sockets.refused)
        sheet.put("jira_gateway_window_bytes", budget.granted)
        sheet.put("jira_gateway_waiting_bytes", budget.waiting)
        sheet.put("jira_gateway_memory_budget_bytes", budget.total_bytes)
        if self.room is not None:
            sheet.put("jira_gateway_kept_body_bytes", self.room.used)
            sheet.put("jira_gateway_kept_body_limit_bytes", self.room.total)


def put_alerts(sheet: Sheet, alerts: AlertService) -> None:
    """Put what is about alerts, when they are on."""
    sheet.put_each("jira_gateway_alerts_open", Counter(alert.kind.value for alert in alerts.book.alerts()))
    sheet.put("jira_gateway_alerts_waiting", alerts.sender.waiting)
    sheet.put("jira_gateway_alerts_sent_total", alerts.sender.sent)
    sheet.put("jira_gateway_alert_failures_total", alerts.sender.failed)


def put_links(sheet: Sheet, registry: Registry, directory: Directory, now: datetime) -> Iterator[None]:
    """Put what is about agents: those that may connect, and those that do."""
    by_agent = Counter(dict.fromkeys(directory.agents(), 0))
    by_instance: dict[tuple[str, str], int] = {}
    until: dict[tuple[str, str], float] = {}
    round_trips: dict[tuple[str, str], float] = {}
    for row in directory.instances():
        if row.revoked_at is None and row.expires_at > now:
            by_instance[row.agent, row.instance] = 0
            until[row.agent, row.instance] = row.expires_at.timestamp()
    yield
    for agent_link in registry.links():
        identity, rtt = agent_link.identity, agent_link.link.rtt
        key = (identity.name, identity.instance)
        by_agent[identity.name] += 1
        by_instance[key] = by_instance.get(key, 0) + 1
        until.setdefault(key, agent_link.certificate.not_after.timestamp())
        if rtt is not None:
            round_trips[key] = min(rtt, round_trips.get(key, rtt))
    yield
    for name, counts in (
        ("jira_gateway_agent_links", by_agent),
        ("jira_gateway_links_opened_total", registry.opened),
        ("jira_gateway_links_wedged_total", registry.wedged_total),
    ):
        yield from _each(partial(_put_agent, sheet, name), counts)
    yield from _put_traffic(sheet, registry)
    for name, values in (
        ("jira_gateway_instance_links", by_instance),
        ("jira_gateway_agent_certificate_expiry_timestamp_seconds", until),
        ("jira_gateway_link_round_trip_seconds", round_trips),
    ):
        yield from _each(partial(_put_instance, sheet, name), values)


def _put_agent(sheet: Sheet, name: str, agent: str, value: float) -> None:
    sheet.put(name, value, agent)


def _put_instance(sheet: Sheet, name: str, key: tuple[str, str], value: float) -> None:
    sheet.put(name, value, *key)


def _put_traffic(sheet: Sheet, registry: Registry) -> Iterator[None]:
    def put(agent: str, traffic: Traffic) -> None:
        sheet.put("jira_gateway_link_received_bytes_total", traffic.received_bytes, agent)
        sheet.put("jira_gateway_link_sent_bytes_total", traffic.sent_bytes, agent)
        sheet.put("jira_gateway_window_blocked_seconds_total", traffic.blocked_seconds, agent)

    yield from _each(put, registry.traffic())
    waiting = [agent_link.link.waiting_bytes() for agent_link in registry.links()]
    put_lanes(sheet, "jira_gateway_outbox_bytes", LANES, waiting)
    yield


def _each(put: Callable[[K, V], None], values: Mapping[K, V]) -> Iterator[None]:
    """Put the values in the order of their keys, SAMPLES_AT_ONCE at a time."""
    for number, (key, value) in enumerate(sorted(values.items(), key=itemgetter(0))):
        put(key, value)
        if number % SAMPLES_AT_ONCE == 0:
            yield


def put_timings(sheet: Sheet, timings: Timings, connections: Container[str]) -> Iterator[None]:
    """Put how long answers took; what is known of connections that are no more is left out."""
    for way in WAYS:
        for phase, values in zip(PHASES, timings.phases(way), strict=True):
            sheet.put_histogram("jira_gateway_request_duration_seconds", values, way, phase)

    def put(name: str, tally: ConnectionTally) -> None:
        if name in connections:
            sheet.put("jira_gateway_connection_wait_seconds_total", tally.seconds, name)
            for outcome, count in zip(OUTCOMES, tally.counts, strict=True):
                if count:  # a thousand connections are a thousand lines then, not eight thousand
                    sheet.put("jira_gateway_connection_requests_total", count, name, outcome)

    yield from _each(put, timings.connections)


def put_direct(sheet: Sheet, links: Iterable[DirectLink]) -> None:
    """Put what is about direct connections."""
    for link in links:
        name, pool, protection = link.entry.name, link.link.pool, link.link.protection
        sheet.put("jira_gateway_direct_requests_in_flight", link.link.streams, name)
        sheet.put("jira_gateway_direct_requests_waiting", protection.waiting, name)
        sheet.put("jira_gateway_direct_sockets", pool.active, name, "active")
        sheet.put("jira_gateway_direct_sockets", pool.idle, name, "idle")
        sheet.put("jira_gateway_direct_jira_unavailable", protection.breaker.reason is not None, name)
        sheet.put("jira_gateway_direct_logins_refused", len(protection.accounts.refused), name)
