"""Callers and a Jira that take their time: hundreds of them in one thread each, over raw sockets.

with SluggishJira() as jira, SlowCallers(stack, token) as slow:
    slow.download(500)      # each reads READ_BYTES in a second, of a body without an end
    slow.upload(500)        # each sends as much as is taken, to a Jira that reads nothing
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.metrics_page import samples
from tests.support.stack import Agent, Stack, page

LOGIN = {"JIRA_AGENT_JIRA_USERNAME": "svc.bridge", "JIRA_AGENT_JIRA_PASSWORD": "password-of-svc.bridge"}
READ_BYTES = 1024
BIG, SINK, QUICK = "/rest/api/2/big", "/rest/api/2/sink", "/rest/api/2/quick"
ENDLESS = 1 << 40
UPLOAD = 1 << 31  # the gateway takes no longer one
_CHUNK = bytes(64 * 1024)


class _Thread:
    """An event loop in a thread of its own."""

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._open()
        return self

    def __exit__(self, *exc: object) -> None:
        """End everything that runs there."""
        self.do(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def do(self, job: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine there and return its result."""
        return asyncio.run_coroutine_threadsafe(job, self.loop).result(60)

    def _open(self) -> None:
        """Start what runs from the beginning."""

    async def _end(self) -> None:
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
            await asyncio.sleep(0.05)  # whoever was at the door comes in now


class SluggishJira(_Thread):
    """Answers BIG without an end, reads nothing of what is posted to SINK, and is quick otherwise."""

    def __init__(self) -> None:
        self.sent = 0  # bytes of BIG, all together
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def _end(self) -> None:
        self._server.close()
        await super()._end()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)

    def _open(self) -> None:
        self._server = self.do(asyncio.start_server(self._arrive, "127.0.0.1", 0, backlog=2048, limit=4096))

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _arrive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._tasks.append(self.loop.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # the end of a test, or of a caller
        finally:
            writer.transport.abort()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        if BIG.encode() in head:
            await self._pour(writer)
        elif SINK.encode() in head:
            await asyncio.Event().wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")
        await writer.drain()

    async def _pour(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS)
        while True:
            writer.write(_CHUNK)
            self.sent += len(_CHUNK)
            await writer.drain()


class SlowCallers(_Thread):
    """Callers of connection `hq`. `received` counts bytes of answers, `sent` of uploads."""

    def __init__(self, stack: Stack, token: str) -> None:
        self._port = stack.api_port
        self._token = token
        self._tasks: list[asyncio.Task[None]] = []
        self.received = self.sent = 0

    @property
    def ended(self) -> int:
        """How many were cut off."""
        return sum(task.done() for task in self._tasks)

    def download(self, count: int) -> None:
        """Begin so many downloads."""
        self.do(self._begin(self._read, count))

    def upload(self, count: int) -> None:
        """Begin so many uploads."""
        self.do(self._begin(self._send, count))

    async def _until_cut(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with suppress(ConnectionError):
            await act()

    async def _begin(self, act: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
        self._tasks += [self.loop.create_task(self._until_cut(act)) for _ in range(count)]

    async def _connect(self, start: str) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await self.loop.sock_connect(sock, ("127.0.0.1", self._port))
        await self.loop.sock_sendall(sock, f"{start}Host: x\r\nAuthorization: Bearer {self._token}\r\n\r\n".encode())
        return sock

    async def _read(self) -> None:
        with await self._connect(f"GET /jira/hq{BIG} HTTP/1.1\r\n") as sock:
            while data := await self.loop.sock_recv(sock, READ_BYTES):
                self.received += len(data)
                await asyncio.sleep(1)

    async def _send(self) -> None:
        with await self._connect(f"POST /jira/hq{SINK} HTTP/1.1\r\nContent-Length: {UPLOAD}\r\n") as sock:
            while True:
                await self.loop.sock_sendall(sock, _CHUNK)
                self.sent += len(_CHUNK)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that the programs hold for requests, as their metrics tell."""

    gateway_window: float
    gateway_waiting: float  # read from callers and not sent yet, or answers that they have not taken
    gateway_budget: float
    agent_window: float
    agent_waiting: float  # read from Jira, and not sent yet
    agent_budget: float

    @classmethod
    def now(cls, stack: Stack, agent: Agent) -> "Held":
        """Ask both programs."""
        gateway, inside = (_metrics(port) for port in (stack.admin_port, agent.admin_port))
        return cls(
            gateway["jira_gateway_window_bytes"],
            gateway["jira_gateway_waiting_bytes"],
            gateway["jira_gateway_memory_budget_bytes"],
            inside["jira_agent_credit_granted_bytes"],
            inside["jira_agent_waiting_bytes"],
            inside["jira_agent_memory_budget_bytes"],
        )

    @property
    def is_within_budget(self) -> bool:
        """Whether neither program holds more than it may."""
        return (
            self.gateway_window + self.gateway_waiting <= self.gateway_budget
            and self.agent_window + self.agent_waiting <= self.agent_budget
        )


def _metrics(port: int) -> dict[str, float]:
    """Ask until there is an answer: a program that refuses hundreds at once may need more than five seconds."""
    for _ in range(5):
        status, text = page(port, "/metrics")
        if status == 200:
            return samples(text.decode())
    raise TimeoutError(f"no metrics on port {port}")


def watch_one(folder: Path, seconds: float) -> tuple[int, list[Held]]:
    """Let one caller read READ_BYTES a second of a body without an end; return what it got, and what was held."""
    with SluggishJira() as jira, Stack(folder / "stack", jira.url, log_level="warning") as stack:
        agent = stack.start_gateway().enroll("hq", **LOGIN).start_and_wait()
        with SlowCallers(stack, stack.connect("hq")) as slow:
            slow.download(1)
            held = []
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(1)
                held.append(Held.now(stack, agent))
            assert not slow.ended
            return slow.received, held
