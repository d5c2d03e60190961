"""Lines on their way to a file descriptor that may block: a thread of its own writes them, so that nobody else waits.

Owns the lines that are not written yet, bounded in bytes, and the count of those that found no room. Knows nothing of
what lines say. A reader that stops reading (a stuck journald, a full pipe) costs lines, never time.
"""

import os
import select
import threading
from collections.abc import Callable
from typing import Final, Self

PERIOD: Final = 0.05
"""Seconds in which lines are collected before they are written in one piece."""
LIMIT: Final = 1 << 20
"""Bytes of ordinary lines that may wait; urgent ones may fill as much again."""
_POLL_MS: Final = 1000


class LogWriter:
    """Writes lines to `fd` in the order in which they were added; ``with`` starts it and flushes at the end."""

    def __init__(self, fd: int = 2, *, limit: int = LIMIT, dropped: Callable[[int], None] = lambda _: None) -> None:
        """`dropped` is told, in the writer's thread and once it writes again, how many lines found no room."""
        self._fd = fd
        self._limit = limit
        self._tell_dropped = dropped
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._waiting = 0  # bytes, those that are just being written included
        self._is_awake = False
        self._wake = threading.Event()
        self._hurry = threading.Event()  # there is a line that does not wait for others
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<LogWriter fd={self._fd} waiting={self._waiting} dropped={self.dropped}>"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def add(self, line: str) -> bool:
        """Take a line with its end; False when it was dropped because too much waits. Never blocks."""
        return self._add(line, self._limit)

    def add_urgent(self, line: str) -> bool:
        """Take a line that is worth more than ordinary ones: it is written at once, and finds more room."""
        is_taken = self._add(line, 2 * self._limit)
        self._hurry.set()
        return is_taken

    def close(self, seconds: float = 2.0) -> bool:
        """Write what waits, for so long at most, and say whether everything was written."""
        self._closing.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._waiting

    def _add(self, line: str, limit: int) -> bool:
        with self._lock:
            waiting = self._waiting + len(line)
            if waiting > limit:
                self.dropped += 1
                self._wake.set()  # to be told, also when nothing is added any more
                return False
            self._waiting = waiting
            self._lines.append(line)
            if self._is_awake:
                return True
            self._is_awake = True
        self._wake.set()
        return True

    def _run(self) -> None:
        told = 0
        while not self._closing.is_set():
            self._wake.wait()  # no deadline: the life of the process, and `close` ends it
            self._wake.clear()
            self._hurry.wait(PERIOD)
            self._hurry.clear()
            self._write_all()
            if self.dropped != told:
                missing, told = self.dropped - told, self.dropped
                self._tell_dropped(missing)
        self._write_all()

    def _write_all(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
            self._is_awake = False
        if lines:
            self._write("".join(lines).encode("utf-8", "backslashreplace"))
            with self._lock:
                self._waiting -= sum(map(len, lines))

    def _write(self, data: bytes) -> None:
        """Write all of it, however long that takes; what can never be written is forgotten."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:  # somebody who shares the descriptor has made it non-blocking
                _await_room(self._fd)
            except OSError:
                return  # closed, or its reader is gone: there is nobody who could be told


def _await_room(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(_POLL_MS)
