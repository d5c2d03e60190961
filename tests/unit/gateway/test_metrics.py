"""The gateway's metrics: every name of the table is on the page, and the numbers are those of the parts."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from time import perf_counter
from types import SimpleNamespace

import pytest

from certs.identity import AgentIdentity
from gateway.kept_body import KeptRoom
from gateway.metric_table import EVERYTHING, TABLE
from gateway.metrics import GatewayMetrics
from gateway.outcomes import OutcomeLog
from gateway.registry import Registry
from gateway.store import Instance
from http1.limits import OpenSockets
from runtime.metrics import SAMPLES_AT_ONCE
from tests.support.fake_link import agent_link
from tests.support.metrics_page import declared, samples
from tunnel.budget import Budget

SOON = datetime.now(UTC) + timedelta(days=3)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


def directory():
    rows = [
        Instance("hq", "i1", "ab", PAST, SOON),
        Instance("hq", "i2", "ac", PAST, SOON),
        Instance("hq", "i3", "ad", PAST, PAST),
        Instance("hq", "i4", "ae", PAST, SOON, revoked_at=PAST),
    ]
    connections = [SimpleNamespace(name="ops")]
    return SimpleNamespace(agents=lambda: ["hq", "away"], instances=lambda: rows, connections=lambda: connections)


@pytest.fixture
def metrics(tmp_path):
    registry, outcomes = Registry(), OutcomeLog()
    for name in ("hq", "hq", "branch"):
        registry.add(agent_link(name))
    proof = SimpleNamespace(mismatch=None, is_pending=False)
    return GatewayMetrics(registry, outcomes, OpenSockets(), Budget(), [], proof, directory, tmp_path, {})


def test_the_page_explains_what_the_table_names(metrics):
    assert declared(metrics.page.render()) == {metric.name for metric in EVERYTHING}


def test_the_numbers_are_those_of_the_parts(metrics):
    metrics.outcomes.by_status.update({200: 3, 503: 1})
    metrics.outcomes.by_slug["agent_offline"] = 1
    metrics.outcomes.hung_up = 2
    metrics.sockets.refused = 4
    metrics.budget.reserve(4096)
    metrics.room = KeptRoom(100)
    metrics.room.take(7)
    next(metrics.registry.links("hq")).link.rtt = 0.02
    for name in ("ops", "removed"):
        metrics.outcomes.timings.answered(SimpleNamespace(name=name, agent="hq"), 1.0, 1.5, 3.5, b"1250000")
        metrics.outcomes.timings.ended(name, 200, is_ours=False)
    metrics.registry.note_wedged(AgentIdentity("hq", "i1"), {})
    assert (
        samples(metrics.page.render()).items()
        >= {
            'jira_gateway_agent_links{agent="hq"}': 2,
            'jira_gateway_agent_links{agent="branch"}': 1,
            'jira_gateway_agent_links{agent="away"}': 0,
            'jira_gateway_instance_links{agent="hq",agent_instance="i1"}': 2,
            'jira_gateway_instance_links{agent="hq",agent_instance="i2"}': 0,
            'jira_gateway_links_opened_total{agent="hq"}': 2,
            'jira_gateway_links_wedged_total{agent="hq"}': 1,
            'jira_gateway_link_round_trip_seconds{agent="hq",agent_instance="i1"}': 0.02,
            'jira_gateway_agent_certificate_expiry_timestamp_seconds{agent="hq",agent_instance="i2"}': SOON.timestamp(),
            'jira_gateway_answers_total{status="200"}': 3,
            'jira_gateway_request_duration_seconds_sum{phase="queue",way="agent"}': 1.0,
            'jira_gateway_request_duration_seconds_sum{phase="tunnel",way="agent"}': 1.5,
            'jira_gateway_request_duration_seconds_sum{phase="jira",way="agent"}': 2.5,
            'jira_gateway_request_duration_seconds_count{phase="total",way="agent"}': 2,
            'jira_gateway_request_duration_seconds_count{phase="total",way="direct"}': 0,
            'jira_gateway_connection_requests_total{connection="ops",outcome="2xx"}': 1,
            'jira_gateway_connection_wait_seconds_total{connection="ops"}': 2.5,
            'jira_gateway_errors_total{error="agent_offline"}': 1,
            "jira_gateway_hung_up_total": 2,
            "jira_gateway_caller_sockets_refused_total": 4,
            "jira_gateway_window_bytes": 4096,
            "jira_gateway_kept_body_bytes": 7,
            "jira_gateway_kept_body_limit_bytes": 100,
            "jira_gateway_egress_mismatch": 0,
            "jira_gateway_ready": 0,
        }.items()
    )


def test_connections_that_are_no_more_are_left_out(metrics):
    metrics.outcomes.timings.ended("removed", 200, is_ours=False)
    assert "removed" not in metrics.page.render()


def test_instances_that_cannot_connect_are_left_out(metrics):
    found = samples(metrics.page.render())
    for instance in ("i3", "i4"):
        assert f'jira_gateway_instance_links{{agent="hq",agent_instance="{instance}"}}' not in found


def test_an_address_that_is_not_proven_yet_is_no_mismatch(metrics):
    metrics.egress_proof.mismatch, metrics.egress_proof.is_pending = "the egress address is being proven", True
    assert samples(metrics.page.render())["jira_gateway_egress_mismatch"] == 0
    metrics.egress_proof.is_pending = False
    assert samples(metrics.page.render())["jira_gateway_egress_mismatch"] == 1


def test_every_name_follows_the_conventions():
    for metric in TABLE:
        assert metric.name.startswith("jira_gateway_"), metric.name
        assert metric.name.endswith("_total") == (metric.kind.value == "counter"), metric.name
        assert metric.text.endswith((".", "`.")), metric.name
    assert max(Counter(metric.name for metric in EVERYTHING).values()) == 1


def test_visits_of_agents_that_measure_their_line_are_counted(metrics):
    metrics.lines = SimpleNamespace(visits=3, refused=1, bytes=2048)
    page = metrics.page.render()
    for name, value in (("probes_total", "3.0"), ("probes_refused_total", "1.0"), ("probe_bytes_total", "2048.0")):
        assert f"jira_gateway_line_{name} {value}" in page


def _thousand():
    rows = [Instance(f"a{number}", "only", f"{number:x}", PAST, SOON) for number in range(1000)]
    connections = [SimpleNamespace(name=f"c{number}") for number in range(1000)]
    return SimpleNamespace(
        agents=lambda: [row.agent for row in rows], instances=lambda: rows, connections=lambda: connections
    )


def test_a_page_about_a_thousand_agents_comes_in_small_pieces(tmp_path):
    """Between two pieces others may have the loop; each takes two milliseconds at most, and the whole page 65."""
    registry, outcomes, directory = Registry(), OutcomeLog(), _thousand()
    for row in directory.instances():
        registry.add(agent_link(row.agent, instance="only"))
    for connection in directory.connections():
        outcomes.timings.ended(connection.name, 200, is_ours=False)
    proof = SimpleNamespace(mismatch=None, is_pending=False)
    metrics = GatewayMetrics(registry, outcomes, OpenSockets(), Budget(), [], proof, lambda: directory, tmp_path, {})

    pieces = [piece.count("\n") for piece in metrics.page.pieces()]
    assert max(pieces) <= SAMPLES_AT_ONCE
    assert sum(pieces) > 6000
    passes = [_seconds_of_pieces(metrics.page) for _ in range(5)]
    assert max(map(min, zip(*passes, strict=True))) < 0.010


def _seconds_of_pieces(page):
    taken, before = [], perf_counter()
    for _ in page.pieces():
        taken.append(perf_counter() - before)
        before = perf_counter()
    return taken
