"""Runs commands of `jira-gateway` in this process and checks what they print where."""

import json

from gateway.__main__ import app
from runtime.exits import OK, run_command


class Shell:
    """Runs commands in this process against one state directory."""

    def __init__(self, capfd):
        self._capfd = capfd
        self.err = ""

    def __call__(self, *words, status=OK):
        """Run a command, check its exit status and return its standard output; `err` keeps the other."""
        code = run_command(app, "jira-gateway", words)
        out, self.err = self._capfd.readouterr()
        assert code == status, f"{words}: {code}\n{out}{self.err}"
        return out

    def json(self, *words):
        """Run a command that prints one JSON value."""
        return json.loads(self(*words, "--json"))
