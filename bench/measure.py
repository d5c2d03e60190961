"""How requests and bulk are measured: with wrk and curl, beside the CPU of the processes that carry them.

One connection per request is wrk with `Connection: close`: it opens a new connection after each whole answer, counts
only whole answers, and counts as errors what could not be opened. Its latency begins when the request is written, so
what opening costs is in the requests per second and not in p50 and p99.
"""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from bench.place import LOOPBACK, Place
from bench.processes import cpu_seconds

BULK_SECONDS = 120.0
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """One run of wrk: latencies in ms, CPU in microseconds per request and program."""

    requests_per_second: float
    p50: float
    p99: float
    errors: int
    cpu: dict[str, float]


@dataclass(frozen=True)
class Request:
    """What wrk asks for, again and again, from a place."""

    url: str
    headers: tuple[str, ...] = ()
    keep_alive: bool = True
    place: Place = field(default=LOOPBACK)
    ca: Path | None = None  # of an https URL; curl checks with it, wrk never checks

    def command(self, callers: int, seconds: float) -> list[str]:
        """Return wrk's command line."""
        threads = 1 if callers < 64 else 2
        command = [
            "wrk",
            "-t",
            str(threads),
            "-c",
            str(callers),
            "-d",
            f"{seconds:g}s",
            "--latency",
            "--timeout",
            "10s",
        ]
        for header in self.headers if self.keep_alive else (*self.headers, "Connection: close"):
            command += ["-H", header]
        return [*self.place.prefix, *command, self.url]


def load(request: Request, callers: int, seconds: float, pids: dict[str, list[int]]) -> Load:
    """Run wrk with so many callers.

    Raises:
        subprocess.CalledProcessError: wrk failed.
        ValueError: its report is not understood.
    """
    before = {name: cpu_seconds(ids) for name, ids in pids.items()}
    done = subprocess.run(
        request.command(callers, seconds), capture_output=True, text=True, check=True, timeout=seconds + 60
    )
    spent = {name: cpu_seconds(ids) - before[name] for name, ids in pids.items()}
    return read_report(done.stdout, spent)


def read_report(text: str, spent: dict[str, float]) -> Load:
    """Read what wrk prints; `spent` are the CPU seconds of the programs meanwhile.

    Raises:
        ValueError: a figure is missing.
    """
    total = int(_find(r"(\d+) requests in", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = sum(int(count) for count in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    return Load(
        requests_per_second=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        p50=_milliseconds(_find(r"\n\s+50%\s+(\S+)", text)),
        p99=_milliseconds(_find(r"\n\s+99%\s+(\S+)", text)),
        errors=(int(bad[1]) if bad else 0) + broken,
        cpu={name: seconds * 1e6 / max(total, 1) for name, seconds in spent.items()},
    )


def download(request: Request) -> float:
    """Return MB/s of one whole download."""
    return _curl(request, "speed_download")


def upload(request: Request, body: Path) -> float:
    """Return MB/s of one whole upload by POST."""
    more = ("Content-Type: application/octet-stream", "X-Atlassian-Token: no-check", "Expect:")
    return _curl(request, "speed_upload", *more, options=("-X", "POST", "-T", str(body)))


def _curl(request: Request, figure: str, *headers: str, options: tuple[str, ...] = ()) -> float:
    command = [*request.place.prefix, "curl", "-sS", "-f", "-o", "/dev/null", "-w", f"%{{{figure}}}", *options]
    for header in (*request.headers, *headers):
        command += ["-H", header]
    if request.ca:
        command += ["--cacert", str(request.ca)]
    done = subprocess.run([*command, request.url], capture_output=True, text=True, check=True, timeout=BULK_SECONDS)
    return float(done.stdout) / 1e6


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"{pattern!r} is not in: {text}")
    return match[1]


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _UNITS[match[2]]
