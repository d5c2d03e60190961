"""What the agent learns about Jira, and what it makes of answers that are none."""

import asyncio

import pytest

from agent import jira_probe
from agent.jira_probe import JiraProbe
from http1.errors import ClientFailure, FailureKind, Progress
from http1.messages import ResponseHead
from jira_api.protection.protection import Protection

INFO = b'{"baseUrl":"https://jira.corp/jira","version":"9.12.5","versionNumbers":[9,12,5],"deploymentType":"Server"}'


class Pool:
    """Answers every request at once with a script."""

    def __init__(self, script):
        self.script = script
        self.heads = []
        self.aborted = False

    def start(self, head, receiver):
        self.heads.append(head)
        asyncio.get_running_loop().call_soon(self.script, receiver)
        return self

    def write(self, data):
        assert data == b"", "the probe sends no body"

    def abort(self):
        self.aborted = True


def answers(status, *pieces):
    def script(receiver):
        receiver.on_response(ResponseHead(status, [], -1))
        for piece in pieces:
            receiver.on_body(piece)
        receiver.on_end([])

    return script


async def asked(script, protection=None):
    pool = Pool(script)
    seen = []
    probe = JiraProbe(pool, b"/jira", b"jira-agent/1", seen.append, protection or Protection(4, lambda: 100.0))
    await probe.ask()
    assert seen == [probe.finding]
    return probe, pool


async def test_it_asks_anonymously_below_the_context_path():
    probe, pool = await asked(answers(200, INFO[:20], INFO[20:]))

    assert (probe.finding.info.version, probe.finding.info.base_url) == ("9.12.5", "https://jira.corp/jira")
    assert [head.target for head in pool.heads] == [b"/jira/status", b"/jira/rest/api/2/serverInfo"]
    assert all({name for name, _ in head.headers} == {b"Accept", b"User-Agent"} for head in pool.heads)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (answers(302), "status 302"),
        (answers(200), "empty"),
        (answers(200, b"<html>"), "no JSON"),
        (
            lambda r: r.on_failure(ClientFailure(FailureKind.TLS, Progress.NOT_SENT, "bad certificate")),
            "bad certificate",
        ),
    ],
)
async def test_what_is_no_server_info_is_a_problem_in_words(script, problem):
    probe, _ = await asked(script)

    assert probe.finding.info is None
    assert problem in probe.finding.problem


async def test_an_endless_answer_is_cut():
    probe, pool = await asked(lambda receiver: [receiver.on_body(bytes(40_000)) for _ in range(2)])

    assert probe.finding.info is None
    assert pool.aborted


async def test_silence_ends_after_the_deadline(monkeypatch):
    monkeypatch.setattr(jira_probe, "PROBE_SECONDS", 0.01)
    probe, pool = await asked(lambda receiver: None)

    assert "no answer within" in probe.finding.problem
    assert pool.aborted


async def test_the_same_finding_is_told_once():
    pool = Pool(answers(200, INFO))
    seen = []
    probe = JiraProbe(pool, b"", b"x", seen.append, Protection(4, lambda: 100.0))
    await probe.ask()
    await probe.ask()

    assert len(seen) == 1


async def test_a_jira_that_returns_is_told_with_how_long_it_was_away(monkeypatch):
    pool = Pool(answers(200, INFO))
    probe = JiraProbe(pool, b"", b"x", lambda _: None, Protection(4, lambda: 100.0))
    now = 1000.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    away = []
    probe.on_return = away.append
    for moment, script in [
        (1000.0, answers(200, INFO)),
        (1600.0, answers(200, INFO)),
        (2200.0, answers(500)),
        (2230.0, answers(500)),
        (2260.0, answers(200, INFO)),
        (2860.0, answers(200, INFO)),
    ]:
        now, pool.script = moment, script
        await probe.ask()

    assert away == [660.0]


async def test_a_jira_that_was_never_there_was_away_since_it_was_asked_first(monkeypatch):
    pool = Pool(answers(500))
    probe = JiraProbe(pool, b"", b"x", lambda _: None, Protection(4, lambda: 100.0))
    now = 1000.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    away = []
    probe.on_return = away.append
    await probe.ask()
    now = 1030.0
    pool.script = answers(200, INFO)
    await probe.ask()

    assert away == [30.0]
