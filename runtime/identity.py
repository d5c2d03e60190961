"""Who a command acts as: run as root, it becomes the owner of the program's state directory.

Otherwise ``sudo jira-gateway tokens create`` would leave files behind that the service cannot read.
"""

import os
import pwd
from pathlib import Path

from runtime.configuration import ConfigurationError, service_variables


def act_as_owner(directory: Path) -> None:
    """Drop from root to the owner of `directory` when it exists and belongs to somebody else."""
    if os.geteuid() != 0 or not directory.exists():
        return
    owner = directory.stat()
    if owner.st_uid == 0:
        return
    groups = _groups_of(owner.st_uid, owner.st_gid)
    os.setgroups(groups)
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def actor() -> str:
    """Return who runs this command, for the audit log."""
    return name_of(os.getuid())


def ensure_state_directory(directory: Path, prefix: str) -> None:
    """Create `directory` with mode 0700 when it is missing.

    Raises `ConfigurationError`, which names `<prefix>STATE_DIR`, when that is refused or something else is there, or
    when a unit of systemd has another one: two instances with one state directory would be each other.
    """
    units = service_variables().get("STATE_DIRECTORY")
    if units is not None and str(directory) not in units.split(":"):
        problem = f"is {directory}, and the unit's StateDirectory= is {units}"
        raise ConfigurationError(f"{prefix}STATE_DIR", problem, f"set it to {units.partition(':')[0]} in the env file")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = f"{directory} cannot be made ({reason})"
        raise ConfigurationError(f"{prefix}STATE_DIR", problem, "create this directory or name another") from None


def _groups_of(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]


def name_of(uid: int) -> str:
    """Return a user's name, else its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
