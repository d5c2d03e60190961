"""One question to a gateway: the grant, or why there is none."""

import asyncio

import pytest

from agent.petition import PetitionRefused, Refusal, petition
from certs.enrollment import MAX_GRANT_BYTES
from tests.support.tunnel_pair import Pair, Recorder
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, ResponseHead


class Gateway:
    """The other end of the link: answers what it is set to."""

    def __init__(self):
        self.pair = Pair()
        self.pair.gateway.accept = self._accept
        self.asked = []

    def _accept(self, stream, head):
        receiver = Recorder(stream)
        self.asked.append((head, receiver))
        return receiver

    async def ask(self, answer):
        """Carry a petition over the pair while it waits."""
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(petition(self.pair.agent, b"csr"))
            await asyncio.sleep(0)
            self.pair.settle()
            [(_, receiver)] = self.asked
            answer(receiver.stream)
            self.pair.settle()
        return asking.result()


def answering(status, body=b""):
    def answer(stream):
        stream.respond(ResponseHead(status, [], len(body) or NO_BODY), end=not body)
        if body:
            stream.send_data(body, end=True)

    return answer


async def refusal_of(answer):
    gateway = Gateway()
    with pytest.raises(ExceptionGroup) as caught:
        await gateway.ask(answer)
    [error] = caught.value.exceptions
    assert isinstance(error, PetitionRefused)
    assert gateway.pair.agent.streams == 0
    return error


async def test_the_grant_is_returned_as_it_came():
    gateway = Gateway()
    grant = b"g" * 20_000

    assert await gateway.ask(answering(200, grant)) == grant
    [(head, receiver)] = gateway.asked
    assert (head.method, head.target, head.body, receiver.body) == (b"POST", b"/v1/renew", 3, b"csr")
    assert gateway.pair.agent.budget.granted == 0


@pytest.mark.parametrize(
    ("status", "refusal", "lasts"),
    [
        (400, Refusal.NOT_UNDERSTOOD, True),
        (403, Refusal.UNKNOWN, True),
        (501, Refusal.NO_KEY, True),
        (429, Refusal.LATER, False),
        (503, Refusal.LATER, False),
        (500, Refusal.LATER, False),
    ],
)
async def test_a_refusal_says_whether_it_lasts(status, refusal, lasts):
    error = await refusal_of(answering(status))

    assert (error.refusal, error.refusal.is_lasting) == (refusal, lasts)
    assert str(status) in str(error)


async def test_a_reset_is_no_answer_even_after_a_good_beginning():
    def answer(stream):
        stream.respond(ResponseHead(200, [], 100))
        stream.send_data(b"half")
        stream.reset(ErrorCode.INTERNAL, Progress.SENT, "a bug")

    error = await refusal_of(answer)
    assert (error.refusal, error.detail) == (Refusal.LATER, "internal a bug")


async def test_an_answer_without_end_is_cut_off():
    assert (await refusal_of(answering(200, b"x" * (MAX_GRANT_BYTES + 1)))).refusal is Refusal.LATER


async def test_a_link_that_takes_no_streams_is_told():
    gateway = Gateway()
    gateway.pair.agent.go_away()
    with pytest.raises(PetitionRefused, match="DRAINING"):
        await petition(gateway.pair.agent, b"csr")


async def test_silence_ends(monkeypatch):
    monkeypatch.setattr("agent.petition.ANSWER_SECONDS", 0.01)
    gateway = Gateway()
    with pytest.raises(TimeoutError):
        await petition(gateway.pair.agent, b"csr")
    assert gateway.pair.agent.streams == 0
