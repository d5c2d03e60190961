"""Real pages of real processes: exactly the metrics of the tables, true after requests, with few values per label."""

import pytest

from agent import metric_table as agent_table
from gateway import metric_table as gateway_table
from tests.support.metrics_page import declared, label_values, names, samples
from tests.support.stack import page, wait_until

# What has no sample before something happens that this installation does not do.
QUIET = {
    "jira_gateway_links_wedged_total",
    "jira_gateway_direct_jira_unavailable",
    "jira_gateway_direct_logins_refused",
    "jira_gateway_direct_requests_in_flight",
    "jira_gateway_direct_requests_waiting",
    "jira_gateway_direct_sockets",
    "jira_gateway_deliveries",
    "jira_gateway_deliveries_sent_total",
    "jira_gateway_delivery_failures_total",
    "jira_gateway_subscriber_failures_in_a_row",
    "jira_gateway_webhook_registration_problem",
    "jira_gateway_alerts_open",
    "jira_gateway_alerts_waiting",
    "jira_gateway_alerts_sent_total",
    "jira_gateway_alert_failures_total",
    "jira_agent_link_dial_failures_total",
    "jira_agent_webhooks_refused_total",
    "jira_agent_events_dropped_total",
}
MAX_VALUES = 20


@pytest.fixture(scope="module")
def pages(site):
    """Both pages after an answer, one of Jira's own errors, a refusal of the policy, and one at the door."""
    assert site.ask("GET", "/rest/api/2/myself").status == 200
    assert site.ask("GET", "/rest/api/2/issue/NONE-1").status == 404
    assert site.ask("GET", "/secure/admin/").status == 403
    assert site.ask("GET", "/rest/api/2/myself", headers=[("Transfer-Encoding", "gzip")]).status >= 400
    wait_until(lambda: b"round_trip_seconds{" in page(site.agent.admin_port, "/metrics")[1], "a round trip")
    ports = {"gateway": site.stack.admin_port, "agent": site.agent.admin_port}
    return {name: page(port, "/metrics")[1].decode() for name, port in ports.items()}


@pytest.mark.parametrize(
    ("program", "table"), [("gateway", gateway_table.EVERYTHING), ("agent", agent_table.EVERYTHING)]
)
def test_a_real_page_has_what_the_table_names_and_nothing_else(pages, program, table):
    known = {metric.name for metric in table}
    assert declared(pages[program]) == known
    assert known - names(pages[program]) <= QUIET
    labels = {metric.name: set(metric.labels) | {"le"} for metric in table}
    for (sample, label), values in label_values(pages[program]).items():
        row = next(name for name in sorted(labels, key=len, reverse=True) if sample.startswith(name))
        assert label in labels[row], f"{sample} has the label {label}"
        assert len(values) <= MAX_VALUES, f"{sample}: {label} has {len(values)} values"


def test_the_numbers_tell_what_happened(pages, site):
    gateway, agent = samples(pages["gateway"]), samples(pages["agent"])
    assert gateway["jira_gateway_ready"] == agent["jira_agent_ready"] == 1
    assert gateway['jira_gateway_agent_links{agent="hq"}'] == agent["jira_agent_links_up"] >= 1
    assert gateway['jira_gateway_connection_requests_total{connection="hq",outcome="2xx"}'] >= 1
    assert gateway['jira_gateway_connection_requests_total{connection="hq",outcome="4xx"}'] >= 1
    assert gateway['jira_gateway_connection_requests_total{connection="hq",outcome="ours"}'] >= 1
    assert agent["jira_agent_policy_denials_total"] >= 1
    phases = {
        phase: gateway[f'jira_gateway_request_duration_seconds_sum{{phase="{phase}",way="agent"}}']
        for phase in ("queue", "tunnel", "jira", "total")
    }
    assert min(phases.values()) > 0
    assert phases["queue"] + phases["tunnel"] + phases["jira"] == pytest.approx(phases["total"])
    assert gateway['jira_gateway_link_received_bytes_total{agent="hq"}'] > 100
    assert agent['jira_agent_certificate_expiry_timestamp_seconds{certificate="agent"}'] > 1.7e9
    assert gateway["process_open_fds"] > 5
    for secret in (site.token, "password-of-svc.bridge"):
        assert secret not in pages["gateway"] + pages["agent"]
