"""POST as Jira's HTTP client sends it: sockets are kept alive by origin, nothing is followed, nothing sent twice.

Knows HTTP/1.1, not Jira.
"""

import asyncio
import itertools
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

BODY_LIMIT = 1024 * 1024  # a longer answer costs its socket

Origin = tuple[Any, ...]
Headers = list[tuple[str, str]]


@dataclass(slots=True, eq=False)
class _Socket:
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def usable(self) -> bool:
        return not self.reader.at_eof() and not self.writer.transport.is_closing()


class Sockets:
    """Idle sockets to those who were posted to. `opened` counts all that were ever opened."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[_Socket]] = {}
        self._numbers = itertools.count(1)
        self.opened = 0

    async def post(self, url: str, headers: Headers, body: bytes, tls: ssl.SSLContext | None) -> tuple[int, int]:
        """The answer's status and the number of the socket. Raises OSError, EOFError or ValueError."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        origin = (parts.hostname, parts.port or (443 if secure else 80), (tls or True) if secure else None)
        socket = self._take(origin) or await self._open(origin)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [("Host", parts.netloc.rpartition("@")[2]), *headers, ("Content-Length", str(len(body)))]
        head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
        keep = False
        try:
            socket.writer.write(head.encode("latin-1") + b"Connection: keep-alive\r\n\r\n" + body)
            await socket.writer.drain()
            status, keep = await _read_answer(socket.reader)
        finally:
            if keep:
                self._idle.setdefault(origin, []).append(socket)
            else:
                socket.writer.transport.abort()
        return status, socket.number

    def _take(self, origin: Origin) -> _Socket | None:
        idle = self._idle.get(origin, [])
        while idle:
            socket = idle.pop()
            if socket.usable:
                return socket
            socket.writer.transport.abort()
        return None

    async def _open(self, origin: Origin) -> _Socket:
        host, port, tls = origin
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        self.opened += 1
        return _Socket(next(self._numbers), reader, writer)

    def close(self) -> None:
        """Drop the idle ones."""
        for socket in itertools.chain.from_iterable(self._idle.values()):
            socket.writer.transport.abort()
        self._idle.clear()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status, and whether the socket can be used again."""
    status = 100
    while status < 200:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        status = int(lines[0].split(" ")[1])
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    keep = "close" not in fields.get("connection", "").lower() and lines[0].startswith("HTTP/1.1")
    if status in {204, 304}:
        return status, keep
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
        return status, keep
    length = int(fields.get("content-length", BODY_LIMIT + 1))
    if length > BODY_LIMIT:
        return status, False
    await reader.readexactly(length)
    return status, keep
