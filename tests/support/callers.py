"""Callers for end-to-end tests: raw sockets that send exactly what a test says and tell exactly what came back.

Synchronous and threaded on purpose: what is tested is asyncio, so the callers are not. Nothing is repaired,
retried or followed. `Caller` keeps one socket; `ask` is one request on a socket of its own; `say` sends raw bytes.
"""

import base64
import hashlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

CHUNK = 64 * 1024
KEEP = 1024 * 1024  # of an answer's body; more is only counted and hashed

T = TypeVar("T")
R = TypeVar("R")
Body = bytes | Iterable[bytes]
Headers = Sequence[tuple[str, str]]


@dataclass
class Reply:
    """What one caller saw. `status` 0: no head of an answer; `whole`: the answer came to its proper end."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    size: int = 0
    sha256: str = ""
    whole: bool = False
    head_seconds: float = 0.0
    seconds: float = 0.0
    will_close: bool = True
    problem: str = ""

    def header(self, name: str) -> str:
        """The header's value; "" when it is absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Tunnel-Error."""
        return self.header("Tunnel-Error")

    @property
    def processed(self) -> str:
        """Tunnel-Processed."""
        return self.header("Tunnel-Processed")

    def __str__(self) -> str:
        return f"{self.status} {self.headers} {self.body[:300]!r} {self.problem}"


def bearer(token: str) -> tuple[str, str]:
    """The header of a bearer token."""
    return ("Authorization", f"Bearer {token}")


def basic(user: str, password: str) -> tuple[str, str]:
    """The header of Basic authentication."""
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


class Caller:
    """One keep-alive socket of one caller. Sends the target as it is, without any encoding of its own."""

    def __init__(self, url: str, headers: Headers = (), *, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.prefix = parts.path.rstrip("/").encode()
        self.headers = list(headers)
        self.timeout = timeout
        self.socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def send(
        self,
        method: str,
        target: bytes | str,
        body: Body | None = None,
        headers: Headers = (),
        *,
        length: int | None = None,
    ) -> "PendingReply":
        """Send a request and return at once; bytes are sent with their length, iterables chunked unless `length`."""
        self.socket = self.socket or socket.create_connection((self.host, self.port), timeout=self.timeout)
        raw = target.encode() if isinstance(target, str) else target
        if isinstance(body, bytes):
            length = len(body)
        head = head_bytes(method, self.prefix + raw, self.host, [*self.headers, *headers], body is not None, length)
        pending = PendingReply(self, self.socket, method)
        if body is None:
            self.socket.sendall(head)
        elif isinstance(body, bytes) and len(body) <= CHUNK:
            self.socket.sendall(head + body)
        else:
            pending.upload(head, pieces(body) if isinstance(body, bytes) else body, chunked=length is None)
        return pending

    def ask(
        self,
        method: str,
        target: bytes | str,
        body: Body | None = None,
        headers: Headers = (),
        *,
        length: int | None = None,
    ) -> Reply:
        """Send a request and wait for what comes of it."""
        return self.send(method, target, body, headers, length=length).read()


class PendingReply:
    """The answer that is on its way to a `Caller`."""

    def __init__(self, caller: Caller, sock: socket.socket, method: str) -> None:
        self._caller = caller
        self._socket = sock
        self._method = method
        self._began = time.monotonic()
        self._writer: threading.Thread | None = None

    def upload(self, head: bytes, body: Iterable[bytes], *, chunked: bool) -> None:
        """Send head and body in a thread, because the answer may have to be read meanwhile."""

        def work() -> None:
            try:
                self._socket.sendall(head)
                for piece in body:
                    self._socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if chunked:
                    self._socket.sendall(b"0\r\n\r\n")
            except OSError:
                pass  # the answer, or that there is none, is what the test looks at

        self._writer = threading.Thread(target=work, daemon=True)
        self._writer.start()

    def read(self, take: Callable[[bytes], object] | None = None) -> Reply:
        """Wait for the answer and read it to its end; never raises for what the other side does.

        `take` gets the body piece by piece instead of it being kept and hashed.
        """
        reply = Reply()
        response = http.client.HTTPResponse(self._socket, method=self._method)
        try:
            response.begin()
            reply.status, reply.headers = response.status, response.getheaders()
            reply.head_seconds = time.monotonic() - self._began
            _read_body(response, reply, take)
            reply.will_close = response.will_close
            reply.whole = True
        except (OSError, http.client.HTTPException) as error:
            reply.problem = repr(error)
        reply.seconds = time.monotonic() - self._began
        response.close()
        if self._writer is not None:
            self._writer.join(self._caller.timeout)
        if reply.will_close:
            self._caller.close()
        return reply


def _read_body(response: http.client.HTTPResponse, reply: Reply, take: Callable[[bytes], object] | None = None) -> None:
    digest = hashlib.sha256()
    kept: list[bytes] = []
    try:
        while data := response.read(CHUNK if take is None else 4 * CHUNK):
            reply.size += len(data)
            if take is not None:
                take(data)
                continue
            digest.update(data)
            if reply.size <= KEEP:
                kept.append(data)
    finally:
        reply.body, reply.sha256 = b"".join(kept), digest.hexdigest()
    if response.length:  # read(n) of a body that ends early does not complain
        raise http.client.IncompleteRead(b"", response.length)


def head_bytes(
    method: str, target: bytes, host: str, headers: Headers, has_body: bool = False, length: int | None = None
) -> bytes:
    """A request's head as it goes over the wire."""
    lines = [f"{method} ".encode() + target + b" HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(f"Host: {host}".encode())
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers]
    if has_body:
        lines.append(b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"", b""])


def pieces(data: bytes, size: int = CHUNK) -> Iterator[bytes]:
    """The data in pieces."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def ask(
    url: str,
    method: str,
    target: bytes | str,
    body: Body | None = None,
    headers: Headers = (),
    *,
    timeout: float = 30.0,
) -> Reply:
    """One request on a socket of its own."""
    with Caller(url, headers, timeout=timeout) as caller:
        return caller.ask(method, target, body)


def say(port: int, data: bytes, *, timeout: float = 15.0) -> list[Reply]:
    """Send raw bytes to a loopback port; return every answer until the other side closes or `timeout` passes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.sendall(data)
        replies: list[Reply] = []
        with sock.makefile("rb") as stream:
            while True:
                reply = Reply()
                response = http.client.HTTPResponse(_Stream(stream))  # type: ignore[arg-type] # all it uses of a socket
                try:
                    response.begin()
                    reply.status, reply.headers = response.status, response.getheaders()
                    _read_body(response, reply)
                except (OSError, http.client.HTTPException):
                    return replies
                reply.whole, reply.will_close = True, response.will_close
                replies.append(reply)
                if reply.will_close:
                    return replies


class _Stream:
    """A socket whose answers are read one after the other through one buffer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> Any:
        return _Unclosed(self._stream)


class _Unclosed:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """Stay open: the next answer comes through the same buffer."""


def all_at_once(work: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """Do the work for every item, in this many threads; raises what the first failure raised."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))
