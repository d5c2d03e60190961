"""What `jira-agent enroll` asks a person on a terminal. Questions go to standard error; the code is not shown.

Owns the wording and how often is asked again. What an answer means is judged by who reads settings and codes.
"""

import getpass
import sys
from collections.abc import Callable
from typing import TypeVar

from agent.commands.options import tell
from runtime.exits import USAGE, CommandFailed

TRIES = 3
MAX_ANSWER = 4096

T = TypeVar("T")


def is_person_there() -> bool:
    """Tell whether somebody can be asked: input and questions are on a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, read: Callable[[str], T], default: str = "") -> T:
    """Ask until `read` takes the answer, which raises ValueError with a problem and a fix for a wrong one.

    Raises:
        CommandFailed: nobody answers, or three answers were wrong.
    """
    shown = f" [{default}]" if default else ""
    return _repeated(lambda: _line(f"{question}{shown}: ") or default, read)


def ask_secretly(question: str, read: Callable[[str], T]) -> T:
    """Ask for something that is not shown while it is typed or pasted; as `ask` otherwise."""

    def answer() -> str:
        try:
            return getpass.getpass(f"{question}: ", stream=sys.stderr)
        except EOFError:
            raise _nobody() from None

    return _repeated(answer, read)


def consent(question: str) -> bool:
    """Ask a question to which only a clear yes is one."""
    return _line(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _repeated(answer: Callable[[], str], read: Callable[[str], T]) -> T:
    for left in reversed(range(TRIES)):
        try:
            return read(answer())
        except ValueError as error:
            if not left:
                raise CommandFailed(f"the last answer {error}") from None
            tell(f"  That {error}.")
    raise _nobody()


def _line(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline(MAX_ANSWER)
    if not answer:
        sys.stderr.write("\n")
        raise _nobody()
    return answer.strip()


def _nobody() -> CommandFailed:
    return CommandFailed("nobody answered; nothing was changed", USAGE)
