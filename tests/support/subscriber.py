"""A subscriber for tests: takes what is posted, answers as told, and remembers everything.

    async with Subscriber() as subscriber:                    # or Subscriber(tls=make_certificate(tmp_path))
        subscriber.script = [Answer(500), Answer(cut=True)]   # then `subscriber.usual`, a 200
        ... deliver to subscriber.url ...
        await subscriber.wait_for(3)
        assert subscriber.received[2].headers["webhook-id"]

As a process (`python -m tests.support.subscriber`) it prints one line of JSON with its address, and answers below
`/_control/`: GET `received` (what came), DELETE `received` (forget it), PUT `script` (a JSON list of fields of Answer).
"""

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

from tests.support.fake_jira.tls import TlsFiles, make_certificate, server_context

CONTROL = "/_control/"
MAX_BODY = 64 << 20


@dataclass(frozen=True)
class Answer:
    """One answer. `cut`: half of it, then the socket closes; `close`: nothing, and it closes; `silent`: never."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    delay: float = 0.0
    cut: bool = False
    close: bool = False
    silent: bool = False


@dataclass(frozen=True)
class Received:
    """One request. Names of headers are in lower case; `socket` counts connections."""

    at: datetime
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    socket: int

    @property
    def document(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Subscriber:
    """A small HTTP server. `decide`, when given, is asked for each request before the script is."""

    def __init__(
        self,
        *,
        tls: TlsFiles | None = None,
        host: str = "127.0.0.1",
        decide: Callable[[Received], Answer | None] = lambda _: None,
    ) -> None:
        self.received: list[Received] = []
        self.script: list[Answer] = []
        self.usual = Answer()
        self.sockets = 0
        self.under_way = 0
        self.most_under_way = 0
        self.port = 0
        self._decide = decide
        self._tls = tls
        self._host = host
        self._open: set[asyncio.StreamWriter] = set()
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def origin(self) -> str:
        return f"http{'s' if self._tls else ''}://{self._host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/hook"

    @property
    def ids(self) -> list[str]:
        """The ids of all that came, in order."""
        return [one.headers.get("webhook-id", "") for one in self.received]

    async def __aenter__(self) -> Self:
        context = None if self._tls is None else server_context(self._tls.cert, self._tls.key)
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=context, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.drop()
        async with asyncio.timeout(10):
            while self._open:
                self._ended.clear()
                await self._ended.wait()

    def drop(self) -> None:
        """Close every socket at once."""
        for writer in list(self._open):
            writer.transport.abort()

    async def wait_for(self, count: int, seconds: float = 30.0) -> None:
        """Wait until so many requests came."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sockets += 1
        number = self.sockets
        self._open.add(writer)
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            self._open.discard(writer)
            writer.close()
            self._ended.set()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: int) -> bool:
        request = await self._read(reader, socket)
        if request.path.startswith(CONTROL):
            self._send(writer, Answer(body=self._control(request)))
            return True
        answer = self._decide(request) or (self.script.pop(0) if self.script else self.usual)
        self.received.append(request)
        self._arrived.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if answer.delay:
                await asyncio.sleep(answer.delay)
            if answer.silent:
                await reader.read()  # until the client gives up
                return False
        finally:
            self.under_way -= 1
        if not answer.close:
            self._send(writer, answer)
            await writer.drain()
        return not (answer.close or answer.cut)

    async def _read(self, reader: asyncio.StreamReader, socket: int) -> Received:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
        length = int(headers.get("content-length", 0))
        assert length <= MAX_BODY
        return Received(datetime.now(UTC), method, path, headers, await reader.readexactly(length), socket)

    def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        body = answer.body.encode()
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = ""
        lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in answer.headers.items())]
        length = len(body) + 10 if answer.cut else len(body)
        lines.append(f"Content-Length: {length}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def _control(self, request: Received) -> str:
        if request.method == "DELETE":
            self.received.clear()
        if request.method == "PUT":
            self.script = [Answer(**fields) for fields in request.document]
        return json.dumps([_shown(one) for one in self.received])


def _shown(one: Received) -> dict[str, Any]:
    return asdict(one) | {"at": one.at.isoformat(), "body": base64.b64encode(one.body).decode()}


async def _main(directory: Path | None) -> None:
    tls = None if directory is None else make_certificate(directory)
    async with Subscriber(tls=tls) as subscriber:
        found = {"url": subscriber.url, "control": subscriber.origin + CONTROL, "ca": str(tls.ca) if tls else None}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tls", type=Path, metavar="DIRECTORY", help="speak TLS, with a new certificate written there")
    try:
        asyncio.run(_main(parser.parse_args().tls))
    except KeyboardInterrupt:
        sys.exit(130)
