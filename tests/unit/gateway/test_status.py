"""What the gateway says of itself."""

import json
from types import SimpleNamespace

from gateway.registry import Registry
from gateway.status import link_rows, status_page
from tests.support.fake_link import agent_link


def test_the_status_page_counts_links_by_agent():
    registry = Registry()
    for name in ("hq", "hq", "branch"):
        registry.add(agent_link(name))
    page = status_page(registry, SimpleNamespace(version=7), "jira-gateway/1")
    assert page == {"software": "jira-gateway/1", "store_version": 7, "agents": {"hq": 2, "branch": 1}}


def test_each_link_is_a_row_that_json_can_carry():
    registry = Registry()
    link = agent_link(instance="i7", jira_base_url=b"https://jira.corp.example/\xff")
    registry.add(link)
    link.link.rtt = 0.01234
    [row] = json.loads(json.dumps(link_rows(registry)))

    assert (row["agent"], row["instance"], row["address"]) == ("hq", "i7", "10.0.0.1")
    assert (row["usable"], row["streams"], row["rtt_ms"]) == (True, 0, 12.34)
    assert row["opened_at"] == "2026-01-01T00:00:00+00:00"
    assert row["jira"] == "https://jira.corp.example/\ufffd"


def test_a_round_trip_that_is_not_known_yet_is_null():
    registry = Registry()
    registry.add(agent_link())
    assert link_rows(registry)[0]["rtt_ms"] is None
