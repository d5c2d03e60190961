"""Manual pages, made from what the commands and settings say of themselves: they cannot be out of date.

Plain man(7). Knows click's commands as typer builds them, and nothing about where pages are installed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import typer.main

from shipping.programs import Program
from shipping.settings_list import Setting, settings_of

_EXIT_STATUSES = {
    "0": "done",
    "1": "no, denied, or a check that failed",
    "2": "wrong usage",
    "69": "not running, or unreachable",
    "78": "the configuration is wrong; the one line says which variable",
}


def pages(program: Program, version: str, epoch: int) -> dict[str, str]:
    """Return the program's pages by file name; `epoch` is the date that they carry."""
    stamp = (datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d"), version)
    made = {
        f"{name}.1": command_page(name, typer.main.get_command(app), program, *stamp)
        for name, (_, app) in program.commands.items()
    }
    made[f"{program.name}.env.5"] = settings_page(program, *stamp)
    return made


def command_page(name: str, command: Any, program: Program, date: str, version: str) -> str:
    """Return the page of a command with all commands below it."""
    first, rest = _parted(command.help)
    return "\n".join(
        [
            *_title(name, "1", date, version),
            ".SH NAME",
            f"{_text(name)} \\- {_text(first.rstrip('.'))}",
            ".SH SYNOPSIS",
            f".B {_text(name)}",
            ".I COMMAND",
            "[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...",
            ".SH DESCRIPTION",
            *_paragraphs(rest or first),
            ".SH COMMANDS",
            *_commands(name, command),
            ".SH EXIT STATUS",
            *(line for status, meaning in _EXIT_STATUSES.items() for line in (".TP", status, _text(meaning))),
            ".SH FILES",
            *_files(program),
            ".SH SEE ALSO",
            _see_also(program, name),
            "",
        ]
    )


def settings_page(program: Program, date: str, version: str) -> str:
    """Return the page of the file of settings."""
    return "\n".join(
        [
            *_title(f"{program.name}.env", "5", date, version),
            ".SH NAME",
            f"{_text(program.name)}.env \\- {_text(f'settings of {program.name}')}",
            ".SH SYNOPSIS",
            f".I /etc/{_text(program.name)}/{program.env_file}",
            ".SH DESCRIPTION",
            *_paragraphs(
                "One NAME=value a line, as in EnvironmentFile= of systemd.exec(5). The process environment wins over "
                "the file. A name with our prefix that is not in this list is an error.\n\n"
                "A secret NAME may come from the file that NAME_FILE names, or from a systemd credential of the same "
                "name in lower case, instead."
            ),
            ".SH SETTINGS",
            *(line for setting in settings_of(program.settings) for line in _setting(setting)),
            ".SH SEE ALSO",
            _see_also(program, ""),
            "",
        ]
    )


def _title(name: str, section: str, date: str, version: str) -> list[str]:
    quoted = f'"{_text(name).upper()}" {section} {date} "jira-tunnel {_text(version)}" "jira-tunnel"'
    return [f".TH {quoted}", ".nh", ".ad l"]


def _setting(setting: Setting) -> Iterator[str]:
    yield ".TP"
    secret = f", \\fB{_text(setting.variable)}_FILE\\fR (secret)" if setting.secret else ""
    yield f"\\fB{_text(setting.variable)}\\fR{secret}"
    default = f"  Default: {setting.default}" if setting.default else ""
    yield _text(f"{setting.meaning}.{default}")


def _commands(path: str, command: Any) -> Iterator[str]:
    for name, below in command.commands.items():
        if below.hidden:
            continue
        if hasattr(below, "commands"):
            yield from _commands(f"{path} {name}", below)
        else:
            yield from _one_command(f"{path} {name}", below)


def _one_command(path: str, command: Any) -> Iterator[str]:
    yield f".SS {_text(path)}{''.join(' ' + _argument(parameter) for parameter in _arguments(command))}"
    yield from _paragraphs(command.help or "")
    for parameter in command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            names = ", ".join(f"\\fB{_text(name)}\\fR" for name in (*parameter.opts, *parameter.secondary_opts))
            yield ".TP"
            yield names if parameter.is_flag else f"{names} \\fI{_text(_placeholder(parameter))}\\fR"
            yield _text(parameter.help or "") or "\\&"


def _arguments(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def _argument(parameter: Any) -> str:
    name = f"{_text(_placeholder(parameter))}{'...' if parameter.nargs == -1 else ''}"
    return name if parameter.required else f"[{name}]"


def _placeholder(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()).strip("[]")


def _files(program: Program) -> Iterator[str]:
    for path, meaning in (
        (f"/etc/{program.name}/{program.env_file}", f"settings, see {program.name}.env(5)"),
        (f"/var/lib/{program.name}", "state; readable by its owner only"),
    ):
        yield from (".TP", f".I {_text(path)}", _text(meaning))


def _see_also(program: Program, but: str) -> str:
    known = [(name, "1") for name in program.commands if name != but]
    known += [(f"{program.name}.env", "5")] if but else []
    return ",\n".join(f"\\fB{_text(name)}\\fR({section})" for name, section in [*known, ("systemd.exec", "5")])


def _parted(text: str) -> tuple[str, str]:
    first, _, rest = text.strip().partition("\n")
    return first.strip(), rest.strip("\n")


def _paragraphs(text: str) -> Iterator[str]:
    """Yield help text as man(7): a block after click's mark (backspace) keeps its lines."""
    for block in text.strip("\n").split("\n\n"):
        lines = block.strip("\n").split("\n")
        kept = lines[0].strip() == "\b" or lines[0].startswith("\b")
        lines = [line.replace("\b", "") for line in lines]
        lines = [line for line in lines if line.strip()]
        if not lines:
            continue
        yield ".PP"
        if kept:
            yield from (".nf", *map(_text, lines), ".fi")
        else:
            yield _text(" ".join(line.strip() for line in lines))


def _text(text: str) -> str:
    """Return text that roff prints as it is: no escapes, no requests, hyphens that can be copied."""
    plain = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("\u2013", "\\-").replace("'", "\\(aq")
    )
    return "\\&" + plain if plain.startswith(".") else plain
