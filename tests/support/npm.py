"""npm packages for the tests: installed from a committed lock with `npm ci`, once, into the folder that names them."""

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

INSTALL_SECONDS = 110.0
SCRIPT_SECONDS = 60.0


def require_packages(folder: Path) -> None:
    """Install what the folder's lock names, unless that is there; skips the test without node or npm.

    Raises:
        RuntimeError: npm failed.
    """
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: the npm clients were not tried")
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    modules = folder / "node_modules"
    modules.mkdir(exist_ok=True)
    with (folder / "package-lock.json").open("rb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # test processes that run side by side install once
        stamp = modules / ".installed-lock"
        if not stamp.exists() or stamp.read_text() != lock:
            _install(folder)
            stamp.write_text(lock)


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--prefer-offline", "--no-progress"]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise RuntimeError(f"npm ci ended with {done.returncode}: {done.stderr}")


def run_script(script: Path, value: object, *, preload: Path) -> Any:
    """Run a node script that reads JSON from standard input and writes JSON; nothing is on its command line."""
    command = ["node", "--require", str(preload), str(script)]
    done = subprocess.run(
        command, input=json.dumps(value), capture_output=True, text=True, timeout=SCRIPT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
