"""The metrics page: valid text format, true numbers."""

import re

from gateway.metrics import render
from gateway.outcomes import OutcomeLog
from gateway.registry import Registry
from http1.limits import OpenSockets
from tests.support.fake_link import agent_link
from tunnel.budget import Budget

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\\\n]*"\})? [0-9.e+]+')


def page():
    registry, outcomes, sockets, budget = Registry(), OutcomeLog(), OpenSockets(), Budget()
    for name in ("hq", "hq", "branch"):
        registry.add(agent_link(name))
    outcomes.by_status.update({200: 3, 503: 1})
    outcomes.by_slug["agent_offline"] = 1
    outcomes.hung_up = 2
    sockets.refused = 4
    budget.reserve(4096)
    return render(registry, outcomes, sockets, budget)


def test_it_is_the_text_format_of_prometheus():
    text = page()
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line.startswith(("# HELP jira_gateway_", "# TYPE jira_gateway_")) or SAMPLE.fullmatch(line), line


def test_every_metric_has_its_help_and_type_once():
    lines = page().splitlines()
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(named) == len(set(named))
    assert named == [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert {line.split("{")[0].split()[0] for line in lines if line[0] != "#"} <= set(named)


def test_the_numbers_are_those_of_the_parts():
    lines = set(page().splitlines())
    assert lines >= {
        'jira_gateway_agent_links{agent="hq"} 2',
        'jira_gateway_agent_links{agent="branch"} 1',
        'jira_gateway_answers_total{status="200"} 3',
        'jira_gateway_errors_total{error="agent_offline"} 1',
        "jira_gateway_hung_up_total 2",
        "jira_gateway_caller_sockets_refused_total 4",
        "jira_gateway_window_bytes 4096",
    }


def test_without_anything_it_is_still_a_page():
    assert "jira_gateway_requests_in_flight 0" in render(Registry(), OutcomeLog(), OpenSockets(), Budget())
