"""Wheels of the dependencies: fetched by pip against the hashes of a lock, and taken apart."""

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from shipping.locks import Target, requirements_for
from shipping.tree import File


class WheelsUnavailable(Exception):
    """Pip did not get a wheel that the lock names; the message is pip's."""


def fetch(lock: Path, target: Target, folder: Path) -> list[Path]:
    """Have the target's wheels of a lock in a folder, and nothing else; raises `WheelsUnavailable`.

    Pip checks every hash, and nothing is built: sources are refused. What an earlier build has left in the folder is
    taken when its hashes are those of the lock.
    """
    requirements = requirements_for(lock.read_text(encoding="utf-8"), target)
    if not _are_there(folder, requirements):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        _download(folder, requirements, lock, target)
    return sorted(folder.glob("*.whl"))


def _are_there(folder: Path, requirements: str) -> bool:
    known = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements))
    wheels = list(folder.glob("*.whl"))
    digests = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}
    return digests <= known and len(digests) == requirements.count("==")


def _download(folder: Path, requirements: str, lock: Path, target: Target) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text(requirements, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", target.python]
    command += [word for platform in target.platforms for word in ("--platform", platform)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WheelsUnavailable(f"{lock.name} for Python {target.python} on {target.machine}: {done.stderr.strip()}")
    wanted.unlink()


def unpacked(wheel: Path) -> Iterator[tuple[str, File]]:
    """Yield the files of a wheel by their path below site-packages; scripts are left out.

    Raises ValueError for a wheel that would put files elsewhere: none of ours does.
    """
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            first, _, rest = entry.filename.partition("/")
            if entry.is_dir() or (first.endswith(".data") and rest.startswith("scripts/")):
                continue
            if first.endswith(".data") or ".." in entry.filename.split("/") or entry.filename.startswith("/"):
                raise ValueError(f"{wheel.name} holds {entry.filename}, which does not go to site-packages")
            yield entry.filename, File(archive.read(entry), 0o644)


def name_and_licence(wheel: Path) -> tuple[str, str, str]:
    """Return a wheel's name, version and licence, as it states them."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = HeaderParser().parsestr(archive.read(metadata).decode())
    classifiers = [
        line.rpartition(" :: ")[2] for line in said.get_all("Classifier", []) if line.startswith("License ::")
    ]
    licence = said["License-Expression"] or (said["License"] or "").partition("\n")[0] or ", ".join(classifiers)
    return said["Name"], said["Version"], licence or "see its files"
