"""What systemd is told (sd_notify(3)) and what it hands over (sd_listen_fds(3)); without it nothing happens.

Owns the datagram socket to the service manager. Knows nothing of what the states mean to the program: that passes a
function that says them in words. The watchdog is fed by the event loop itself, so that a loop that hangs feeds nothing.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic_ns
from typing import Final

import structlog

from runtime.configuration import ConfigurationError, service_variables

log = structlog.get_logger()

STATUS_SECONDS: Final = 1.0
MAX_STATUS: Final = 400
"""Characters: systemd shows one line."""
MAX_UNSENT: Final = 8
"""Messages that wait for room in systemd's socket: far more than there are states."""
FIRST_DESCRIPTOR: Final = 3
MAX_DESCRIPTORS: Final = 64


class Reporter:
    """Tells systemd how this process is. Every method may be called without systemd, and does nothing then."""

    def __init__(self, told: Mapping[str, str], pid: int) -> None:
        """`told` are the variables of sd_notify(3) and sd_watchdog_enabled(3)."""
        self._address = _notify_address(told)
        self._socket = None if self._address is None else socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if self._socket is not None:
            self._socket.setblocking(False)
        self._watchdog = _watchdog_seconds(told, pid)
        self._unsent: deque[bytes] = deque(maxlen=MAX_UNSENT)
        self._status: str | None = None
        self._is_ready = False

    @classmethod
    def of_this_process(cls) -> "Reporter":
        """Return the one that this process's environment describes."""
        return cls(service_variables(), os.getpid())

    def __repr__(self) -> str:
        return f"<Reporter {self._address!r} watchdog={self._watchdog}>"

    def close(self) -> None:
        """Tell nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self) -> None:
        """The program serves, or waits for somebody else to let it."""
        self._is_ready = True
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in one line what `systemctl status` shows. Others wrote parts of it: it must not become a second line."""
        line = "".join(letter if letter.isprintable() else " " for letter in text)[:MAX_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def stopping(self, seconds: float) -> None:
        """The end has begun, and takes up to `seconds`; that may be longer than the unit's TimeoutStopSec=."""
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Surround a reload. Before `ready` there is nothing to reload, and systemd is told nothing."""
        if not self._is_ready:
            yield
            return
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._send("READY=1")

    async def run(self, headline: Callable[[], str]) -> None:
        """Tell the status when it changes, and feed the watchdog at a third of its time, until cancelled."""
        if self._socket is None:
            return
        period = STATUS_SECONDS if self._watchdog is None else min(STATUS_SECONDS, self._watchdog / 3)
        while True:
            self.status(headline())
            if self._watchdog is not None:
                self._send("WATCHDOG=1")
            await asyncio.sleep(period)

    def _send(self, *assignments: str) -> None:
        """Send one message, after those that found no room before."""
        if self._socket is None:
            return
        message = "\n".join(assignments).encode("utf-8", "replace")
        kind = message[: message.index(b"=")]
        if kind in {b"STATUS", b"WATCHDOG"}:  # the newest is enough; states are all told
            self._unsent = deque((each for each in self._unsent if not each.startswith(kind)), MAX_UNSENT)
        self._unsent.append(message)
        try:
            while self._unsent:
                self._socket.sendto(self._unsent[0], self._address or "")
                self._unsent.popleft()
        except BlockingIOError:
            return  # systemd is busy: with the next message
        except OSError as error:
            self._unsent.clear()
            log.warning("systemd_not_told", address=repr(self._address), reason=str(error))


def inherited_sockets() -> list[socket.socket]:
    """Return the listening sockets that systemd holds for this process; call it once.

    Raises:
        ConfigurationError: something else was handed over than listening TCP sockets.
    """
    told = service_variables()
    if told.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = told.get("LISTEN_FDS", "")
    if not count.isascii() or not count.isdigit() or int(count) > MAX_DESCRIPTORS:
        return []
    return [_listening(FIRST_DESCRIPTOR + number) for number in range(int(count))]


def _listening(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        found = socket.socket(fileno=descriptor)
        is_ours = found.family in {socket.AF_INET, socket.AF_INET6} and found.type == socket.SOCK_STREAM
        if is_ours and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found.setblocking(False)
            return found
        found.close()
    except OSError:
        pass  # it is not even open
    problem = f"descriptor {descriptor} is no listening TCP socket"
    raise ConfigurationError("LISTEN_FDS", problem, "give the socket unit ListenStream=address:port and Accept=no")


def _notify_address(told: Mapping[str, str]) -> str | None:
    address = told.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else None


def _watchdog_seconds(told: Mapping[str, str], pid: int) -> float | None:
    text = told.get("WATCHDOG_USEC", "")
    if told.get("WATCHDOG_PID", str(pid)) != str(pid) or not text.isascii() or not text.isdigit() or int(text) == 0:
        return None
    return int(text) / 1e6
