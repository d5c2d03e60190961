"""A caller as small as a test needs it: bytes out, one parsed answer in, nothing repaired and nothing retried.

answer = await Caller(port, token).send("GET", "/jira/hq/rest/api/2/myself")
answer.status, answer.header("Tunnel-Error"), answer.json()
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

SECONDS = 30.0
Fields = Sequence[tuple[str, str]]


class AnswerCut(Exception):
    """The socket ended before the answer did; `answer` is what came."""

    def __init__(self, answer: "Answer") -> None:
        super().__init__(f"the answer ended after {len(answer.body)} bytes")
        self.answer = answer


@dataclass
class Answer:
    """One answer. `headers` in order, names as received."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        """Return every header of that name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def outcome(self) -> tuple[int, str | None, str | None, str | None]:
        """What the error table is about: status, slug, source, processed."""
        return self.status, self.header("Tunnel-Error"), self.header("Tunnel-Source"), self.header("Tunnel-Processed")


@dataclass
class Caller:
    """Sends requests to one port of this machine, each on a socket of its own."""

    port: int
    token: str = ""
    host: str = ""

    def head(self, method: str, target: str, headers: Fields = ()) -> bytes:
        """Return a request's head, without the empty line."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host or f'127.0.0.1:{self.port}'}"]
        names = {name.lower() for name, _ in headers}
        if self.token and not names & {"authorization", "tunnel-authorization"}:
            lines.append(f"Authorization: Bearer {self.token}")
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n"

    @asynccontextmanager
    async def open(self, method: str, target: str, headers: Fields = ()) -> AsyncIterator["Waiting"]:
        """Send a head and leave the rest to the block; its end is a hang-up."""
        async with self.connected(self.head(method, target, headers) + b"\r\n", method) as waiting:
            yield waiting

    @asynccontextmanager
    async def connected(self, data: bytes, method: str = "GET") -> AsyncIterator["Waiting"]:
        """Send exactly these bytes on a new socket."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        try:
            writer.write(data)
            yield Waiting(method, reader, writer)
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def send(
        self, method: str, target: str, headers: Fields = (), body: bytes | None = None, *, chunked: bool = False
    ) -> Answer:
        """Send one request and return its whole answer."""
        fields = list(headers)
        if chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif body is not None:
            fields.append(("Content-Length", str(len(body))))
        async with asyncio.timeout(SECONDS), self.open(method, target, fields) as waiting:
            await waiting.write(body or b"", chunked=chunked)
            return await waiting.answer()

    async def raw(self, data: bytes, method: str = "GET") -> Answer:
        """Send exactly these bytes and return the answer."""
        async with asyncio.timeout(SECONDS), self.connected(data, method) as waiting:
            return await waiting.answer()


@dataclass
class Waiting:
    """A request under way on its own socket."""

    method: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, body: bytes, *, chunked: bool = False, piece: int = 65536) -> None:
        """Send a whole body."""
        for at in range(0, len(body), piece):
            part = body[at : at + piece]
            self.writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            await self.writer.drain()
        if chunked:
            self.writer.write(b"0\r\n\r\n")

    async def head(self) -> Answer:
        """Read the head of the answer."""
        while True:
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            status = int(lines[0].split(" ")[1])
            if status >= 200:
                return Answer(status, [_pair(line) for line in lines[1:]])

    async def answer(self) -> Answer:
        """Read the whole answer; raises `AnswerCut`."""
        answer = await self.head()
        if self.method == "HEAD" or answer.status in {204, 304}:
            return answer
        try:
            await self._read_body(answer)
        except asyncio.IncompleteReadError as cut:
            answer.body += cut.partial
            raise AnswerCut(answer) from None
        except ConnectionResetError:
            raise AnswerCut(answer) from None
        return answer

    async def _read_body(self, answer: Answer) -> None:
        length = answer.header("Content-Length")
        if length is not None:
            answer.body = await self.reader.readexactly(int(length))
        elif answer.header("Transfer-Encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                answer.body += (await self.reader.readexactly(size + 2))[:-2]
            while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
                answer.trailers.append(_pair(line.decode("latin-1").rstrip()))
        else:
            answer.body = await self.reader.read()

    def hang_up(self) -> None:
        """Close the socket at once."""
        self.writer.transport.abort()


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()
