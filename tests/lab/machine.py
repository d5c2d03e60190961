"""A Debian that is booted for real: systemd as process 1 in a container of systemd-nspawn (needs root).

    with machine("bookworm") as debian:            # or "trixie"
        debian.write("/etc/systemd/system/x.service", "...")
        debian.must("systemctl daemon-reload")
        assert debian.run("systemctl is-active x").stdout == "active\n"

Root file systems are made once by mmdebstrap and kept in JIRA_TUNNEL_LAB_CACHE (the user's cache folder by default); a
machine writes into an overlay of its own. It has no network but its loopback, or the namespace that is given. Everything is bounded and
cleaned up; a machine ends by a clean poweroff. Raises `LabUnavailable` where this cannot be done.
"""

import fcntl
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.namespaces import LabUnavailable

PACKAGES = "systemd,systemd-sysv,dbus,python3,iproute2,ca-certificates,procps"
BOOT_SECONDS = 40.0
POWEROFF_SECONDS = 30.0
RUN_SECONDS = 60.0
_TOOLS = ("systemd-nspawn", "nsenter", "unshare", "mount", "setpriv")
_NAMESPACES = ["-m", "-u", "-i", "-n", "-p", "-C", "--"]
_ENVIRONMENT = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8"]
_numbers = itertools.count(1)

# cgroups of version 2 only, as on the machines that this stands for, whatever this machine has; and its own
# /run/systemd, because nspawn registers itself there.
_BOOT = """
echo $$ > "$1/cgroup.procs" && shift &&
umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs none /run/systemd &&
exec systemd-nspawn "$@"
"""


def cache() -> Path:
    """Return the folder where root file systems are kept."""
    named = os.environ.get("JIRA_TUNNEL_LAB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return Path(named) if named else Path(base, "jira-tunnel", "lab")


def root_file_system(release: str) -> Path:
    """Return a folder with a small Debian of this release that nobody writes to; made when it is not there."""
    if os.geteuid() != 0:
        raise LabUnavailable("booting a machine needs root")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabUnavailable(f"{', '.join(missing)} not installed (Debian: systemd-container)")
    place = cache()
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = place / f"{release}.root"
        if not root.exists():
            archive = place / f"{release}.tar"
            if not archive.exists():
                _bootstrap(release, archive)
            half = Path(tempfile.mkdtemp(prefix=f"{release}.", dir=place))
            half.chmod(0o755)
            with tarfile.open(archive) as packed:
                packed.extractall(half, filter="fully_trusted")
            half.rename(root)
    return root


def _bootstrap(release: str, archive: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        raise LabUnavailable("mmdebstrap is not installed")
    half = archive.with_suffix(".half.tar")
    slim = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "locale")]
    command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", *slim, release, str(half)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise LabUnavailable(f"mmdebstrap {release} failed: {done.stderr[-400:]}")
    half.rename(archive)


class Machine:
    """One booted machine. Paths are those inside of it."""

    def __init__(self, name: str, root: Path, leader: int) -> None:
        self.name = name
        self.root = root
        self.leader = leader

    def run(
        self, command: str | Sequence[str], *, stdin: str | None = None, seconds: float = RUN_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside (a text is run by sh) and return the outcome."""
        return subprocess.run(
            self.words(command), input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )

    def words(self, command: str | Sequence[str]) -> list[str]:
        """Return the command line that runs a command inside, for a Popen of one's own."""
        inner = ["sh", "-c", command] if isinstance(command, str) else list(command)
        return ["nsenter", "-t", str(self.leader), *_NAMESPACES, *_ENVIRONMENT, *inner]

    def popen(self, command: str | Sequence[str]) -> "subprocess.Popen[str]":
        """Start a command inside, whose standard output is read later; the caller ends it."""
        return subprocess.Popen(self.words(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def must(self, command: str | Sequence[str], *, stdin: str | None = None, seconds: float = RUN_SECONDS) -> str:
        """Run a command that has to succeed, and return its standard output."""
        done = self.run(command, stdin=stdin, seconds=seconds)
        if done.returncode != 0:
            shown = command if isinstance(command, str) else shlex.join(command)
            raise AssertionError(f"'{shown}' ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def wait(self, command: str | Sequence[str], what: str, seconds: float = 20.0) -> str:
        """Run a command until it succeeds, and return its output; raises TimeoutError that says what did not come."""
        deadline = time.monotonic() + seconds
        while True:
            done = self.run(command)
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come about within {seconds:g} s: {done.stdout}{done.stderr}")
            time.sleep(0.1)

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file, with its folders; it belongs to root."""
        place = self.outside(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        place.chmod(mode)

    def outside(self, path: str) -> Path:
        """Return where this machine sees a path of the booted one (not /run, /tmp and /proc, which are mounts)."""
        return self.root / path.lstrip("/")

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit."""
        lines = self.must(["systemctl", "show", unit, *(f"--property={name}" for name in properties)]).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit: str) -> str:
        """Return what a unit has written."""
        return self.must(["journalctl", "--no-pager", "-o", "cat", "-u", unit])


@contextmanager
def machine(
    release: str, *, namespace: str | None = None, binds: Sequence[tuple[Path, str]] = (), arguments: Sequence[str] = ()
) -> Iterator[Machine]:
    """Boot a machine and yield it when it is up.

    Args:
        release: a release of Debian: bookworm or trixie.
        namespace: a network namespace (`ip netns`) to live in; a private one with only a loopback by default.
        binds: folders of this machine that are to be seen read-only inside, each with its place there.
        arguments: further arguments of systemd-nspawn.

    Raises:
        LabUnavailable: not root, a tool is missing, or it does not boot here.
    """
    lower = root_file_system(release)
    name = f"jt{os.getpid()}-{next(_numbers)}"
    network = "--private-network" if namespace is None else f"--network-namespace-path=/run/netns/{namespace}"
    shown = [f"--bind-ro={outside}:{inside}" for outside, inside in binds]
    with tempfile.TemporaryDirectory(prefix="jira-tunnel-lab-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        with _overlay(lower, work) as root, _cgroup(name) as group:
            with (work / "console").open("wb") as console:
                nspawn = _start(name, root, group, [network, *shown, *arguments], console)
            try:
                booted = Machine(name, root, _leader(nspawn, work / "console"))
                booted.wait(
                    "systemctl is-system-running | grep -qE 'running|degraded'", "the machine's start", BOOT_SECONDS
                )
                yield booted
            finally:
                _power_off(nspawn)


def _start(name: str, root: Path, group: Path, arguments: Sequence[str], console: object) -> "subprocess.Popen[bytes]":
    fixed = ["--boot", "-D", str(root), "--register=no", "--keep-unit", "--console=read-only", f"--machine={name}"]
    return subprocess.Popen(
        # When the test is killed, nspawn is told to end, and ends its machine in good order.
        [
            "setpriv",
            "--pdeathsig",
            "TERM",
            "unshare",
            "--mount",
            "bash",
            "-c",
            _BOOT,
            "boot",
            str(group),
            *fixed,
            *arguments,
        ],
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        start_new_session=True,
    )


@contextmanager
def _overlay(lower: Path, work: Path) -> Iterator[Path]:
    upper, scratch, root = (work / each for each in ("upper", "scratch", "root"))
    for folder in (upper, scratch, root):
        folder.mkdir()
    upper.chmod(0o755)
    options = f"lowerdir={lower},upperdir={upper},workdir={scratch}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise LabUnavailable(f"no overlay file system here: {done.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], timeout=20, check=False)


@contextmanager
def _cgroup(name: str) -> Iterator[Path]:
    mixed = Path("/sys/fs/cgroup/unified")
    group = (mixed if mixed.is_dir() else mixed.parent) / name
    try:
        group.mkdir()
    except OSError as error:
        raise LabUnavailable(f"{group} cannot be made: {error}") from None
    try:
        yield group
    finally:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _leader(nspawn: "subprocess.Popen[bytes]", console: Path) -> int:
    """Return the process that is number 1 inside."""
    deadline = time.monotonic() + BOOT_SECONDS
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    while nspawn.poll() is None and time.monotonic() < deadline:
        for child in children.read_text().split():
            with suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return int(child)
        time.sleep(0.05)
    raise LabUnavailable(f"systemd-nspawn boots nothing here: {console.read_text(errors='replace')[-600:]}")


def _power_off(nspawn: "subprocess.Popen[bytes]") -> None:
    """End the machine in good order; nspawn itself is never killed, because its systemd would live on."""
    with suppress(OSError, LabUnavailable):
        leader = int(Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()[0])
        os.kill(leader, signal.SIGRTMIN + 4)
        try:
            nspawn.wait(POWEROFF_SECONDS)
        except subprocess.TimeoutExpired:
            os.kill(leader, signal.SIGKILL)
    if nspawn.poll() is None:
        nspawn.terminate()
        nspawn.wait(POWEROFF_SECONDS)
