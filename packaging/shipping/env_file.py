"""The commented file of settings that is installed below /etc: every variable, off, with its meaning."""

import textwrap

from shipping.programs import Program
from shipping.settings_list import Setting, settings_of

_WIDTH = 100


def env_file(program: Program) -> str:
    """Return the file; it sets nothing, so that a machine has the program's own defaults until somebody decides."""
    head = f"""\
        # Settings of {program.name}: one NAME=value a line, as systemd reads it (EnvironmentFile= in systemd.exec(5)).
        # A change counts after 'systemctl restart {program.name}'. A wrong name is an error that says which was meant.
        # What stands here is the default, or not set. The same list to read: man {program.name}.env
        #
        # A secret is better kept in a file of its own (0640 root:{program.name}), which X_FILE names, or in a systemd
        # credential named like the variable in lower case.
        """
    return "\n".join([textwrap.dedent(head).rstrip(), *map(_block, settings_of(program.settings))]) + "\n"


def _block(setting: Setting) -> str:
    meaning = textwrap.fill(setting.meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    lines = ["", meaning, f"#{setting.variable}={setting.default}"]
    if setting.secret:
        lines.append(f"#{setting.variable}_FILE=")
    return "\n".join(lines)
