"""One request and its answer: decoding the body's framing on the way in, writing framing on the way out.

Knows HTTP/1.1 and the recording, not Jira. A `Distortion` makes the way out misbehave.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from tests.support.fake_jira.recording import RecordedRequest
from tests.support.fake_jira.tomcat import Head
from tests.support.fake_jira.wire import Disconnected, WireConnection

SWALLOW_LIMIT = 2 * 1024 * 1024  # Tomcat's maxSwallowSize
JSON_TYPE = "application/json;charset=UTF-8"
HTML_TYPE = "text/html;charset=UTF-8"

Body = bytes | Iterable[bytes | memoryview] | AsyncIterator[bytes]


@dataclass(slots=True)
class Answer:
    """What to send back. `length` None means chunked (or none at all for a status without a body)."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: Body = b""
    length: int | None = None
    close: bool = False
    plain: bool = False  # True: none of Jira's own headers are added

    @classmethod
    def json(cls, value: object, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> "Answer":
        """JSON, chunked, with Jira's exact spelling of the content type."""
        return cls(status, [("Content-Type", JSON_TYPE), *headers], json.dumps(value).encode())

    @classmethod
    def text(cls, text: str, status: int = 200, content_type: str = HTML_TYPE) -> "Answer":
        """Text with a length."""
        body = text.encode()
        return cls(status, [("Content-Type", content_type)], body, len(body))

    @classmethod
    def empty(cls, status: int = 204, headers: Iterable[tuple[str, str]] = ()) -> "Answer":
        """No body; a status that could have one says Content-Length: 0."""
        return cls(status, list(headers), b"", None if status in {204, 304} else 0)


@dataclass(slots=True)
class Distortion:
    """How the body of an answer goes wrong; positions in bytes of the body, times in seconds."""

    cut_after: int | None = None
    stall_after: int | None = None
    declared_length: int | None = None
    reset: bool = False
    drip: tuple[int, float] | None = None  # (bytes, seconds between them)


class Request:
    """One request while it is being answered."""

    def __init__(self, connection: WireConnection, head: Head, record: RecordedRequest) -> None:
        self.connection = connection
        self.head = head
        self.record = record
        self.method = head.method
        self.path = ""
        self.raw_query = b""
        self.api_version = "2"
        self.user: Any = None
        self._left = max(0, head.body)
        self._chunk_left = 0
        self._preloaded: list[bytes] = []
        self._continue_due = (head.header("expect") or "").lower() == "100-continue" and head.minor == 1
        self.body_done = head.body in {-2, 0}
        record.completed = self.body_done

    def header(self, name: str) -> str | None:
        """The first value of that name."""
        return self.head.header(name)

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded query parameters in order."""
        return parse_qsl(self.raw_query.decode("latin-1"), keep_blank_values=True)

    def parameter(self, name: str, default: str = "") -> str:
        """The first query parameter of that name."""
        return next((value for key, value in self.query if key == name), default)

    async def body(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come, without framing."""
        while self._preloaded:
            yield self._preloaded.pop(0)
        while not self.body_done:
            data = await self._read_piece()
            if data:
                yield data

    async def read_all(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.body()])

    async def json(self) -> Any:
        """The body as JSON; None when it is empty. Raises ValueError."""
        data = await self.read_all()
        return json.loads(data) if data else None

    async def preload(self, limit: int = 8 * 1024 * 1024) -> None:
        """Read the body before the resource asks for it, as far as it fits in `limit` bytes."""
        size = 0
        while not self.body_done and size < limit:
            data = await self._read_piece()
            size += len(data)
            self._preloaded.append(data)

    async def swallow(self) -> bool:
        """Read and drop what is left of the body; False when it is more than Tomcat swallows."""
        dropped = 0
        self._preloaded.clear()
        while not self.body_done:
            dropped += len(await self._read_piece())
            if dropped > SWALLOW_LIMIT:
                return False
        return True

    async def swallow_all(self) -> None:
        """Read and drop the whole body, whatever its size."""
        while not self.body_done:
            await self._read_piece()

    async def _read_piece(self) -> bytes:
        if self._continue_due:
            self._continue_due = False
            if not self.connection.has_data:
                await self.connection.write(b"HTTP/1.1 100 \r\n\r\n")
        data = await (self._read_chunked() if self.head.body == -1 else self._read_fixed())
        self.record.take_body(data)
        if self.body_done:
            self.record.completed = True
        return data

    async def _read_fixed(self) -> bytes:
        data = await self.connection.read_some(self._left)
        self._left -= len(data)
        self.body_done = self._left == 0
        return data

    async def _read_chunked(self) -> bytes:
        if self._chunk_left == 0:
            line = await self.connection.read_line()
            try:
                self._chunk_left = int(line.partition(b";")[0], 16)
            except ValueError:
                raise Disconnected from None
            if self._chunk_left == 0:
                await self._read_trailers()
                return b""
        data = await self.connection.read_some(self._chunk_left)
        self._chunk_left -= len(data)
        if self._chunk_left == 0 and await self.connection.read_line():
            raise Disconnected
        return data

    async def _read_trailers(self) -> None:
        while line := await self.connection.read_line():
            name, _, value = line.partition(b":")
            self.record.trailers.append((name, value.strip()))
        self.body_done = True

    # -- the way out

    async def send(self, answer: Answer, distortion: Distortion | None = None) -> bool:
        """Write the answer; returns whether the connection may carry another request. Raises Disconnected."""
        keep_alive = self.head.keep_alive and not answer.close
        bodiless = self.method == "HEAD" or answer.status in {204, 304}
        length = answer.length
        if distortion is not None and distortion.declared_length is not None:
            length = distortion.declared_length
        chunked = length is None and answer.status not in {204, 304} and self.head.minor == 1
        if length is None and not chunked and not bodiless:
            keep_alive = False
        head = self._encode_head(answer, length, chunked=chunked, keep_alive=keep_alive)
        self.record.status = answer.status
        if bodiless:
            await self.connection.write(head)
        elif isinstance(answer.body, bytes) and distortion is None:
            await self.connection.write(head + _frame(answer.body, chunked=chunked, last=True))
        else:
            await self.connection.write(head)
            keep_alive = await self._send_pieces(answer, distortion, chunked=chunked) and keep_alive
        return keep_alive

    async def _send_pieces(self, answer: Answer, distortion: Distortion | None, *, chunked: bool) -> bool:
        distortion = distortion or Distortion()
        async for piece in _distorted(_pieces(answer.body), distortion):
            await self.connection.write(_frame(piece, chunked=chunked, last=False))
        if distortion.stall_after is not None:
            await asyncio.Event().wait()
        if distortion.reset:
            self.connection.reset()
            raise Disconnected
        if distortion.cut_after is None and chunked:
            await self.connection.write(b"0\r\n\r\n")
        return distortion.cut_after is None and distortion.declared_length is None

    def _encode_head(self, answer: Answer, length: int | None, *, chunked: bool, keep_alive: bool) -> bytes:
        lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}"]  # Tomcat 8.5 and later: an empty reason
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        elif chunked:
            lines.append("Transfer-Encoding: chunked")
        lines.append(f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}")
        if not keep_alive:
            lines.append("Connection: close")
        elif "keep-alive" in (self.header("connection") or "").lower():
            lines += ["Keep-Alive: timeout=20", "Connection: keep-alive"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _frame(data: bytes | memoryview, *, chunked: bool, last: bool) -> bytes | memoryview:
    if not chunked:
        return data
    framed = b"%x\r\n%b\r\n" % (len(data), bytes(data)) if data else b""
    return framed + b"0\r\n\r\n" if last else framed


async def _pieces(body: Body) -> AsyncIterator[bytes | memoryview]:
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, AsyncIterator):
        async for piece in body:
            yield piece
    else:
        for part in body:
            yield part


async def _distorted(
    pieces: AsyncIterator[bytes | memoryview], distortion: Distortion
) -> AsyncIterator[bytes | memoryview]:
    end = distortion.cut_after if distortion.cut_after is not None else distortion.stall_after
    position = 0
    async for whole in pieces:
        piece: bytes | memoryview = whole if end is None else whole[: max(0, end - position)]
        position += len(piece)
        if distortion.drip is None:
            yield piece
        else:
            step, pause = distortion.drip
            for offset in range(0, len(piece), step):
                yield piece[offset : offset + step]
                await asyncio.sleep(pause)
        if end is not None and position >= end:
            return
