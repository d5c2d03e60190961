"""Which links an agent has, and which of them is picked."""

from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from certs.identity import AgentIdentity
from gateway.registry import MAX_SETTING, AgentLink, Registry
from tunnel.traffic import Traffic


class FakeLink:
    def __init__(self, load=0, *, is_usable=True):
        self.load = load
        self.is_usable = is_usable
        self.streams = 0
        self.rtt = None
        self.traffic = Traffic()


def agent_link(name="hq", instance="i1", **fields):
    certificate = SimpleNamespace(identity=AgentIdentity(name, instance))
    return AgentLink(certificate, FakeLink(**fields), "10.0.0.1", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def registry():
    return Registry()


def add(registry, *links):
    for link in links:
        registry.add(link)
    return links


def test_nobody_is_picked_for_an_agent_without_links(registry):
    assert registry.pick("hq") is None


def test_the_link_with_the_least_work_is_picked(registry):
    _, idle, _ = add(registry, agent_link(load=5), agent_link(load=1), agent_link(load=3))
    assert {id(registry.pick("hq")) for _ in range(6)} == {id(idle)}


def test_links_of_equal_work_take_turns(registry):
    add(registry, *(agent_link() for _ in range(3)))
    assert set(Counter(id(registry.pick("hq")) for _ in range(30)).values()) == {10}


def test_an_unusable_link_is_never_picked(registry):
    _, busy = add(registry, agent_link(is_usable=False), agent_link(load=99))
    assert registry.pick("hq") is busy
    busy.link.is_usable = False
    assert registry.pick("hq") is None


def test_links_to_avoid_are_avoided(registry):
    first, second = add(registry, agent_link(), agent_link(load=9))
    assert registry.pick("hq", {id(first)}) is second
    assert registry.pick("hq", {id(first), id(second)}) is None


def test_another_agents_links_are_never_picked(registry):
    add(registry, agent_link("branch"))
    assert registry.pick("hq") is None
    assert registry.pick("") is None


def test_a_link_that_is_gone_is_forgotten_once_and_for_all(registry):
    first, second = add(registry, agent_link(), agent_link(instance="i2"))
    registry.remove(first)
    registry.remove(first)
    assert list(registry.links("hq")) == [second]
    registry.remove(second)
    assert list(registry.links()) == []


def test_links_may_go_while_somebody_goes_through_them(registry):
    add(registry, agent_link(), agent_link(), agent_link("branch"))
    for link in registry.links():
        registry.remove(link)
    assert list(registry.links()) == []


def test_two_links_that_look_the_same_are_two(registry):
    first, second = add(registry, agent_link(), agent_link())
    registry.remove(second)
    assert list(registry.links()) == [first]


def test_settings_are_those_of_the_newest_usable_link(registry):
    old, new = add(registry, agent_link(), agent_link())
    old.announce({b"context-path": b"/old"})
    assert registry.settings("hq") == {b"context-path": b"/old"}
    new.announce({b"context-path": b"/new"})
    assert registry.settings("hq") == {b"context-path": b"/new"}
    new.link.is_usable = False
    assert registry.settings("hq") == {b"context-path": b"/old"}


def test_settings_outlive_the_links(registry):
    [link] = add(registry, agent_link())
    link.announce({b"context-path": b"/jira"})
    registry.remove(link)
    assert registry.settings("hq") == {b"context-path": b"/jira"}
    assert registry.settings("other") == {}


def test_news_are_added_to_what_was_announced_and_drop_what_was_derived():
    link = agent_link()
    link.announce({b"jira-url": b"1", b"context-path": b"/1"})
    link.faces["hq", False] = object()
    link.announce({b"context-path": b"/2"})
    assert (link.settings, link.faces) == ({b"jira-url": b"1", b"context-path": b"/2"}, {})


def test_an_agent_cannot_make_us_keep_whatever_it_sends():
    link = agent_link()
    for number in range(100):
        link.announce({b"key-%d" % number: b"value", b"jira-url": b"x" * (MAX_SETTING + 1)})
    assert link.settings == {}


@pytest.mark.parametrize("path", [b"jira", b"/jira/", b"/a b", b'/"', b"/\r\n", b"/<b>"])
def test_what_is_no_context_path_is_not_taken_for_one(path):
    link = agent_link()
    link.announce({b"context-path": path})
    assert link.settings == {}


def test_it_shows_how_many_links_each_agent_has(registry):
    add(registry, agent_link(), agent_link(), agent_link("branch"))
    assert repr(registry) == "Registry({'hq': 2, 'branch': 1})"


@pytest.mark.parametrize("url", [b"http://10.0.0.5:8090", b"https://agent.corp.example/jira", b"http://[fd00::5]:8090"])
def test_an_agent_says_where_jira_posts_webhooks(url):
    link = agent_link()
    link.announce({b"webhook-url": url})
    assert link.settings == {b"webhook-url": url}


@pytest.mark.parametrize(
    "url",
    [
        b"ftp://agent.corp.example",
        b"//agent.corp.example",
        b"http://user@agent.corp.example",
        b"http://agent.corp.example/?to=",
        b"http://agent.corp.example#",
        b"http://agent.corp.example/\x1b]0;x\x07",
        b"http://agent.corp.example/ x",
        b"http://agent.corp.example/'$(id)'",
        b"http://" + b"a" * MAX_SETTING,
    ],
)
def test_what_is_no_plain_address_is_not_where_jira_posts_webhooks(url):
    link = agent_link()
    link.announce({b"webhook-url": url})
    assert link.settings == {}


def test_what_links_carried_outlives_them():
    registry = Registry()
    gone, here = agent_link("hq"), agent_link("hq")
    gone.link.traffic, here.link.traffic = Traffic(1, 2, 3.0), Traffic(10, 20, 30.0)
    registry.add(gone)
    registry.add(here)
    registry.remove(gone)
    registry.remove(gone)
    assert registry.traffic() == {"hq": Traffic(11, 22, 33.0)}
    registry.remove(here)
    assert registry.traffic() == {"hq": Traffic(11, 22, 33.0)}
    assert registry.opened == {"hq": 2}


@pytest.mark.parametrize(
    ("name", "value", "is_taken"),
    [
        (b"switch", b"paused", True),
        (b"switch", b"read-only", True),
        (b"switch", b"open", True),
        (b"switch", b"closed", False),
        (b"switch-reason", "Wartung für Öl".encode(), True),
        (b"switch-reason", b"", True),
        (b"switch-reason", b"a\nb", False),
        (b"switch-reason", b"\x1b[2J", False),
        (b"switch-reason", b"x" * 801, False),
    ],
)
def test_of_a_switch_only_positions_and_one_line_are_taken(name, value, is_taken):
    link = agent_link()
    link.announce({name: value})
    assert (name in link.settings) is is_taken


def test_siblings_are_the_links_of_one_instance():
    registry = Registry()
    links = [agent_link(instance=instance) for instance in ("i1", "i1", "i2")]
    for link in links:
        registry.add(link)
    assert registry.siblings(links[0]) == {id(links[0]), id(links[1])}
