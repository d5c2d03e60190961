"""The agent's metrics: the numbers of its parts, in every state that it can be in."""

from types import SimpleNamespace

import pytest

from agent.metric_table import EVERYTHING, TABLE
from agent.metrics import AgentMetrics
from agent.spool_file import Contents
from agent.spool_records import SpoolFull
from agent.status import Service, StatusBoard
from agent.tally import Tally, WebhookTally
from certs.expiry import CertificateFile
from jira_api.protection.protection import Protection
from jira_api.readiness import Finding
from jira_api.server_info import ServerInfo
from tests.support.metrics_page import declared, samples
from tunnel.budget import Budget
from tunnel.errors import ErrorCode
from tunnel.traffic import Traffic

INFO = ServerInfo("https://jira.corp/jira", "9.12.5", (9, 12, 5), "Server", "")


@pytest.fixture
def metrics(tmp_path):
    tally, protection, budget = Tally(), Protection(4, lambda: 100.0), Budget(1000)
    board = StatusBoard(tally, protection, budget)
    return AgentMetrics(board, tally, protection, budget, tmp_path, {"agent": CertificateFile(tmp_path / "no.pem")})


@pytest.fixture
def webhooks():
    tally = WebhookTally()
    tally.received, tally.carried = 12, 9
    tally.refused.update({"full": 2, "unknown_hook": 1})
    tally.dropped["unknown_hook"] = 1
    spool = SimpleNamespace(contents=Contents(3, 4096, 9, 1_000_000), max_bytes=5000, problem=None, problem_since=0)
    return SimpleNamespace(
        hooks=["a", "b"], spool=spool, tally=tally, edge=SimpleNamespace(now_ms=lambda: 1_061_500), is_active=True
    )


def serve(metrics, webhooks=None):
    links = [SimpleNamespace(rtt=rtt, waiting_bytes=lambda: (1, 2, 3, 4, 5)) for rtt in (0.012, None)]
    lives = [SimpleNamespace(slot=slot, link=link) for slot, link in enumerate(links)]
    supervisor = SimpleNamespace(
        up=2,
        wanted=3,
        opened=5,
        links=lives,
        failures={"refused": 4},
        is_draining=False,
        trouble={},
        traffic=Traffic(100, 200, 1.5),
    )
    metrics.board.service = Service(
        jira=SimpleNamespace(url="https://jira"),
        identity=lambda: None,
        supervisor=supervisor,
        dialer=SimpleNamespace(congestion_control="bbr"),
        probe=SimpleNamespace(finding=Finding(INFO, None)),
        carrier=None,
        webhooks=webhooks,
    )


def test_an_agent_that_waits_for_enrolment_has_a_whole_page(metrics):
    page = metrics.page.render()
    found = samples(page)
    assert declared(page) == {metric.name for metric in EVERYTHING}
    assert (found["jira_agent_links_up"], found["jira_agent_jira_up"], found["jira_agent_ready"]) == (0, 0, 0)
    assert found["jira_agent_spool_ok"] == 1
    assert found["jira_agent_memory_budget_bytes"] == 1000


def test_links_requests_and_jira(metrics):
    serve(metrics)
    metrics.tally.answered()
    metrics.tally.reset(ErrorCode.POLICY_DENIED)
    metrics.board.reload_problem = "bad"
    metrics.board.audit = SimpleNamespace(problem="no room", written_total=7, lost_total=2)
    found = samples(metrics.page.render())
    assert (
        found.items()
        >= {
            "jira_agent_ready": 1,
            "jira_agent_links_up": 2,
            "jira_agent_links_wanted": 3,
            "jira_agent_links_opened_total": 5,
            'jira_agent_link_dial_failures_total{cause="refused"}': 4,
            'jira_agent_link_round_trip_seconds{link="0"}': 0.012,
            "jira_agent_link_received_bytes_total": 100,
            "jira_agent_link_sent_bytes_total": 200,
            "jira_agent_window_blocked_seconds_total": 1.5,
            'jira_agent_outbox_bytes{lane="blocked"}': 10,
            'jira_agent_requests_total{outcome="answered"}': 1,
            "jira_agent_policy_denials_total": 1,
            "jira_agent_policy_reload_ok": 0,
            "jira_agent_audit_ok": 0,
            "jira_agent_audit_written_total": 7,
            "jira_agent_audit_lost_total": 2,
            "jira_agent_jira_up": 1,
            "jira_agent_jira_unavailable": 0,
        }.items()
    )
    assert 'jira_agent_link_round_trip_seconds{link="1"}' not in found


def test_webhooks(metrics, webhooks):
    serve(metrics, webhooks)
    webhooks.spool.problem = SpoolFull(1, 5000)
    found = samples(metrics.page.render())
    assert (
        found.items()
        >= {
            "jira_agent_spool_events": 3,
            "jira_agent_spool_bytes": 4096,
            "jira_agent_spool_limit_bytes": 5000,
            "jira_agent_spool_oldest_age_seconds": 61.5,
            "jira_agent_spool_ok": 0,
            "jira_agent_webhook_hooks": 2,
            "jira_agent_webhooks_received_total": 12,
            'jira_agent_webhooks_refused_total{reason="full"}': 2,
            "jira_agent_events_carried_total": 9,
            'jira_agent_events_dropped_total{reason="unknown_hook"}': 1,
        }.items()
    )


def test_every_name_follows_the_conventions():
    for metric in TABLE:
        assert metric.name.startswith("jira_agent_"), metric.name
        assert metric.name.endswith("_total") == (metric.kind.value == "counter"), metric.name
        assert metric.text.endswith((".", "`.")), metric.name
