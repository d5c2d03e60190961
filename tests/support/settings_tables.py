"""The settings tables of docs/operations.md, made from the settings classes: `make docs` writes them anew.

What a variable means is said once, in agent/settings.py and gateway/settings.py; a test compares.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from shipping.settings_list import Setting, settings_of

from agent.settings import AgentSettings
from gateway.settings import GatewaySettings
from runtime.configuration import ProgramSettings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
PROGRAMS: dict[str, type[ProgramSettings]] = {"agent": AgentSettings, "gateway": GatewaySettings}
# Defaults that depend on who runs the program.
COMPUTED = {"JIRA_AGENT_STATE_DIR": "`/var/lib/jira-agent`, or `~/.local/state/jira-agent` without write access to it"}


def table(program: str) -> str:
    """The variables of one program as a Markdown table, in the order of its class."""
    rows = [_row(setting) for setting in settings_of(PROGRAMS[program])]
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
        for setting in settings_of(settings):
            yield setting.variable
            if setting.secret:
                yield f"{setting.variable}_FILE"


def _row(setting: Setting) -> str:
    secret = " (secret)" if setting.secret else ""
    default = COMPUTED.get(setting.variable) or (f"`{setting.default}`" if setting.default else "none")
    meaning = setting.meaning.replace("<", r"\<")
    return f"| `{setting.variable}`{secret} | {default} | {meaning} |"


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name} is current\n")
