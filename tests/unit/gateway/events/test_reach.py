"""Where Jira can post webhooks, told from the addresses."""

from types import SimpleNamespace

import pytest

from gateway.directory import ConnectionEntry
from gateway.events.reach import is_loopback, reach
from gateway.store import Credentials, Way

CLOUD = SimpleNamespace(is_cloud=True)
SERVER = SimpleNamespace(is_cloud=False)


def entry(agent="plant", base_url=None):
    return ConnectionEntry("hq", agent, base_url, Credentials.AGENT, None, True, 60.0)


def ways(public_url, told=None, server=SERVER, **where):
    return reach(entry(**where), told or {}, public_url, server).urls


def test_an_agent_that_listens_is_the_way_through_its_own_network():
    told = {b"webhook-url": b"http://agent.local:7070/", b"jira-url": b"https://jira.corp.example"}
    assert ways("https://gw.example", told) == {
        Way.LAN: "http://agent.local:7070", Way.INTERNET: "https://gw.example",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("public_url", "jira", "server", "is_possible"),
    [
        ("http://127.0.0.1:8080", "https://jira.corp.example", SERVER, False),
        ("http://localhost:8080", "https://jira.corp.example", SERVER, False),
        ("http://[::1]:8080", "http://127.0.0.1:2990/jira", SERVER, True),
        ("http://gw.example", "https://jira.corp.example", SERVER, True),
        ("http://gw.example", "https://x.atlassian.net", CLOUD, False),
        ("https://gw.example", "https://x.atlassian.net", CLOUD, True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:2990", CLOUD, True),
        ("http://gw.example", "https://jira.corp.example", None, True),
    ],
)
def test_the_gateway_is_reached_as_the_addresses_say(public_url, jira, server, is_possible):
    found = reach(entry(None, jira), {}, public_url, server)
    assert (Way.INTERNET in found.urls, Way.INTERNET in found.no_way) == (is_possible, not is_possible)
    assert "no agent" in found.no_way[Way.LAN]


def test_an_agent_that_does_not_listen_is_no_way_and_the_setting_is_named():
    found = reach(entry(), {b"jira-url": b"https://jira"}, "https://gw.example", SERVER)
    assert "JIRA_AGENT_WEBHOOK_LISTEN" in found.no_way[Way.LAN]


def test_this_machine_has_several_names():
    hosts = ["localhost", "a.localhost", "127.0.0.9", "::1", "10.0.0.1", "jira", None]
    assert [is_loopback(host) for host in hosts] == [True, True, True, True, False, False, False]
