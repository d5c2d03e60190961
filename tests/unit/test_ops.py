"""Rules and dashboard: only metrics that exist, every alert with what to do, a test, and a place in the documents."""

import re

import pytest
import yaml

from tests.support import alert_table
from tests.support.alert_table import DOCUMENT, PROJECT, rules
from tests.support.ops_files import METRICS, dashboard, expressions, labels_in, metrics_in, panels

OF_PROMETHEUS = {"job", "instance", "le", "__name__"}


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_metric_and_label_exists(where, expression):
    named = metrics_in(expression)
    assert named <= set(METRICS), sorted(named - set(METRICS))
    assert named or "up{" in expression, f"{where} asks for nothing of ours"
    for name, label in labels_in(expression):
        assert label in {*METRICS[name].labels, *OF_PROMETHEUS}, f"{name} has no label {label}"


def test_names_are_found_and_wrong_ones_noticed():
    assert metrics_in('rate(jira_gateway_request_duration_seconds_bucket{le="1"}[5m])') == {
        "jira_gateway_request_duration_seconds"
    }
    assert metrics_in('{__name__=~"jira_(gateway|agent)_ready"}') == {"jira_gateway_ready", "jira_agent_ready"}
    assert not metrics_in("jira_gateway_nothing_total > 1") <= set(METRICS)
    assert list(labels_in('jira_gateway_ready{a="1", b=~"x"}')) == [
        ("jira_gateway_ready", "a"),
        ("jira_gateway_ready", "b"),
    ]


def test_every_alert_says_what_it_is_and_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 30
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        notes = rule["annotations"]
        assert notes["summary"].endswith(".")
        assert len(notes["description"]) > 20
        assert notes["runbook_url"] == f"docs/operations.md#{rule['alert']}"


def test_every_alert_has_its_place_in_the_documents():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == alert_table.with_alerts(text), "run make docs"
    assert {rule["alert"] for rule in rules()} <= set(re.findall(r'<a id="(\w+)"></a>', text))


def test_every_alert_is_seen_firing_by_a_test():
    cases = yaml.safe_load((PROJECT / "ops/prometheus/alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {
        re.search(r'alertname="(\w+)"', sample["labels"])[1]
        for case in cases
        for asked in case["promql_expr_test"]
        for sample in asked["exp_samples"]
    }
    assert fired == {rule["alert"] for rule in rules()}
    for case in cases:
        for series in case["input_series"]:
            named = metrics_in(series["series"]) - {"up"}
            assert named <= set(METRICS), f"{case['name']}: {sorted(named - set(METRICS))}"


def test_the_dashboard_can_be_imported():
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert set(variables) == {"datasource", "agent", "connection"}
    for name in ("agent", "connection"):
        [metric] = metrics_in(variables[name]["definition"])
        assert name in METRICS[metric].labels
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(places) == len(set(places)), "panels lie on each other"


def test_the_jobs_are_those_that_the_rules_ask_for():
    scrape = yaml.safe_load((PROJECT / "ops/prometheus/scrape.yml").read_text(encoding="utf-8"))
    assert {job["job_name"] for job in scrape["scrape_configs"]} == {"jira-gateway", "jira-agent"}
    assert scrape["rule_files"] == ["alerts.yml"]
