"""The settings tables of docs/operations.md, made from the settings classes: `make docs` writes them anew.

What a variable means is said once, in agent/settings.py and gateway/settings.py; a test compares.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from agent.settings import AgentSettings
from gateway.settings import GatewaySettings
from runtime.configuration import ProgramSettings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
PROGRAMS: dict[str, type[ProgramSettings]] = {"agent": AgentSettings, "gateway": GatewaySettings}
# Defaults that depend on who runs the program.
COMPUTED = {"JIRA_AGENT_STATE_DIR": "`/var/lib/jira-agent`, or `~/.local/state/jira-agent` without write access to it"}


def table(program: str) -> str:
    """The variables of one program as a Markdown table, in the order of its class."""
    settings = PROGRAMS[program]
    rows = [_row(settings, name, field) for name, field in settings.model_fields.items()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def with_tables(text: str) -> str:
    """The document with both tables in place of what stood between their marks."""
    for program in PROGRAMS:
        begin, end = f"<!-- settings of the {program}: made by make docs -->\n", "\n<!-- end of settings -->"
        before, mark, rest = text.partition(begin)
        if not mark or end not in rest:
            raise ValueError(f"{DOCUMENT.name} has no marks for the settings of the {program}")
        text = before + mark + table(program) + end + rest.partition(end)[2]
    return text


def variables() -> Iterator[str]:
    """Every variable that one of the programs reads, the `_FILE` forms of secrets included."""
    for settings in PROGRAMS.values():
        for name, field in settings.model_fields.items():
            yield settings.prefix + name.upper()
            if _is_secret(field):
                yield f"{settings.prefix}{name.upper()}_FILE"


def _row(settings: type[ProgramSettings], name: str, field: FieldInfo) -> str:
    variable = settings.prefix + name.upper()
    secret = " (secret)" if _is_secret(field) else ""
    meaning = (field.description or "").replace("<", r"\<")
    return f"| `{variable}`{secret} | {COMPUTED.get(variable) or _default(field.default)} | {meaning} |"


def _default(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{value:d}`"
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    if isinstance(value, float):
        value = f"{value:g}"
    return f"`{value}`"


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name} is current\n")
