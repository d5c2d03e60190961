"""A person at a terminal: runs a command on a pseudo terminal of its own, types answers, keeps what is shown.

with Terminal([sys.executable, "-m", "agent", "enroll"], environment) as terminal:
    terminal.expect("Enrolment code")
    terminal.type("jte_…")
    assert terminal.wait() == 0
"""

import os
import pty
import select
import signal
import time
from contextlib import suppress
from typing import Self

from tests.support.stack import PROJECT

SECONDS = 30.0


class Terminal:
    """One command and everything that its terminal has shown; ended by its id."""

    def __init__(self, command, environment):
        self.shown = ""
        self._at = 0
        self._status = None
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(PROJECT)
            os.execve(command[0], command, environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc) -> None:
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)

    def expect(self, text, seconds=SECONDS):
        """Read until this has been shown after what was expected before."""
        deadline = time.monotonic() + seconds
        while text not in self.shown[self._at :]:
            assert self._read(deadline), f"{text!r} was not shown, but: {self.shown}"
        self._at = self.shown.index(text, self._at) + len(text)

    def type(self, line):
        """Type a line."""
        os.write(self._terminal, f"{line}\n".encode())

    def press(self, key):
        """Press a key, e.g. Ctrl-C or Ctrl-D, given as its character."""
        os.write(self._terminal, key.encode())

    def wait(self, seconds=SECONDS):
        """Read to the end, and return the exit status."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        while self._status is None and time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.01)
        assert self._status is not None, f"it did not end, but showed: {self.shown}"
        return self._status

    def _read(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # how Linux says that nobody is on the other side any more
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)
