"""The programs as a package would put them, from these sources: for machines of the lab without a package.

/opt/jira-agent/bin/jira-agent and /opt/jira-gateway/bin/jira-gateway on the machine's own Python, units, users, and
folders. Dependencies come from the lock, for that Python, and are kept in the lab's cache.
"""

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab.machine import Machine, cache
from tests.lab.namespaces import LabUnavailable
from tests.support.stack import PROJECT

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
SOURCES, DEPENDENCIES = "/opt/jira-tunnel/sources", "/opt/jira-tunnel/dependencies"
_SCRIPT = """#!/opt/{program}/bin/python3 -B
import sys
from {package}.__main__ import main
sys.exit(main())
"""


def dependencies(release: str) -> Path:
    """Return a folder with the programs' dependencies for this release's Python; fetched when it is not there."""
    lock = PROJECT / "requirements" / "gateway.lock"
    python = PYTHONS[release]
    folder = cache() / f"dependencies-{python}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"dependencies-{python}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not folder.exists():
            half = Path(tempfile.mkdtemp(dir=cache()))
            wanted = ["--python-version", python, "--only-binary", ":all:", "--require-hashes", "--no-deps"]
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--target",
                str(half),
                *wanted,
                "-r",
                str(lock),
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                raise LabUnavailable(f"no dependencies for Python {python}: {done.stderr[-400:]}")
            half.chmod(0o755)
            half.rename(folder)
    return folder


def binds(release: str) -> list[tuple[Path, str]]:
    """Return what a machine has to see of this one (`machine(binds=...)`)."""
    return [(PROJECT, SOURCES), (dependencies(release), DEPENDENCIES)]


def install(machine: Machine) -> None:
    """Put programs, units, users and folders into a machine; nothing is enabled or started."""
    for program, package in (("jira-agent", "agent"), ("jira-gateway", "gateway")):
        place = f"/opt/{program}"
        machine.write(f"{place}/bin/{program}", _SCRIPT.format(program=program, package=package), 0o755)
        machine.must(f"ln -sf /usr/bin/python3 {place}/bin/python3")
        machine.write(f"{place}/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
        python = machine.must("basename $(realpath /usr/bin/python3)").strip()
        machine.write(f"{place}/lib/{python}/site-packages/lab.pth", f"{SOURCES}\n{DEPENDENCIES}\n")
        machine.must(f"ln -sf /opt/{program}/bin/{program} /usr/bin/{program}")
        machine.must(["mkdir", "-p", f"/etc/{program}", "/etc/credstore", "/etc/credstore.encrypted"])
    units = PROJECT / "systemd"
    for unit in [*units.glob("*.service"), *units.glob("*.socket")]:
        machine.write(f"/usr/lib/systemd/system/{unit.name}", unit.read_bytes())
    for folder in ("sysusers.d", "tmpfiles.d"):
        for file in (units / folder).glob("*.conf"):
            machine.write(f"/usr/lib/{folder}/{file.name}", file.read_bytes())
    machine.must("chmod 0700 /etc/credstore /etc/credstore.encrypted; systemd-sysusers && systemd-tmpfiles --create")
    machine.must("systemctl daemon-reload")
