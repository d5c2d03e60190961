"""The exit statuses of every command, and the one place where an error becomes one line and a status.

The numbers are docs/contract.md §2.2: 0 ok, 1 no / denied / failed check, 2 usage, 69 not running or
unreachable, 78 configuration (sysexits.h EX_UNAVAILABLE and EX_CONFIG).
"""

import sys
from collections.abc import Sequence

import typer

from runtime.terminal import printable

OK = 0
DENIED = 1
USAGE = 2
UNAVAILABLE = 69
CONFIGURATION = 78
INTERRUPTED = 130

NO_HELP = {"default_map": {"help": False}}
"""Context settings of a group or command: typer loads pydantic for 80 ms to read an absent --help without a default."""


class CommandFailed(Exception):
    """A command ends here: one line for the person, one status for the machine.

    ``line`` says what failed, with which object, and what to do next; it never holds a secret.
    """

    status = DENIED

    def __init__(self, line: str, status: int | None = None) -> None:
        super().__init__(line)
        self.line = line
        if status is not None:
            self.status = status


def run_command(app: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status; every `CommandFailed` becomes one line on stderr."""
    command = typer.main.get_command(app)
    words = None if arguments is None else list(arguments)
    try:
        result = command.main(args=words, prog_name=program, standalone_mode=False)
    except CommandFailed as failure:
        sys.stderr.write(f"{program}: {printable(failure.line)}\n")
        return failure.status
    except typer.TyperException as wrong:  # usage: shows itself, with the command's own help line
        show = getattr(wrong, "show", None)
        if show is None:
            sys.stderr.write(f"{program}: {wrong}\n")
        else:
            show()
        return wrong.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return OK  # the reader of our output has seen enough
    return result if isinstance(result, int) else OK
