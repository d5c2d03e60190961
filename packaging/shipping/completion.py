"""Completion for shells: small static files that ask the program only when somebody presses Tab.

Starting a shell imports nothing of ours. The answers are those of typer, which serves the three shells when this
variable is set, whether or not the program offers to install them.
"""

from typer._completion_shared import get_completion_script  # typer.completion has it too, but does not say so

from shipping.programs import Program

# shell -> where its file lives below the prefix, with the command's name
PLACES = {
    "bash": "share/bash-completion/completions/{command}",
    "zsh": "share/zsh/vendor-completions/_{command}",
    "fish": "share/fish/vendor_completions.d/{command}.fish",
}


def completions(program: Program) -> dict[str, str]:
    """Return the files by their path below the prefix."""
    return {
        place.format(command=command): script(command, shell)
        for command in program.commands
        for shell, place in PLACES.items()
    }


def script(command: str, shell: str) -> str:
    """Return the completion of one command for one shell."""
    variable = f"_{command}_COMPLETE".replace("-", "_").upper()
    return get_completion_script(prog_name=command, complete_var=variable, shell=shell) + "\n"
