"""The gateway's own requests: whole answers or a problem, and never longer than they may take."""

import asyncio

import pytest

from gateway.admission import Refused
from gateway.asking import Question, ask
from gateway.errors import PAUSED, Problem
from gateway.store import Credentials
from tests.support.fake_link import FakeLink
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, STREAMED, ResponseHead


class PlayingLink(FakeLink):
    """Plays its part in the next turn of the loop."""

    def __init__(self, play):
        super().__init__()
        self.play = play

    def open_stream(self, head, receiver):
        stream = super().open_stream(head, receiver)
        asyncio.get_running_loop().call_soon(self.play, stream)
        return stream


def answer(status=200, body=b"{}", headers=(), **meta):
    def play(stream):
        stream.respond(ResponseHead(status, list(headers), STREAMED, {k.encode(): v for k, v in meta.items()}))
        stream.deliver(body)
        stream.end()

    return play


async def put(question, play, *, seconds=5.0, max_bytes=1000):
    link = PlayingLink(play)
    reply = await ask(link, question, seconds=seconds, max_bytes=max_bytes)
    return reply, link.opened[0]


async def test_a_body_goes_with_its_length_and_type_and_ends():
    question = Question(b"/rest/x", b"PUT", b'{"a":1}', b"Bearer t", Credentials.GATEWAY)
    reply, stream = await put(question, answer(201, b"made"))

    assert (reply.status, reply.body, reply.problem) == (201, b"made", None)
    assert (stream.head.method, stream.head.body, stream.sent, stream.ended) == (b"PUT", 7, b'{"a":1}', True)
    headers = dict(stream.head.headers)
    assert (headers[b"Content-Type"], headers[b"Authorization"]) == (b"application/json", b"Bearer t")
    assert stream.head.meta[b"credentials"] == b"gateway"
    assert stream.consumed == stream.delivered


async def test_a_request_without_a_body_promises_none():
    _, stream = await put(Question(b"/rest/x", b"DELETE"), answer(204, b""))
    assert stream.head.body == NO_BODY
    assert b"Content-Type" not in dict(stream.head.headers)


async def test_what_is_too_large_is_a_problem_and_never_a_part():
    reply, stream = await put(Question(b"/"), answer(body=b"x" * 1001))
    assert (reply.status, reply.body, reply.problem.slug.name) == (0, b"", "jira_protocol")
    assert stream.resets == [ErrorCode.CANCEL]
    assert (await put(Question(b"/"), answer(body=b"x" * 1000)))[0].body == b"x" * 1000


async def test_an_answer_that_breaks_off_is_a_problem():
    def play(stream):
        stream.respond(ResponseHead(200, [], STREAMED))
        stream.deliver(b"half")
        stream.lose(ErrorCode.LINK_LOST, Progress.ANSWERED)

    reply, _ = await put(Question(b"/"), play)
    assert (reply.body, reply.problem.slug.name) == (b"", "tunnel_lost")


async def test_a_pause_that_jira_asked_for_is_a_problem_at_once():
    def play(stream):
        meta = {b"problem": b"rate_limited", b"detail": b"wait"}
        stream.respond(ResponseHead(429, [(b"Retry-After", b"7")], 0, meta))

    reply, _ = await put(Question(b"/"), play)
    assert (reply.problem.slug.name, reply.problem.retry_after) == ("rate_limited", 7)


async def test_what_the_way_says_of_the_login_is_kept():
    reply, _ = await put(Question(b"/"), answer(401, **{"jira-login": b"wrong_password"}))
    assert reply.login == b"wrong_password"


async def test_refusals_are_problems():
    link = FakeLink()
    link.refuses = ErrorCode.OVERLOADED
    assert (await ask(link, Question(b"/"), seconds=1, max_bytes=1)).problem.slug.name == "overloaded"

    class Closed:
        def open_stream(self, head, receiver):
            raise Refused(Problem(PAUSED, "no"))

    assert (await ask(Closed(), Question(b"/"), seconds=1, max_bytes=1)).problem.slug.name == "paused"


@pytest.mark.parametrize("how", ["deadline", "cancel"])
async def test_silence_and_those_who_leave_free_jira(how):
    link = FakeLink()
    if how == "deadline":
        reply = await ask(link, Question(b"/"), seconds=-0.99, max_bytes=1)
        assert reply.problem.slug.name == "jira_timeout"
    else:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ask(link, Question(b"/"), seconds=5, max_bytes=1)
    assert link.opened[0].resets == [ErrorCode.DEADLINE]
