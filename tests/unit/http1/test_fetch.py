"""One request and its whole answer."""

import asyncio

import pytest

from http1.errors import ClientFailure, FailureKind, Progress
from http1.fetch import fetch
from http1.messages import NO_BODY, RequestHead, ResponseHead


class Call:
    def __init__(self):
        self.written = []
        self.is_aborted = False

    def write(self, data):
        self.written.append(data)

    def abort(self):
        self.is_aborted = True


class Pool:
    """Answers as told in the next turn."""

    def __init__(self, *pieces, failure=None):
        self.call = Call()
        self._pieces = pieces
        self._failure = failure

    def start(self, head, receiver):
        self.head = head
        asyncio.get_running_loop().call_soon(self._answer, receiver)
        return self.call

    def _answer(self, receiver):
        receiver.on_response(ResponseHead(201, [(b"a", b"b")], NO_BODY))
        for piece in self._pieces:
            receiver.on_body(piece)
        if self._failure is not None:
            receiver.on_failure(self._failure)
        elif sum(map(len, self._pieces)) <= 10:
            receiver.on_end([])


POST = RequestHead(b"POST", b"/", [], 4)


async def test_the_answer_is_returned_whole_and_the_body_was_handed_over():
    pool = Pool(b"one", b"two")
    assert await fetch(pool, POST, 10, b"body") == (201, [(b"a", b"b")], b"onetwo")
    assert (pool.call.written, pool.call.is_aborted) == ([b"body"], False)


async def test_without_a_body_nothing_is_written():
    pool = Pool()
    await fetch(pool, RequestHead(b"GET", b"/", [], NO_BODY), 10)
    assert pool.call.written == []


async def test_too_much_is_a_failure_and_ends_the_call():
    pool = Pool(b"x" * 11)
    with pytest.raises(ClientFailure, match="larger than 10 bytes"):
        await fetch(pool, POST, 10, b"body")
    assert pool.call.is_aborted


async def test_half_an_answer_is_a_failure():
    failure = ClientFailure(FailureKind.CLOSED, Progress.ANSWERED, "The server closed.")
    with pytest.raises(ClientFailure) as raised:
        await fetch(Pool(b"x", failure=failure), POST, 10, b"body")
    assert raised.value is failure
