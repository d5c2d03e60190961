"""Answers small requests that come from this machine: the admin pages, and the control socket.

One coroutine per path, and one task per request, because such an answer may wait. Nothing here is on the way of a
request to Jira; both ride on http1, because a second HTTP server would be 10 MiB of an idle agent. Knows nothing of
what is answered.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from http1.collecting import CollectedBody
from http1.errors import RequestRejected
from http1.exchange import Exchange, ExchangeReceiver
from http1.limits import Limits, OpenSockets
from http1.messages import Headers, RequestHead
from http1.server import ServerProtocol
from http1.sweep import Sweeper

log = structlog.get_logger()

BACKLOG: Final = 1024
"""More than may connect in one turn of the loop: with a full backlog asyncio takes a refused socket for a good one."""
LIMITS: Final = Limits(max_connections=256, idle_give_way=True)
TEXT: Final = b"text/plain; charset=utf-8"
JSON: Final = b"application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Question:
    """A request: its whole body, and whose socket it came on (`ServerProtocol.peer`)."""

    body: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    text: str
    content_type: bytes = TEXT
    status: int = 200


Handler = Callable[[Question], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What there is: `by_path`, asked with one of `methods` and at most `max_body` bytes."""

    by_path: Mapping[bytes, Handler]
    methods: tuple[bytes, ...]
    max_body: int = 0


class Answerer:
    """The application (http1.exchange.Application). Its answers are tasks of `tasks`."""

    def __init__(self, answers: Answers, tasks: asyncio.TaskGroup) -> None:
        self._answers = answers
        self._tasks = tasks

    def __repr__(self) -> str:
        return f"<Answerer {b' '.join(self._answers.by_path).decode()}>"

    def begin(self, exchange: Exchange) -> ExchangeReceiver | None:
        """Take a request once its body is there, or refuse it."""
        answers, request = self._answers, exchange.request
        handler = answers.by_path.get(request.target.partition(b"?")[0])
        if handler is None:
            _send(exchange, Answer("404: there is nothing here\n", status=404))
            return None
        if request.method not in answers.methods:
            _send(
                exchange, Answer("405: not with this method\n", status=405), [(b"Allow", b", ".join(answers.methods))]
            )
            return None

        def ask(body: bytes) -> None:
            self._tasks.create_task(_answer(exchange, handler, Question(body, exchange.peer)))

        too_large = Answer(f"413: more than {answers.max_body} bytes\n", status=413)
        return CollectedBody(exchange, answers.max_body, ask, lambda _: _send(exchange, too_large)).begin()

    def reject(self, peer: str, rejection: RequestRejected, request: RequestHead | None) -> tuple[int, Headers, bytes]:
        """Say how a request is answered that broke HTTP's rules."""
        del peer, request
        return 400, [(b"Content-Type", TEXT)], f"400: {rejection.reason}\n".encode()


async def _answer(exchange: Exchange, handler: Handler, question: Question) -> None:
    try:
        answer = await handler(question)
    except Exception:  # a bug in one answer must not end the program
        log.exception("answer_failed", target=exchange.request.target.decode("latin-1"))
        answer = Answer("500: this failed; see the program's log\n", status=500)
    _send(exchange, answer)


def _send(exchange: Exchange, answer: Answer, headers: Headers | None = None) -> None:
    body = answer.text.encode()
    exchange.respond(answer.status, [(b"Content-Type", answer.content_type), *(headers or [])], len(body))
    exchange.write(body)
    exchange.finish()


async def serve_answers(
    listening: socket.socket,
    answers: Answers,
    sweeper: Sweeper,
    started: Callable[[], None],
    protocol: type[ServerProtocol] = ServerProtocol,
) -> None:
    """Answer on a bound socket until cancelled; calls `started` once it listens. What is under way then is cut off."""
    sockets = OpenSockets()
    async with asyncio.TaskGroup() as tasks:
        answerer = Answerer(answers, tasks)
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol(answerer, LIMITS, sweeper, sockets), sock=listening, backlog=BACKLOG
        )
        try:
            started()
            await asyncio.Event().wait()  # no deadline: this is the listener's whole life
        finally:
            server.close()
            sockets.abort()
            await asyncio.sleep(0)  # the loop closes them in its next turn, and may have none after that
