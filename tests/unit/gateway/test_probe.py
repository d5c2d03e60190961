"""`connections test`: one step after the other, each with what to do about it."""

import asyncio
import json

import pytest
from pydantic import SecretBytes

from gateway import probe
from gateway.directory import ConnectionEntry
from gateway.probe import MAX_ANSWER_BYTES
from gateway.registry import Registry
from gateway.store import Credentials
from tests.support.fake_link import FakeLink, agent_link
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import STREAMED, ResponseHead

INFO = json.dumps({
    "baseUrl": "https://jira.corp.example", "version": "9.12.5", "versionNumbers": [9, 12, 5],
    "deploymentType": "Server", "buildNumber": 912005, "serverTitle": "Jira",
}).encode()  # fmt: skip
MYSELF = b'{"name":"svc.bridge"}'


class AnsweringLink(FakeLink):
    """Answers each stream in the next turn of the loop; `answers` by target: (status, body), a code, or None."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def open_stream(self, head, receiver):
        stream = super().open_stream(head, receiver)
        asyncio.get_running_loop().call_soon(
            self._answer, stream, self.answers[head.target.rpartition(b"/")[2].decode()]
        )
        return stream

    def _answer(self, stream, answer):
        if isinstance(answer, ErrorCode):
            stream.lose(answer, Progress.SENT)
        elif answer is not None:
            status, body, *headers = answer
            stream.respond(ResponseHead(status, headers, STREAMED))
            stream.deliver(body)
            stream.end()


def entry(credentials=Credentials.AGENT, authorization=None):
    return ConnectionEntry("hq", "hq", None, credentials, authorization, True, 60.0)


async def run(server_info=(200, INFO), myself=(200, MYSELF), *, connection=None, refuses=None):
    registry = Registry()
    made = agent_link()
    made.link = AnsweringLink({"serverInfo": server_info, "myself": myself})
    made.link.refuses = refuses
    registry.add(made)
    checks = await probe.test_connection(connection or entry(), registry)
    return checks, made.link


def results(checks):
    return [(check.check, check.result) for check in checks]


async def test_everything_that_works_passes():
    checks, link = await run()
    assert results(checks) == [("agent", "pass"), ("jira", "pass"), ("login", "pass")]
    assert "9.12.5" in checks[1].detail
    assert checks[2].detail == "as svc.bridge"
    assert all(stream.consumed == stream.delivered for stream in link.opened)


async def test_the_gateways_login_goes_with_it():
    connection = entry(Credentials.GATEWAY, SecretBytes(b"Bearer x"))
    _, link = await run(connection=connection)
    assert [dict(stream.head.headers)[b"Authorization"] for stream in link.opened] == [b"Bearer x"] * 2
    assert {stream.head.meta[b"credentials"] for stream in link.opened} == {b"gateway"}


async def test_without_a_link_the_rest_is_skipped():
    checks = await probe.test_connection(entry(), Registry())
    assert results(checks) == [("agent", "fail"), ("jira", "skip"), ("login", "skip")]
    assert checks[0].action


async def test_a_link_that_is_not_usable_is_no_link():
    registry = Registry()
    registry.add(agent_link())
    next(registry.links()).link.is_usable = False
    assert results(await probe.test_connection(entry(), registry))[0] == ("agent", "fail")


@pytest.mark.parametrize("answer", [ErrorCode.JIRA_UNREACHABLE, ErrorCode.LINK_LOST, (200, b"<html>"), (502, b"")])
async def test_a_jira_that_does_not_answer_as_one_fails_and_the_login_is_skipped(answer):
    checks, _ = await run(answer)
    assert results(checks) == [("agent", "pass"), ("jira", "fail"), ("login", "skip")]
    assert checks[1].action


async def test_a_link_that_refuses_is_told():
    checks, _ = await run(refuses=ErrorCode.OVERLOADED)
    assert results(checks)[1] == ("jira", "fail")
    assert "overloaded" in checks[1].detail


@pytest.mark.parametrize(
    "answer", [(401, b""), (403, b"", (b"X-Seraph-LoginReason", b"AUTHENTICATION_DENIED")), ErrorCode.LINK_LOST]
)
async def test_a_login_that_jira_refuses_fails(answer):
    checks, _ = await run(myself=answer)
    assert results(checks)[2] == ("login", "fail")
    if answer == (403, b"", (b"X-Seraph-LoginReason", b"AUTHENTICATION_DENIED")):
        assert "AUTHENTICATION_DENIED" in checks[2].detail


async def test_the_callers_own_login_cannot_be_tried():
    checks, link = await run(connection=entry(Credentials.CALLER))
    assert results(checks)[2] == ("login", "skip")
    assert len(link.opened) == 1


async def test_an_answer_without_end_costs_only_so_much():
    checks, link = await run((200, INFO + bytes(3 * MAX_ANSWER_BYTES)))
    assert results(checks)[1] == ("jira", "fail")
    assert str(MAX_ANSWER_BYTES) in checks[1].detail
    assert link.opened[0].resets == [ErrorCode.CANCEL]


async def test_silence_has_an_end():
    registry = Registry()
    made = agent_link()
    made.link = AnsweringLink({"serverInfo": None})
    registry.add(made)
    answer = await probe.JiraProbe(entry(), registry).get(b"/rest/api/2/serverInfo", seconds=-0.99)

    assert answer.problem.slug.name == "jira_timeout"
    assert made.link.opened[0].resets == [ErrorCode.DEADLINE]


def site_of(*switches):
    """A registry with one link per position of the switch, each of its own instance; those that pause refuse."""
    registry = Registry()
    for number, switch in enumerate(switches):
        made = agent_link(instance=f"i{number}")
        answers = {"serverInfo": (200, INFO), "myself": (200, MYSELF)}
        if switch == b"paused":
            answers = dict.fromkeys(answers, ErrorCode.PAUSED)
        made.link = AnsweringLink(answers)
        made.announce({b"switch": switch, b"switch-reason": b"upgrade" if switch == b"paused" else b""})
        registry.add(made)
    return registry


async def test_an_agent_that_is_paused_everywhere_fails_in_the_words_of_its_administrator():
    checks = await probe.test_connection(entry(), site_of(b"paused", b"paused"))
    assert results(checks) == [("agent", "fail"), ("jira", "fail"), ("login", "skip")]
    assert "paused by its administrator (upgrade)" in checks[0].detail
    assert "jira-agent resume" in checks[0].action


async def test_an_instance_that_is_not_paused_is_asked_instead():
    checks = await probe.test_connection(entry(), site_of(b"paused", b"open", b"paused", b"read-only"))
    assert results(checks) == [("agent", "pass"), ("jira", "pass"), ("login", "pass")]
    assert "2 of 4 instances paused by their administrator" in checks[0].detail
    assert "1 of 4 instances read-only by their administrator" in checks[0].detail


async def test_what_an_agent_says_of_its_switch_decides_nothing():
    """One that says that it is paused and answers is as good as any other, and one that refuses is not asked twice."""
    registry = site_of(b"paused")
    link = next(registry.links()).link
    link.answers = {"serverInfo": (200, INFO), "myself": (200, MYSELF)}
    assert results(await probe.test_connection(entry(), registry))[1:] == [("jira", "pass"), ("login", "pass")]
