"""Links in events lead to the gateway, as far as it is known where Jira is and the connection wants that."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from gateway.events.links import Links
from gateway.store import Connection, Credentials
from tests.support.subscriptions import make_directory

BODY = b'{"issue":{"self":"http://jira.corp:8080/jira/rest/api/2/issue/1","summary":"http://jira.corp:8080/jira/x"}}'
SETTINGS = {b"jira-url": b"http://10.0.0.5:8080/jira", b"jira-base-url": b"http://jira.corp:8080/jira"}
AGENT = Connection("hq", "headquarters", Credentials.AGENT)
DIRECT = Connection("hq", "direct", Credentials.CALLER, base_url="http://jira.corp:8080/jira")


def links(connection=AGENT, settings=SETTINGS):
    directory = make_directory(connection)
    known = SimpleNamespace(settings=lambda _: settings)
    return Links(lambda: directory, known, known, "https://gw.example")


@pytest.mark.parametrize("connection", [AGENT, DIRECT])
def test_links_lead_to_the_connection_and_texts_stay(connection):
    rewritten = links(connection).rewritten("hq", BODY)
    assert b'"self":"https://gw.example/jira/hq/rest/api/2/issue/1"' in rewritten
    assert b'"summary":"http://jira.corp:8080/jira/x"' in rewritten


def test_the_address_that_the_agent_uses_counts_too():
    body = BODY.replace(b"jira.corp:8080", b"10.0.0.5:8080")
    assert b'"self":"https://gw.example/jira/hq/' in links().rewritten("hq", body)


def test_a_connection_that_wants_its_links_as_they_are_gets_them():
    assert links(replace(AGENT, rewrite_links=False)).rewritten("hq", BODY) == BODY


def test_nothing_is_guessed_while_nobody_said_where_jira_is():
    assert links(settings={}).rewritten("hq", BODY) == BODY
    assert links().rewritten("gone", BODY) == BODY


def test_a_jira_that_moves_is_followed():
    settings = dict(SETTINGS)
    found = links(settings=settings)
    found.rewritten("hq", BODY)
    settings[b"jira-base-url"] = b"http://moved.corp/jira"
    body = BODY.replace(b"jira.corp:8080", b"moved.corp")
    assert b"https://gw.example/jira/hq/rest" in found.rewritten("hq", body)
