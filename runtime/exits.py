"""The exit statuses of every command, and the one place where an error becomes one line and a status.

The numbers are design's contract: 0 ok, 1 no / denied / failed check, 2 usage, 69 not running or
unreachable, 78 configuration (sysexits.h EX_UNAVAILABLE and EX_CONFIG).
"""

import sys
from collections.abc import Sequence

import typer

OK = 0
DENIED = 1
USAGE = 2
UNAVAILABLE = 69
CONFIGURATION = 78


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
    try:
        result = typer.main.get_command(app).main(
            args=list(arguments) if arguments is not None else None, prog_name=program, standalone_mode=False
        )
    except CommandFailed as failure:
        sys.stderr.write(f"{program}: {failure.line}\n")
        return failure.status
    except typer.Exit as leave:
        return int(leave.exit_code)
    except typer.Abort:
        return DENIED
    except BrokenPipeError:
        return OK
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _usage_or_raise(error, program)
    return result if isinstance(result, int) else OK


def _usage_or_raise(error: Exception, program: str) -> int:
    # Typer's own usage errors know how to show themselves; their class has moved between its versions,
    # so they are recognised by what they can do.
    show, status = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(status, int):
        show()
        return status
    raise error from None if not program else error.__cause__
