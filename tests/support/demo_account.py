"""The demo's account for its reader: numbered steps with their times, in colour on a terminal and plain elsewhere.

Knows nothing of tunnels or Jira. A step that fails is told with its reason and what to do about it, and ends the demo.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

TITLE_WIDTH = 62


class StepFailed(Exception):
    """A step could not be done: `why`, and `fix`, what the reader can do about it."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(f"{why}; {fix}")
        self.why = why
        self.fix = fix


@dataclass(slots=True)
class Step:
    """One step while it is being done; `say` adds a line that is shown below its title."""

    title: str
    lines: list[str] = field(default_factory=list)
    skipped: bool = False

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)

    def skip(self, why: str) -> None:
        """Say that the step was not done, and why that is no failure."""
        self.skipped = True
        self.lines.append(why)


class Account:
    """Prints steps as they are done, and counts them."""

    def __init__(self, console: Console | None = None) -> None:
        with contextlib.suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] # a replaced stdout may not have it
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._number = 0
        self._began = time.monotonic()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time and print one step; an exception is printed as its failure and goes on."""
        self._number += 1
        step = Step(title)
        began = time.monotonic()
        try:
            with self._busy(title):
                yield step
        except BaseException:
            self._print_title(title, "FAILED", "bold red", time.monotonic() - began)
            raise
        word, style = ("skipped", "yellow") if step.skipped else ("ok", "green")
        self._print_title(title, word, style, time.monotonic() - began)
        for line in step.lines:
            self.line(f"      {line}", "dim")

    def heading(self, text: str) -> None:
        """Begin a part of the account."""
        self.line("")
        self.line(text, "bold")

    def line(self, text: str, style: str = "") -> None:
        """Print one line as it is."""
        self._console.print(Text(text, style=style), soft_wrap=True)
        sys.stdout.flush()

    def failure(self, failed: StepFailed) -> None:
        """Say why the demo ends here, and what to do."""
        self.line(f"      why:  {failed.why}", "red")
        self.line(f"      do:   {failed.fix}", "bold")

    @property
    def seconds(self) -> float:
        """How long it has been since the beginning."""
        return time.monotonic() - self._began

    def _busy(self, title: str) -> contextlib.AbstractContextManager[object]:
        if self._console.is_terminal:
            return self._console.status(f"{self._number:2}  {title}")
        return contextlib.nullcontext()

    def _print_title(self, title: str, word: str, style: str, seconds: float) -> None:
        text = Text(f"{self._number:3}  {title:<{TITLE_WIDTH}} ")
        text.append(f"{word:<7}", style)
        text.append(f"{seconds:6.2f} s", "dim")
        self._console.print(text, soft_wrap=True)
        sys.stdout.flush()
