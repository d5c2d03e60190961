"""The agent's metrics: reads its parts at each scrape. What each metric means is in agent/metric_table.py.

Counts nothing itself, and changes nothing.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from agent.identity import CA_FILE, IDENTITY_FILE
from agent.metric_table import PREFIX, TABLE
from agent.settings import AgentSettings
from agent.status import Service, StatusBoard
from agent.tally import Tally, WebhookTally
from agent.webhooks import Webhooks
from certs.expiry import CertificateFile
from jira_api.protection.protection import Protection
from runtime.loop_lag import LoopLag
from runtime.metrics import MetricsPage, Sheet, put_lanes, put_program
from tunnel.budget import Budget
from tunnel.traffic import LANES


@dataclass(slots=True, eq=False)
class AgentMetrics:
    """The parts that are read; `board` has those that exist only once the agent is enrolled."""

    board: StatusBoard
    tally: Tally
    protection: Protection
    budget: Budget
    state_dir: Path
    certificates: dict[str, CertificateFile]
    lag: LoopLag = field(default_factory=LoopLag)
    page: MetricsPage = field(init=False)

    def __post_init__(self) -> None:
        """Make the page."""
        self.page = MetricsPage(TABLE, self.fill)

    def __repr__(self) -> str:
        return f"<AgentMetrics of {self.tally!r}>"

    def fill(self, sheet: Sheet) -> None:
        """Put every number on the sheet of one scrape."""
        board, service, budget = self.board, self.board.service, self.budget
        free = shutil.disk_usage(self.state_dir).free
        put_program(sheet, PREFIX, self.lag, is_ready=board.ready() is None, free_bytes=free)
        sheet.put("jira_agent_credit_granted_bytes", budget.granted)
        sheet.put("jira_agent_waiting_bytes", budget.waiting)
        sheet.put("jira_agent_memory_budget_bytes", budget.total_bytes)
        sheet.put("jira_agent_policy_reload_ok", board.reload_problem is None)
        switch = board.switch
        sheet.put("jira_agent_paused", switch is not None and switch.is_paused)
        sheet.put("jira_agent_read_only", switch is not None and switch.is_read_only)
        if board.audit is not None:
            sheet.put("jira_agent_audit_entries_total", board.audit.written_total)
            sheet.put("jira_agent_audit_lost_total", board.audit.lost_total)
            sheet.put("jira_agent_audit_ok", board.audit.problem is None)
        if board.audit is not None:
            sheet.put("jira_agent_audit_ok", board.audit.problem is None)
            sheet.put("jira_agent_audit_written_total", board.audit.written_total)
            sheet.put("jira_agent_audit_lost_total", board.audit.lost_total)
        put_links(sheet, service)
        put_requests(sheet, self.tally, self.protection)
        sheet.put("jira_agent_jira_up", service is not None and service.probe.finding.info is not None)
        for name, file in self.certificates.items():
            if (expires_at := file.expires_at()) is not None:
                sheet.put("jira_agent_certificate_expiry_timestamp_seconds", expires_at, name)
        put_webhooks(sheet, None if service is None else service.webhooks)


def certificate_files(settings: AgentSettings) -> dict[str, CertificateFile]:
    """Return the certificates whose end is told, also before they are there."""
    files = {"agent": settings.state_dir / IDENTITY_FILE, "ca": settings.state_dir / CA_FILE}
    if settings.webhook_cert_file is not None:
        files["webhook"] = settings.webhook_cert_file
    return {name: CertificateFile(path) for name, path in files.items()}


def put_links(sheet: Sheet, service: Service | None) -> None:
    """Put what is about links; all are 0 while the agent waits for enrolment."""
    supervisor = None if service is None else service.supervisor
    sheet.put("jira_agent_links_up", 0 if supervisor is None else supervisor.up)
    sheet.put("jira_agent_links_wanted", 0 if supervisor is None else supervisor.wanted)
    sheet.put("jira_agent_links_opened_total", 0 if supervisor is None else supervisor.opened)
    if supervisor is None:
        return
    sheet.put_each("jira_agent_link_dial_failures_total", supervisor.failures)
    traffic = supervisor.traffic
    sheet.put("jira_agent_link_received_bytes_total", traffic.received_bytes)
    sheet.put("jira_agent_link_sent_bytes_total", traffic.sent_bytes)
    sheet.put("jira_agent_window_blocked_seconds_total", traffic.blocked_seconds)
    put_lanes(sheet, "jira_agent_outbox_bytes", LANES, [live.link.waiting_bytes() for live in supervisor.links])
    round_trips = {str(live.slot): live.link.rtt for live in supervisor.links}  # of a slot's newest link
    sheet.put_each(
        "jira_agent_link_round_trip_seconds", {slot: rtt for slot, rtt in round_trips.items() if rtt is not None}
    )


def put_requests(sheet: Sheet, tally: Tally, protection: Protection) -> None:
    """Put what is about requests, and what keeps them from Jira."""
    sheet.put_each("jira_agent_requests_total", tally.outcomes)
    sheet.put_histogram("jira_agent_request_duration_seconds", tally.queue, "queue")
    sheet.put_histogram("jira_agent_request_duration_seconds", tally.jira, "jira")
    sheet.put("jira_agent_policy_denials_total", tally.denials)
    sheet.put("jira_agent_requests_in_flight", protection.in_flight)
    sheet.put("jira_agent_requests_waiting", protection.waiting)
    sheet.put("jira_agent_requests_limit", protection.limit)
    sheet.put("jira_agent_jira_unavailable", protection.breaker.reason is not None)
    sheet.put("jira_agent_logins_refused", len(protection.accounts.refused))


def put_webhooks(sheet: Sheet, webhooks: Webhooks | None) -> None:
    """Put what is about webhooks; all is well and 0 where none are received."""
    tally = WebhookTally() if webhooks is None else webhooks.tally
    sheet.put("jira_agent_webhook_hooks", 0 if webhooks is None else len(webhooks.hooks))
    sheet.put("jira_agent_webhooks_received_total", tally.received)
    sheet.put_each("jira_agent_webhooks_refused_total", tally.refused)
    sheet.put("jira_agent_events_carried_total", tally.carried)
    sheet.put_each("jira_agent_events_dropped_total", tally.dropped)
    oldest = None if webhooks is None else webhooks.spool.contents.oldest_at
    age_ms = 0 if webhooks is None or oldest is None else max(0, webhooks.edge.now_ms() - oldest)
    sheet.put("jira_agent_spool_events", 0 if webhooks is None else webhooks.spool.contents.records)
    sheet.put("jira_agent_spool_bytes", 0 if webhooks is None else webhooks.spool.contents.size)
    sheet.put("jira_agent_spool_oldest_age_seconds", age_ms / 1000)
    sheet.put("jira_agent_spool_ok", webhooks is None or webhooks.spool.problem is None)
    if webhooks is not None:
        sheet.put("jira_agent_spool_limit_bytes", webhooks.spool.max_bytes)
