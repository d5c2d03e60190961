"""The options that commands share, and how their texts are read. A bad one is a usage error (status 2)."""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.naming import check_name, parse_duration, parse_expiry
from gateway.unacceptable import Unacceptable
from runtime.exits import NO_HELP

MAX_TEXT_BYTES = 64 * 1024

T = TypeVar("T")


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


def read_name(text: str) -> str:
    """Return a name that follows the grammar; raises typer.BadParameter."""
    return _read(check_name, text)


def read_duration(text: str) -> timedelta:
    """Return 90d, 12h, 30m or 45s as a timedelta; raises typer.BadParameter."""
    return _read(parse_duration, text)


def read_expiry(text: str) -> timedelta | None:
    """Return a duration, or None for `never`; raises typer.BadParameter."""
    return _read(parse_expiry, text)


def read_text(source: Path) -> str:
    """Return the text in a file, or on standard input for `-`, without the last line end; raises typer.BadParameter."""
    try:
        content = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1) if str(source) == "-" else _head_of(source)
        text = content.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise typer.BadParameter(f"{source} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{source} is not UTF-8 text") from None
    if not text or len(content) > MAX_TEXT_BYTES:
        raise typer.BadParameter(f"{source} is empty or larger than 64 KiB")
    return text


def read_secret(source: Path) -> str:
    """Return the one line of a secret's file, or of standard input for `-`; raises typer.BadParameter."""
    secret = read_text(source)
    if not secret.isprintable():
        raise typer.BadParameter(f"{source} holds more than one line, or control characters")
    return secret


def _read(parse: Callable[[str, str], T], text: str) -> T:
    try:
        return parse("", text)
    except Unacceptable as error:
        raise typer.BadParameter(str(error)) from None


def _head_of(source: Path) -> bytes:
    with source.open("rb") as file:
        return file.read(MAX_TEXT_BYTES + 1)


Name = Annotated[str, typer.Argument(parser=read_name, show_default=False)]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Read JIRA_GATEWAY_* from FILE; the environment wins. Default: /etc/jira-gateway/gateway.env.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
