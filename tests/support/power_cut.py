"""What is on a disk after the power went: files rebuilt from a trace of system calls, with synced bytes only.

A program runs under strace and writes `ACK <name>` to its standard output for everything that it calls safe. For each of
these moments `images` yields the folder as a disk would have it at the worst: of each file the bytes that it had at its
last fsync, and no file whose name was not synced with its folder.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,rename,link,close"
MAX_BYTES = 1 << 20  # of one call, in the trace

_LINE = re.compile(r"^(?:\[pid +)?(\d+)\]? +(\w+)\((.*)\) += (-?\d+)")
_UNFINISHED = re.compile(r"^(?:\[pid +)?(\d+)\]? +(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(?:\[pid +)?(\d+)\]? +<\.\.\. \w+ resumed>(.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class TraceUnavailable(Exception):
    """There is no strace here, or it may not trace."""


@dataclass
class Disk:
    """The files below one folder: as the programs see them, and as they would be found after a power cut."""

    folder: Path
    seen: dict[str, bytearray] = field(default_factory=dict)
    synced: dict[str, bytes] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)  # those that are on the disk
    open: dict[int, str] = field(default_factory=dict)

    def write_to(self, target: Path) -> None:
        """Make the folder as it would be found."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in self.names:
            (target / name).write_bytes(self.synced.get(name, b""))


def run_traced(command: list[str], folder: Path, trace: Path, seconds: float = 60) -> None:
    """Run a command whose files lie below `folder`; raises TraceUnavailable."""
    if shutil.which("strace") is None:
        raise TraceUnavailable("strace is not installed")
    words = ["strace", "-f", "-xx", "-s", str(MAX_BYTES), "-e", f"trace={CALLS}", "-o", str(trace), *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    if "ptrace" in done.stderr:
        raise TraceUnavailable(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert folder.exists()


def images(folder: Path, trace: Path) -> Iterator[tuple[str, Disk]]:
    """Yield each acknowledged name with the disk as of that moment."""
    disk = Disk(folder)
    for call, arguments, result in _calls(trace):
        if call == "write" and arguments.startswith("1, "):
            for line in _text(arguments).decode().splitlines():
                if line.startswith("ACK "):
                    yield line.removeprefix("ACK "), disk
        elif result >= 0:
            _apply(disk, call, arguments, result)


def _calls(trace: Path) -> Iterator[tuple[str, str, int]]:
    """Yield call, arguments and result in the order in which calls ended."""
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        unfinished, resumed = _UNFINISHED.match(line), _RESUMED.match(line)
        if unfinished:
            begun[unfinished[1]] = unfinished[2]
            continue
        whole = f"{resumed[1]} {begun.pop(resumed[1], '')}{resumed[2]}" if resumed else line
        found = _LINE.match(whole)
        if found:
            yield found[2], found[3], int(found[4])


def _apply(disk: Disk, call: str, arguments: str, result: int) -> None:
    match call:
        case "openat":
            name = _name(disk, arguments)
            if name is None:
                disk.open.pop(result, None)
                return
            disk.open[result] = name
            if name and ("O_CREAT" in arguments or name in disk.seen):
                content = disk.seen.setdefault(name, bytearray())
                if "O_TRUNC" in arguments:
                    content.clear()
        case "close":
            disk.open.pop(int(arguments), None)
        case "unlink" | "rename" | "link":
            _change_names(disk, call, arguments)
        case "pwrite64":
            number, _, rest = arguments.partition(", ")
            if name := disk.open.get(int(number)):
                _put(disk.seen[name], _text(rest), int(rest.rpartition(", ")[2]))
        case "ftruncate":
            number, _, size = arguments.partition(", ")
            if name := disk.open.get(int(number)):
                content = disk.seen[name]
                del content[int(size) :]
                content.extend(bytes(int(size) - len(content)))
        case "fsync" | "fdatasync":
            name = disk.open.get(int(arguments))
            if name == "":  # the folder itself
                disk.names = set(disk.seen)
            elif name is not None:
                disk.synced[name] = bytes(disk.seen[name])


def _change_names(disk: Disk, call: str, arguments: str) -> None:
    """Names change at once for programs, and on the disk with the folder's next sync."""
    paths = [_relative(disk, bytes.fromhex(text.replace("\\x", "")).decode()) for text in _TEXT.findall(arguments)]
    if None in paths or paths[0] not in disk.seen:
        return
    if call == "unlink":
        del disk.seen[paths[0]]
    else:
        source, target = paths
        disk.seen[target] = disk.seen[source]
        disk.synced[target] = disk.synced.get(source, b"")
        if call == "rename":
            del disk.seen[source]


def _put(content: bytearray, data: bytes, at: int) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _text(arguments: str) -> bytes:
    found = _TEXT.search(arguments)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""


def _name(disk: Disk, arguments: str) -> str | None:
    return _relative(disk, _text(arguments).decode(errors="replace"))


def _relative(disk: Disk, path: str) -> str | None:
    """Return a path below the folder, "" for the folder itself, None for one elsewhere."""
    if path.rstrip("/") == str(disk.folder):
        return ""
    return path.removeprefix(f"{disk.folder}/") if path.startswith(f"{disk.folder}/") else None
