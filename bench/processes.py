"""What /proc says of the programs that are measured: their children, CPU, memory, and whether they listen."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LISTENING = "0A"


def descendants(pid: int) -> list[int]:
    """Return this process and all below it, by id."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields:
                parents[int(folder.name)] = int(fields[1])
    found = [pid]
    for parent in found:
        found += sorted(child for child, of in parents.items() if of == parent)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of these processes together; one that has ended counts nothing."""
    return sum((int(fields[11]) + int(fields[12])) / _TICKS for fields in map(_stat, pids) if fields)


class Others:
    """What programs other than this one and those below it use of the machine's CPU, from now on."""

    def __init__(self) -> None:
        self._began, self._foreign = time.monotonic(), busy_seconds() - own_seconds()

    def share(self) -> float:
        """Return their part of all cores' time so far, 0 to 1; to be asked before a program below has ended."""
        cores = len(os.sched_getaffinity(0))
        used = busy_seconds() - own_seconds() - self._foreign
        return max(0.0, used / (time.monotonic() - self._began) / cores)


def busy_seconds() -> float:
    """Return what all cores worked since the machine started: user, nice, system, interrupts (proc_stat(5))."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[index]) for index in (0, 1, 2, 5, 6)) / _TICKS


def own_seconds() -> float:
    """Return the CPU of this process and all below it, also of those that have ended and were waited for."""
    stats = map(_stat, descendants(os.getpid()))
    return sum(sum(map(int, fields[11:15])) for fields in stats if fields) / _TICKS


def rss_mib(pids: Iterable[int]) -> float:
    """Return the resident memory of these processes together (pages that they share count once for each)."""
    return sum(_rss_kib(pid) for pid in pids) / 1024


def settle(pids: Iterable[int], seconds: float = 1.0) -> float:
    """Let processes come to rest; return their resident memory in MiB."""
    time.sleep(seconds)
    return rss_mib(pids)


def listens(pid: int, port: int) -> bool:
    """Tell whether anything in this process's network namespace listens on a TCP port of IPv4."""
    try:
        rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return False
    wanted = f":{port:04X}"
    return any(fields[1].endswith(wanted) and fields[3] == _LISTENING for fields in map(str.split, rows))


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's stat from its state on; none when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _rss_kib(pid: int) -> int:
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
