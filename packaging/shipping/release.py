"""Which release is built: its version, and the one point in time that everything in it carries."""

import os
import subprocess
import time
import tomllib
from dataclasses import dataclass

from shipping.programs import PROJECT


@dataclass(frozen=True)
class Release:
    """The version as Python writes it, seconds since the epoch, and who answers for the packages."""

    version: str
    epoch: int
    maintainer: str


def read_release(version: str | None = None) -> Release:
    """Return the release of these sources: SOURCE_DATE_EPOCH counts, else the time of the last commit, else now.

    The maintainer is who builds, by Debian's variables DEBFULLNAME and DEBEMAIL; a project has no mail address.
    """
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = os.environ.get("DEBFULLNAME", "jira-tunnel maintainers")
    maintainer = f"{name} <{os.environ.get('DEBEMAIL', 'maintainers@jira-tunnel.invalid')}>"
    return Release(version or project["version"], _epoch(), maintainer)


def _epoch() -> int:
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if said:
        return int(said)
    command = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return int(time.clock_gettime(time.CLOCK_REALTIME))
