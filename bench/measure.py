"""What is measured and how: requests with wrk, bulk with curl, CPU and memory from /proc."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICKS = 100
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """One run of wrk: latencies in ms, CPU in microseconds per request and program."""

    requests_per_second: float
    p50: float
    p99: float
    errors: int
    cpu: dict[str, float]


def load(url: str, headers: list[str], callers: int, seconds: float, pids: dict[str, list[int]]) -> Load:
    """Run wrk with `callers` keep-alive connections."""
    threads = 1 if callers < 64 else 2
    command = ["wrk", "-t", str(threads), "-c", str(callers), "-d", f"{seconds:g}s", "--latency", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    before = {name: sum(map(cpu_seconds, ids)) for name, ids in pids.items()}
    output = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    after = {name: sum(map(cpu_seconds, ids)) for name, ids in pids.items()}
    total = int(_find(r"(\d+) requests in", output))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = sum(int(count) for count in re.findall(r"(?:connect|read|write|timeout) (\d+)", output))
    return Load(
        requests_per_second=float(_find(r"Requests/sec:\s+([\d.]+)", output)),
        p50=_milliseconds(_find(r"\n\s+50%\s+(\S+)", output)),
        p99=_milliseconds(_find(r"\n\s+99%\s+(\S+)", output)),
        errors=(int(bad[1]) if bad else 0) + broken,
        cpu={name: (after[name] - before[name]) * 1e6 / max(total, 1) for name in pids},
    )


def download(url: str, headers: list[str]) -> float:
    """Return MB/s of one whole download."""
    return _curl(url, headers, "speed_download")


def upload(url: str, headers: list[str], body: Path) -> float:
    """Return MB/s of one whole upload."""
    return _curl(url, [*headers, "Content-Type: application/octet-stream", "Expect:"], "speed_upload", "-T", str(body))


def _curl(url: str, headers: list[str], figure: str, *more: str) -> float:
    command = ["curl", "-sS", "-f", "-o", "/dev/null", "-w", f"%{{{figure}}}", *more]
    for header in headers:
        command += ["-H", header]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout) / 1e6


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(_find(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())) / 1024


def settle(pid: int, seconds: float = 1.0) -> float:
    """Let a process come to rest; return its resident memory in MiB."""
    time.sleep(seconds)
    return rss_mib(pid)


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"{pattern!r} is not in: {text}")
    return match[1]


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s)", text)
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _UNITS[match[2]]
