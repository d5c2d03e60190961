"""Requests of the gateway's events: whole answers, logins that are told and not tried again, whose clock says what."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import SecretBytes

from gateway.directory import ConnectionEntry
from gateway.errors import AGENT_OFFLINE, JIRA_LOGIN_REJECTED, RATE_LIMITED, Problem
from gateway.events.jira_client import JiraAnswer, JiraClient, JiraSilent, in_words, pause_after
from gateway.registry import Registry
from gateway.store import Credentials
from jira_api.events.requesting import JiraRequest
from tests.support.fake_link import FakeLink, agent_link
from tunnel.heads import STREAMED, ResponseHead

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
INFO = {"baseUrl": "https://jira", "version": "9.12.5", "serverTime": "2026-11-26T18:00:00.000+0300"}


class Answering(FakeLink):
    """Answers everything with the next of `answers`: (status, body, login)."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)

    def open_stream(self, head, receiver):
        stream = super().open_stream(head, receiver)
        status, body, login, *headers = self.answers.pop(0)

        def answer():
            stream.respond(ResponseHead(status, headers, STREAMED, {b"jira-login": login} if login else {}))
            stream.deliver(body)
            stream.end()

        asyncio.get_running_loop().call_soon(answer)
        return stream


def client(*answers, agent="plant"):
    registry = Registry()
    made = agent_link("plant")
    made.link = Answering(*answers)
    registry.add(made)
    entry = ConnectionEntry("hq", agent, None, Credentials.GATEWAY, SecretBytes(b"Bearer t"), True, 60.0)
    own = SimpleNamespace(link=SimpleNamespace(own=made.link))
    direct = SimpleNamespace(pick=lambda asked: own if asked is entry else None)
    return JiraClient(entry, registry, direct), made.link


@pytest.mark.parametrize("agent", ["plant", None])
async def test_a_request_goes_with_its_body_and_the_connections_login(agent):
    asked, link = client((201, b"{}", b""), agent=agent)
    answer = await asked.send(JiraRequest(b"POST", b"/rest/x", b'{"a":1}'))
    assert answer == JiraAnswer(201, [], b"{}", None)
    [stream] = link.opened
    assert (stream.head.method, stream.head.target, stream.sent) == (b"POST", b"/rest/x", b'{"a":1}')
    assert dict(stream.head.headers)[b"Authorization"] == b"Bearer t"


@pytest.mark.parametrize("login", [b"wrong_password", b"captcha", b"token_expired"])
async def test_a_refused_login_is_silence_of_its_own_sort(login):
    asked, _ = client((401, b"", login))
    with pytest.raises(JiraSilent) as silent:
        await asked.send(JiraRequest(b"GET", b"/"))
    assert silent.value.is_login_rejected
    assert pause_after(silent.value, 1) >= 60


async def test_an_answer_to_nobody_is_none_to_the_account():
    asked, _ = client((200, b"[]", b"anonymous"), (200, b"[]", b"anonymous"))
    assert (await asked.send(JiraRequest(b"GET", b"/"))).status == 200
    with pytest.raises(JiraSilent) as silent:
        await asked.send_as_account(JiraRequest(b"GET", b"/"))
    assert silent.value.problem.slug is JIRA_LOGIN_REJECTED


async def test_without_a_way_there_is_silence():
    asked, _ = client(agent="elsewhere")
    assert not asked.is_online
    with pytest.raises(JiraSilent) as silent:
        await asked.send(JiraRequest(b"GET", b"/"))
    assert silent.value.problem.slug is AGENT_OFFLINE
    asked, _ = client(agent=None)
    assert asked.is_online
    asked.entry = replace(asked.entry, name="changed")
    assert not asked.is_online
    with pytest.raises(JiraSilent):
        await asked.send(JiraRequest(b"GET", b"/"))


@pytest.mark.parametrize(
    ("told", "headers", "ahead"),
    [
        ({}, [], timedelta(hours=3)),
        ({"serverTime": None}, [(b"Date", b"Thu, 26 Nov 2026 09:00:00 GMT")], timedelta(hours=-3)),
        ({"serverTime": None}, [], timedelta(0)),
        ({"serverTime": None}, [(b"Date", b"soon")], timedelta(0)),
    ],
)
async def test_how_far_jiras_clock_is_ahead(told, headers, ahead):
    asked, _ = client((200, json.dumps({**INFO, **told}).encode(), b"", *headers))
    server = await asked.server(lambda: NOW)
    assert (server.info.version, server.ahead) == ("9.12.5", ahead)


async def test_a_busy_server_is_asked_again_and_one_that_is_none_is_silent():
    asked, link = client((200, b"", b""), (200, b"", b""), (200, json.dumps(INFO).encode(), b""))
    assert (await asked.server(lambda: NOW)).info.version == "9.12.5"
    assert len(link.opened) == 3
    asked, _ = client(*[(200, b"<html>", b"")] * 3)
    with pytest.raises(JiraSilent):
        await asked.server(lambda: NOW)


def test_pauses_double_up_to_five_minutes_and_heed_jira():
    offline = JiraSilent(Problem(AGENT_OFFLINE, "away"))
    assert [pause_after(offline, count) for count in (0, 1, 2, 3, 99)] == [5, 5, 10, 20, 300]
    assert pause_after(JiraSilent(Problem(RATE_LIMITED, "wait", retry_after=77)), 1) == 77


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errorMessages":["One.","Two."],"errors":{"jql":"Three."}}', "One. Two. Three."),
        (b'{"message":"No."}', "No."),
        (b'{"errorMessages":"No."}', "Jira answered 400"),
        (b"<html>", "Jira answered 400"),
        (b'{"message":"a\\u0007b' + b"x" * 1000 + b'"}', "ab" + "x" * 498),
    ],
)
def test_jiras_words_are_found_wherever_they_are_and_bounded(body, words):
    found = in_words(JiraAnswer(400, [], body))
    assert found == words or (len(words) > 400 and found.startswith("abx") and len(found) <= 500)
