"""A gateway whose listening sockets somebody else holds, as systemd does for jira-gateway.socket."""

import fcntl
import os
import socket
import subprocess
from typing import Self

from tests.support.stack import PROJECT, Program, Stack

# The process id must be the gateway's own, and the descriptors 3 and 4: a shell becomes the gateway.
_SCRIPT = 'a=$1 b=$2; shift 2; export LISTEN_PID=$$ LISTEN_FDS=2; eval "exec \\"\\$@\\" 3<&$a 4<&$b"'


class HeldGateway(Program):
    """The gateway of a stack, started with its sockets handed over; they outlive it. `close` ends them too."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.gateway.arguments, stack.gateway.environment, stack.gateway.log)
        self._sockets = [
            socket.create_server(("127.0.0.1", port), backlog=1024) for port in (stack.api_port, stack.tunnel_port)
        ]
        # Above 3 and 4, so that the shell overwrites neither before it was taken.
        self._numbers = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, 10) for each in self._sockets]

    def start(self) -> Self:
        """Start it; its output is appended to the log file."""
        copies = [str(number) for number in self._numbers]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", _SCRIPT, "held", *copies, *self.arguments],
                cwd=PROJECT,
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                pass_fds=self._numbers,
            )
        return self

    def close(self) -> None:
        """Listen no more."""
        for each in self._sockets:
            each.close()
        for number in self._numbers:
            os.close(number)
