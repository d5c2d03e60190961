"""One request of the gateway itself to a Jira, on a link or direct: sent whole, its answer collected whole.

Not the path of callers' requests. An answer that is larger than it may be is a problem, never a cut body.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from gateway.admission import Refused
from gateway.errors import JIRA_PROTOCOL, Problem, Processed, from_meta, from_refusal, from_reset
from gateway.registry import Opener, RelayStream
from gateway.store import Credentials
from tunnel.errors import ErrorCode, Progress, StreamRefused
from tunnel.heads import NO_BODY, Pairs, RequestHead, ResponseHead

GRACE_SECONDS: Final = 1.0  # the other end watches the same deadline, nearer to Jira


@dataclass(frozen=True, slots=True)
class Question:
    """A request; `target` is path and query below Jira's base URL, `body` is JSON or b""."""

    target: bytes
    method: bytes = b"GET"
    body: bytes = field(default=b"", repr=False)
    authorization: bytes | None = field(default=None, repr=False)
    credentials: Credentials = Credentials.CALLER


@dataclass(frozen=True, slots=True)
class Reply:
    """Jira's answer, or our problem with it; `login` is what the way there says of the login, if it says anything."""

    status: int = 0
    headers: Pairs = field(default_factory=list)
    body: bytes = field(default=b"", repr=False)
    login: bytes = b""
    problem: Problem | None = None


async def ask(opener: Opener, question: Question, *, seconds: float, max_bytes: int) -> Reply:
    """Return the answer to `question`, or our problem with it, after `seconds` at the latest."""
    collector = _Collector(max_bytes)
    try:
        stream = opener.open_stream(_head(question, seconds), collector)
    except StreamRefused as refused:
        return Reply(problem=from_refusal(refused.code))
    except Refused as refused:
        return Reply(problem=refused.problem)
    collector.attach(stream)
    if question.body:
        stream.send_data(question.body)
        stream.send_end()
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            return await collector.done
    except TimeoutError:
        return Reply(problem=from_reset(ErrorCode.JIRA_TIMEOUT, Progress.SENT, ""))
    finally:
        if collector.done.cancelled():  # by the deadline, or with whoever asked
            stream.reset(ErrorCode.DEADLINE)


def _head(question: Question, seconds: float) -> RequestHead:
    meta = {b"request-id": b"probe", b"caller": b"gateway", b"credentials": question.credentials.value.encode()}
    headers: Pairs = [(b"Accept", b"application/json")]
    if question.body:
        headers.append((b"Content-Type", b"application/json"))
    if question.authorization is not None:
        headers.append((b"Authorization", question.authorization))
    length = len(question.body) or NO_BODY
    return RequestHead(question.method, question.target, headers, length, int(seconds * 1000), meta)


class _Collector:
    """The answer on one stream, collected."""

    def __init__(self, max_bytes: int) -> None:
        self.done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._max_bytes = max_bytes
        self._stream: RelayStream | None = None
        self._head: ResponseHead | None = None
        self._body = bytearray()

    def attach(self, stream: RelayStream) -> None:
        """Take the stream that this collects."""
        self._stream = stream

    def on_response(self, head: ResponseHead) -> None:
        """Keep the head, unless it stands for a problem of the way there."""
        self._head = head
        problem = from_meta(head)
        if problem is not None:
            self._settle(Reply(problem=problem))

    def on_data(self, data: bytes) -> None:
        """Keep a part of the body."""
        stream = self._stream
        if len(self._body) + len(data) > self._max_bytes:
            message = f"Jira's answer is larger than {self._max_bytes} bytes."
            self._settle(Reply(problem=Problem(JIRA_PROTOCOL, message, processed=Processed.UNKNOWN)))
            if stream is not None:
                stream.reset(ErrorCode.CANCEL)
            return
        self._body += data
        if stream is not None:
            stream.consume(len(data))

    def on_end(self, trailers: Pairs) -> None:
        """The answer is complete."""
        del trailers
        head = self._head
        if head is not None:
            self._settle(Reply(head.status, head.headers, bytes(self._body), head.meta.get(b"jira-login", b"")))

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """There will be no answer."""
        self._settle(Reply(problem=from_reset(code, progress, detail)))

    def on_writable(self) -> None:
        """The whole body was handed over at once."""

    def _settle(self, reply: Reply) -> None:
        if not self.done.done():
            self.done.set_result(reply)
