"""Completion for shells: tables of commands and options in the shell's own words.

Neither the start of a shell nor a Tab starts the program: what there is to complete is known when a package is built.
"""

from collections.abc import Iterator
from typing import Any

import typer
import typer.main

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
        prefix + place.format(command=command): _SCRIPTS[shell](command, table(app))
        for command, (_, app) in program.commands.items()
        for shell, place in PLACES[prefix].items()
    }


def table(app: typer.Typer) -> dict[str, list[str]]:
    """Return what may follow each sequence of commands (each with a space before it): commands, or options."""
    return dict(_rows("", typer.main.get_command(app)))


def _rows(path: str, command: Any) -> Iterator[tuple[str, list[str]]]:
    options = [
        name
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]
    below = {name: inner for name, inner in getattr(command, "commands", {}).items() if not inner.hidden}
    yield path, [*below, *options, "--help"]
    for name, inner in below.items():
        yield from _rows(f"{path} {name}", inner)


def _bash(command: str, rows: dict[str, list[str]]) -> str:
    function = f"_{command}".replace("-", "_")
    known = "|".join(f'"{path}"' for path in rows if path)
    offers = "\n".join(f"""    "{path}") offered="{" ".join(words)}" ;;""" for path, words in rows.items())
    return f"""\
{function}() {{
    local at="" offered="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$at ${{COMP_WORDS[i]}}" in
        {known}) at="$at ${{COMP_WORDS[i]}}" ;;
        esac
    done
    case "$at" in
{offers}
    esac
    COMPREPLY=($(compgen -W "$offered" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F {function} {command}
"""


def _zsh(command: str, rows: dict[str, list[str]]) -> str:
    known = "|".join(f'"{path}"' for path in rows if path)
    offers = "\n".join(f"""("{path}") compadd -- {" ".join(words)} ;;""" for path, words in rows.items())
    return f"""\
#compdef {command}
local at="" word
for word in ${{words[2,CURRENT-1]}}; do
    case "$at $word" in
    ({known}) at="$at $word" ;;
    esac
done
case "$at" in
{offers}
esac
_files
"""


def _fish(command: str, rows: dict[str, list[str]]) -> str:
    return "".join(
        f"complete -c {command} -n '{_fish_condition(path, rows)}' -a '{' '.join(words)}'\n"
        for path, words in rows.items()
    )


def _fish_condition(path: str, rows: dict[str, list[str]]) -> str:
    if not path:
        return "__fish_use_subcommand"
    seen = [f"__fish_seen_subcommand_from {word}" for word in path.split()]
    below = " ".join(word for word in rows[path] if f"{path} {word}" in rows)
    return "; and ".join([*seen, *([f"not __fish_seen_subcommand_from {below}"] if below else [])])


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
