"""One small request and its whole answer, for programs that ask a server something themselves; not the request path."""

import asyncio
from typing import NamedTuple

from http1.client import ClientPool
from http1.errors import ClientFailure, FailureKind, Progress
from http1.messages import Headers, RequestHead, ResponseHead


class Fetched(NamedTuple):
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


async def fetch(pool: ClientPool, head: RequestHead, max_bytes: int, body: bytes = b"") -> Fetched:
    """Return the answer to a request; `head.body` is the length of `body`, which is handed over at once.

    Raises:
        ClientFailure: there is no whole answer, or one of more than `max_bytes`.
        TimeoutError: only by the deadline that the caller sets; the socket is closed then.
    """
    answer = _WholeAnswer(max_bytes)
    call = pool.start(head, answer)
    if body:
        call.write(body)
    try:
        await answer.ended.wait()
    finally:
        if not answer.is_complete:
            call.abort()
    if answer.failure is not None:
        raise answer.failure
    return Fetched(answer.status, answer.headers, bytes(answer.body))


class _WholeAnswer:
    """Collects one answer (http1.origin.ResponseReceiver)."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.ended = asyncio.Event()
        self.is_complete = False
        self.status = 0
        self.headers: Headers = []
        self.body = bytearray()
        self.failure: ClientFailure | None = None

    def on_response(self, head: ResponseHead) -> None:
        self.status, self.headers = head.status, head.headers

    def on_body(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > self._max_bytes:
            reason = f"The answer is larger than {self._max_bytes} bytes."
            self.on_failure(ClientFailure(FailureKind.PROTOCOL, Progress.ANSWERED, reason))

    def on_end(self, trailers: Headers) -> None:
        del trailers
        self.is_complete = True
        self.ended.set()

    def on_writable(self) -> None:
        pass

    def on_failure(self, failure: ClientFailure) -> None:
        self.failure = failure
        self.ended.set()
