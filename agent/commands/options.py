"""The options that commands share, and how they print: results on standard output, prose on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.exits import NO_HELP
from runtime.terminal import printable

if TYPE_CHECKING:
    from agent.settings import AgentSettings

EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Read JIRA_AGENT_* from FILE; the environment wins. Default: /etc/jira-agent/agent.env.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def group(description: str) -> typer.Typer:
    """Return a command group in our style: plain help, no shell-completion flags, no traceback boxes."""
    return typer.Typer(
        help=description,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=NO_HELP,
    )


def read_settings(env_file: Path | None) -> "AgentSettings":
    """Return the settings; raises `ConfigurationError`."""
    from agent.settings import AgentSettings  # noqa: PLC0415 - pydantic is not needed for --help
    from runtime.configuration import load  # noqa: PLC0415 - the same

    return load(AgentSettings, env_file=env_file)


def follow(env_file: Path | None) -> None:
    """Let changes of the env file count at SIGHUP, also under systemd; raises `ConfigurationError`."""
    from agent.settings import AgentSettings  # noqa: PLC0415 - pydantic is not needed for --help
    from runtime.configuration import follow_env_file  # noqa: PLC0415 - the same

    follow_env_file(AgentSettings, env_file)


def put(line: str) -> None:
    """Print one line of a result."""
    sys.stdout.write(f"{printable(line)}\n")


def tell(line: str) -> None:
    """Print one line for the person, beside the result."""
    sys.stderr.write(f"{printable(line)}\n")


def print_json(content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print a result for machines."""
    put(json.dumps(content, indent=2, default=str))
