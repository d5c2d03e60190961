"""Completion for shells: small static files that ask the program only when somebody presses Tab.

Starting a shell imports nothing of ours. The answers are those of typer, which serves the three shells when this
variable is set, whether or not the program offers to install them.
"""

from typer._completion_shared import get_completion_script  # typer.completion has it too, but does not say so

from shipping.programs import Program

# prefix -> shell -> where its file lives, with the command's name: what packages bring, and what is put there by hand
PLACES = {
    "usr/": {
        "bash": "share/bash-completion/completions/{command}",
        "zsh": "share/zsh/vendor-completions/_{command}",
        "fish": "share/fish/vendor_completions.d/{command}.fish",
    },
    "usr/local/": {
        "bash": "share/bash-completion/completions/{command}",
        "zsh": "share/zsh/site-functions/_{command}",
        "fish": "share/fish/vendor_completions.d/{command}.fish",
    },
}


def completions(program: Program, prefix: str) -> dict[str, str]:
    """Return the files by their path."""
    return {
        prefix + place.format(command=command): script(command, shell)
        for command in program.commands
        for shell, place in PLACES[prefix].items()
    }


def script(command: str, shell: str) -> str:
    """Return the completion of one command for one shell."""
    variable = f"_{command}_COMPLETE".replace("-", "_").upper()
    return get_completion_script(prog_name=command, complete_var=variable, shell=shell) + "\n"
