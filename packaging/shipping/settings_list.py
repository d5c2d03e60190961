"""The settings of a program as rows: said once in agent/settings.py and gateway/settings.py, told in many places."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from pydantic import SecretStr

from runtime.configuration import ProgramSettings


@dataclass(frozen=True)
class Setting:
    """One variable: `default` is empty when there is none."""

    variable: str
    default: str
    meaning: str
    secret: bool


# Defaults that depend on who runs the program: what a service has.
_COMPUTED = {"JIRA_AGENT_STATE_DIR": "/var/lib/jira-agent"}


def settings_of(settings: type[ProgramSettings]) -> Iterator[Setting]:
    """Yield every setting in the order of its class."""
    for name, field in settings.model_fields.items():
        variable = settings.prefix + name.upper()
        secret = field.annotation is SecretStr or SecretStr in get_args(field.annotation)
        default = _COMPUTED.get(variable, _written(field.default))
        yield Setting(variable, default, field.description or "", secret)


def _written(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"{value:d}"
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
