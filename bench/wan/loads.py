"""What is measured on a line. All of it comes from the near end, and each load ends by itself."""

import random
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import answers
from bench.measure import Load, Request, load
from bench.wan.site import Site, System
from bench.wan.upstream import BULK, BULK_BYTES, ENDLESS, ENDLESS_BYTES
from tests.lab.namespaces import inside

DOWN, UP = "down", "up"
_PATIENCE_SECONDS = 20.0
_BULK_SECONDS = 60.0
_UPLOAD = ("Content-Type: application/octet-stream", "X-Atlassian-Token: no-check", "Expect:")


@dataclass(frozen=True, slots=True)
class Spans:
    """Latencies of single requests, in ms."""

    p50: float
    p99: float
    count: int


def spans(seconds: list[float]) -> Spans:
    """Sum up latencies; raises ValueError when nothing was measured."""
    if not seconds:
        raise ValueError("no request came to its end")
    ordered = sorted(1000 * each for each in seconds)
    return Spans(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], len(ordered))


class Caller:
    """A blocking HTTP caller with one connection, which asks for the small answer."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._socket: socket.socket | None = None

    def ask(self) -> float:
        """Return the seconds until the answer was complete, those of connecting included where that was needed."""
        began = time.perf_counter()
        if self._socket is None:
            address = self._system.host, self._system.port
            self._socket = socket.create_connection(address, timeout=_PATIENCE_SECONDS)
        self._socket.sendall(self._system.small)
        self._read(self._socket)
        return time.perf_counter() - began

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()

    def _read(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1] != b"200":
            raise OSError(f"{self._system.name} answered {head[:80]!r}")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        while len(body) < int(length[1]) if length else not body.endswith(b"\r\n0\r\n\r\n"):
            body += self._more(connection)

    def _more(self, connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        if not data:
            raise OSError(f"{self._system.name} cut an answer")
        return data


def fresh(site: Site, system: System, count: int) -> Spans:
    """Ask `count` times, each time on a new connection."""
    found = []
    with inside(site.wan.near):
        for _ in range(count):
            caller = Caller(system)
            found.append(caller.ask())
            caller.close()
    return spans(found)


def steady(site: Site, system: System, seconds: float, callers: int = 4, pause: float = 0.03) -> Spans:
    """Let a few callers ask now and then on connections that they keep; the first request of each does not count.

    Raises:
        OSError: one was not answered.
    """
    found: list[float] = []
    problems: list[OSError] = []
    end = time.monotonic() + seconds

    def work() -> None:
        with inside(site.wan.near):
            caller = Caller(system)
            try:
                caller.ask()
                while time.monotonic() < end:
                    time.sleep(random.uniform(0, 2 * pause))
                    found.append(caller.ask())
            except OSError as error:
                problems.append(error)
            caller.close()

    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return spans(found)


def many(site: Site, system: System, callers: int, seconds: float) -> Load:
    """Run wrk with so many callers, each on a connection that it keeps."""
    return load(Request(system.url(answers.SMALL), system.headers, place=site.caller), callers, seconds, {})


def transfer(site: Site, system: System, direction: str, folder: Path) -> float:
    """Return MB/s of 64 MiB, connecting and the whole answer included; 0 when it took more than a minute."""
    command = _curl(site, system, direction, folder, endless=False)
    done = subprocess.run([*command, "-w", "%{time_total}"], capture_output=True, text=True, check=False)
    if done.returncode == 28:  # curl's time is up
        return 0.0
    done.check_returncode()
    return BULK_BYTES / 1e6 / float(done.stdout)


@contextmanager
def endless(site: Site, system: System, direction: str, folder: Path) -> Iterator[None]:
    """Keep a transfer going for the block; raises RuntimeError when it ended before."""
    command = _curl(site, system, direction, folder, endless=True)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
            if process.poll() is not None and process.stderr is not None:
                raise RuntimeError(f"{system.name}, {direction}: the transfer ended: {process.stderr.read()}")
        finally:
            process.terminate()


def _curl(site: Site, system: System, direction: str, folder: Path, *, endless: bool) -> list[str]:
    headers = (*system.headers, *(_UPLOAD if direction == UP else ()))
    command = [*site.caller.prefix, "curl", "-sS", "-f", "-o", "/dev/null", "--max-time", f"{_BULK_SECONDS:g}"]
    command += [word for header in headers for word in ("-H", header)]
    if direction == DOWN:
        return [*command, system.url(ENDLESS if endless else BULK)]
    body = _body(folder, ENDLESS_BYTES if endless else BULK_BYTES)
    return [*command, "-X", "POST", "-T", str(body), system.url(answers.UPLOAD)]


def _body(folder: Path, size: int) -> Path:
    body = folder / f"body-{size}"
    with body.open("ab") as file:
        file.truncate(size)
    return body


def moved(site: Site, direction: str) -> int:
    """Return the bytes that this direction of the line has carried until now."""
    with inside(site.wan.near if direction == DOWN else site.wan.far):
        rows = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return int(next(row for row in rows if "wan0:" in row).split(":")[1].split()[0])
