"""Stands in for systemd where a test starts a program: listens to sd_notify, and hands over sockets that it holds.

with ServiceManager(folder) as manager:
    manager.hold(("127.0.0.1", 0))
    program = manager.put_under(stack.gateway)
    program.start()
    manager.wait_for("READY=1")
"""

import contextlib
import fcntl
import socket
import sys
import time
from pathlib import Path
from typing import Self

from tests.support.stack import Program

# systemd sets LISTEN_PID after the fork, and passes the sockets as descriptors from 3 on.
_LAUNCH = """
import os, sys
held = [int(number) for number in sys.argv[1].split(",") if number]
for number, descriptor in enumerate(held):
    os.dup2(descriptor, 3 + number, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(held))}
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServiceManager:
    """One unit's worth of systemd."""

    def __init__(self, folder: Path, **told: str) -> None:
        self._address = str(folder / "notify")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told = told
        self._held: list[socket.socket] = []
        self.messages: list[list[str]] = []

    def __enter__(self) -> Self:
        self._notify.bind(self._address)
        self._notify.setblocking(False)
        return self

    def __exit__(self, *exc: object) -> None:
        for each in [self._notify, *self._held]:
            each.close()

    def hold(self, address: tuple[str, int]) -> None:
        """Listen on an address from now on, as a socket unit does."""
        self._held.append(socket.create_server(address))

    def put_under(self, program: Program) -> Program:
        """Let a program be started with what this one tells and holds."""
        program.environment |= {"NOTIFY_SOCKET": self._address, **self._told}
        if self._held:
            # Out of the way of 3 and 4, where they have to be.
            self._held = [socket.socket(fileno=fcntl.fcntl(each.detach(), fcntl.F_DUPFD, 100)) for each in self._held]
            program.inherited = [each.fileno() for each in self._held]
            held = ",".join(map(str, program.inherited))
            program.arguments = [sys.executable, "-c", _LAUNCH, held, *program.arguments]
        return program

    def hear(self) -> list[list[str]]:
        """Return all messages so far, each as its lines."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.messages.append(self._notify.recv(65536).decode().split("\n"))
        return self.messages

    def wait_for(self, *lines: str, after: int = 0, seconds: float = 40.0) -> int:
        """Wait for messages with these lines in this order; return how many had come by the last of them."""
        deadline = time.monotonic() + seconds
        while True:
            position = after
            for line in lines:
                found = [n for n, each in enumerate(self.hear()) if n >= position and line in each]
                if not found:
                    break
                position = found[0] + 1
            else:
                return position
            if time.monotonic() > deadline:
                raise TimeoutError(f"{lines} was not told within {seconds:g} s: {self.messages}")
            time.sleep(0.02)
