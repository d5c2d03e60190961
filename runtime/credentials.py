"""Where systemd keeps the credentials of a program, for the program and for commands that a person runs beside it.

systemd gives a unit's process CREDENTIALS_DIRECTORY. A command that root runs gets none, but has to find the same
secrets, or it would call a configuration wrong that is not: it looks where the unit's credentials lie while it runs,
and where its plain ones come from. Knows nothing of what the secrets are for.
"""

from pathlib import Path
from typing import Final

RUNNING: Final = Path("/run/credentials")
STORE: Final = Path("/etc/credstore")


def find_credential(name: str, directory: str | None, default_env_file: Path, env_file: Path | None) -> Path | None:
    """Return the file of a credential, or None.

    Args:
        name: the variable in lower case.
        directory: CREDENTIALS_DIRECTORY, of a process that systemd started.
        default_env_file: /etc/<program>/….env, the file of the program's only unit.
        env_file: the one that was named instead; /etc/<program>/<instance>.env is that of <program>@<instance>.
    """
    if directory is not None:
        places = [Path(directory, name)]
    else:
        places = _of_the_unit(name, default_env_file, env_file or default_env_file)
    return next((place for place in places if _is_there(place)), None)


def _of_the_unit(name: str, default: Path, chosen: Path) -> list[Path]:
    program = default.parent.name
    if chosen == default:
        return [RUNNING / f"{program}.service" / name, STORE / name]
    if chosen.parent != default.parent:
        return []
    instance = chosen.stem
    return [RUNNING / f"{program}@{instance}.service" / name, STORE / f"{name}.{instance}"]


def _is_there(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:  # somebody who may not look there
        return False
