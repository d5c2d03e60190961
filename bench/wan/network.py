"""Two network namespaces with a line between them that has a delay, loss, a rate and a queue (`wanemu.c`).

    with wide_area(folder, Line(delay_ms=25)) as wan:
        with inside(wan.near): ...   # callers, gateway
        with inside(wan.far): ...    # agent, upstream
        wan.say("loss 0.5")

Needs root, iproute2, /dev/net/tun and a C compiler; raises `LabUnavailable` otherwise.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.namespaces import LabUnavailable, ip, namespace

NEAR, FAR = "198.51.100.1", "198.51.100.2"
SOURCE = Path(__file__).with_name("wanemu.c")
_numbers = itertools.count()
QUEUE_PACKETS = 3000
"""Of each end's device: the emulator takes packets in bursts, and a full device would be loss that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: half a round trip in ms, loss in percent, Mbit/s (0: as fast as the machine), congestion control."""

    delay_ms: float = 25
    loss: float = 0
    rate_mbit: float = 0
    congestion: str = "cubic"
    queue_kb: int = 1024

    @property
    def round_trip(self) -> float:
        """Milliseconds."""
        return 2 * self.delay_ms

    def options(self) -> list[str]:
        """Return it as arguments of the emulator."""
        figures = {"delay-ms": self.delay_ms, "loss": self.loss, "rate-mbit": self.rate_mbit, "queue-kb": self.queue_kb}
        return [word for name, value in figures.items() for word in (f"--{name}", f"{value:g}")]


class Wan:
    """The two namespaces, and the running emulator between them."""

    def __init__(self, near: str, far: str, emulator: "subprocess.Popen[str]") -> None:
        self.near = near
        self.far = far
        self._emulator = emulator

    def say(self, command: str) -> None:
        """Change the line while it runs: the commands are in the emulator's head comment."""
        assert self._emulator.stdin is not None
        self._emulator.stdin.write(f"{command}\n")
        self._emulator.stdin.flush()


def why_not() -> str | None:
    """Return why there can be no line on this machine; None when there can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    missing = [tool for tool in ("ip", "cc") if shutil.which(tool) is None]
    return f"{' and '.join(missing)} not found (Debian: iproute2, gcc)" if missing else None


def congestion_controls() -> set[str]:
    """Return what this kernel has."""
    return set(Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split())


@contextmanager
def wide_area(folder: Path, line: Line) -> Iterator[Wan]:
    """Make the namespaces and the line, and remove them at the end; raises `LabUnavailable`."""
    if reason := why_not():
        raise LabUnavailable(reason)
    program = _compiled(folder)
    with ExitStack() as stack:
        prefix = f"jtw{os.getpid()}-{next(_numbers)}"
        near, far = (stack.enter_context(namespace(f"{prefix}-{each}")) for each in ("near", "far"))
        wan = Wan(near, far, stack.enter_context(_emulator(program, near, far, line)))
        for name, own, peer in ((near, NEAR, FAR), (far, FAR, NEAR)):
            ip("-n", name, "addr", "add", own, "peer", peer, "dev", "wan0")
            ip("-n", name, "link", "set", "wan0", "up", "txqueuelen", str(QUEUE_PACKETS))
            # Of the route: the machine's own default is not touched. Locked, so that nobody asks for another one.
            lock = [] if line.congestion == "bbr" else ["lock"]
            ip("-n", name, "route", "replace", peer, "dev", "wan0", "src", own, "congctl", *lock, line.congestion)
        yield wan


def _compiled(folder: Path) -> Path:
    program = folder / "wanemu"
    done = subprocess.run(
        ["cc", "-O2", "-o", str(program), str(SOURCE)], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise LabUnavailable(f"the emulator does not compile: {done.stderr[-400:]}")
    return program


@contextmanager
def _emulator(program: Path, near: str, far: str, line: Line) -> Iterator["subprocess.Popen[str]"]:
    places = ["--ns-a", f"/run/netns/{near}", "--ns-b", f"/run/netns/{far}"]
    with subprocess.Popen(
        [str(program), *places, *line.options()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as emulator:
        try:
            assert emulator.stdout is not None
            if emulator.stdout.readline().strip() != "ready":
                raise LabUnavailable("the emulator did not start")
            yield emulator
        finally:
            emulator.terminate()
