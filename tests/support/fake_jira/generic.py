"""Resources for tests under /rest/api/2/test/ (Jira has none of them): echo, sink, bytes, sleep.

They need no login, so that a test of transport needs no credentials.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.pattern import pattern_chunks
from tests.support.fake_jira.routing import Routes

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
ALL = "GET POST PUT PATCH DELETE OPTIONS"
BINARY = ("Content-Type", "application/octet-stream")


def _summary(request: Request) -> dict[str, object]:
    record = request.record
    return {
        "method": request.method,
        "target": record.target.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in record.headers],
        "trailers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in record.trailers],
        "body": {"size": record.body_size, "sha256": record.body_sha256},
    }


@routes.add(ALL, "/rest/api/2/test/echo", anonymous=True)
@routes.add(ALL, "/rest/api/2/test/echo/{rest*}", anonymous=True)
@routes.add(ALL, "/rest/api/2/test/sink", anonymous=True)
async def echo(jira: "FakeJira", request: Request, rest: str = "") -> Answer:
    async for _ in request.body():
        pass
    return Answer.json(_summary(request))


@routes.add(ALL, "/rest/api/2/test/echo-body", anonymous=True)
async def echo_body(jira: "FakeJira", request: Request) -> Answer:
    length = request.head.body if request.head.body >= 0 else None
    return Answer(200, [BINARY], request.body(), length if request.parameter("chunked") != "1" else None)


@routes.add(ALL, "/rest/api/2/test/bytes/{size}", anonymous=True)
async def pattern(jira: "FakeJira", request: Request, size: str) -> Answer:
    await asyncio.sleep(float(request.parameter("delay") or 0))
    count = int(size)
    length = None if request.parameter("chunked") == "1" else count
    return Answer(200, [BINARY], pattern_chunks(count), length, plain=request.parameter("plain") == "1")


@routes.add(ALL, "/rest/api/2/test/sleep/{seconds}", anonymous=True)
async def sleep(jira: "FakeJira", request: Request, seconds: str) -> Answer:
    await request.preload()
    await asyncio.sleep(float(seconds))
    return Answer.json({"slept": float(seconds)})


@routes.add(ALL, "/rest/api/2/test/status/{status}", anonymous=True)
async def status(jira: "FakeJira", request: Request, status: str) -> Answer:
    return Answer.empty(int(status))


@routes.add(ALL, "/rest/api/2/test/ticks/{count}", anonymous=True)
async def ticks(jira: "FakeJira", request: Request, count: str) -> Answer:
    """A chunked answer that sends `tick\\n` every `?every=` seconds."""

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(int(count)):
            yield b"tick\n"
            await asyncio.sleep(float(request.parameter("every") or 0))

    return Answer(200, [("Content-Type", "text/plain")], lines())
