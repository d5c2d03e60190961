"""Collects what is sent within one turn of the event loop, so that head, body and end leave in one write.

Each write costs a system call and over TLS a record; an answer in two costs 40 % more (docs/facts.md N4). The loop is
asked once for all sockets that have something to send in the same turn.
"""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

FLUSH_AT: Final = 64 * 1024  # pending bytes that do not wait for the end of the turn
JOIN_BELOW: Final = 160 * 1024  # one joined write beats a gathering one up to here


class Turn:
    """What is to be sent at the end of this turn of a loop."""

    __slots__ = ("_loop", "_outboxes")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._outboxes: list[Outbox] = []

    def note(self, outbox: "Outbox") -> None:
        """Have an outbox flushed, unless it is before."""
        if not self._outboxes:
            self._loop.call_soon(self._end)
        self._outboxes.append(outbox)

    def _end(self) -> None:
        outboxes, self._outboxes = self._outboxes, []
        while outboxes:
            try:
                while outboxes:
                    outboxes.pop().end_of_turn()
            except Exception as error:  # noqa: BLE001 - one socket's trouble is not that of the others
                self._loop.call_exception_handler({"message": "a socket cannot be written", "exception": error})


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turn] = WeakKeyDictionary()


def _turn_of(loop: asyncio.AbstractEventLoop) -> Turn:
    turn = _turns.get(loop)
    if turn is None:
        turn = _turns[loop] = Turn(loop)
    return turn


class Outbox:
    """The sending side of one socket."""

    __slots__ = ("_pending", "_scheduled", "_size", "_transport", "_turn", "written")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._turn = _turn_of(loop)
        self._transport = transport
        self._pending: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self.written = 0  # bytes that the transport was given

    def send(self, pieces: list[bytes]) -> None:
        """Send bytes at the latest at the end of this turn of the loop."""
        self._pending += pieces
        for piece in pieces:
            self._size += len(piece)
        if self._size >= FLUSH_AT:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._turn.note(self)

    def flush(self) -> None:
        """Send what is pending now."""
        pending = self._pending
        if not pending:
            return
        self._pending = []
        self.written += self._size
        if len(pending) == 1:
            self._transport.write(pending[0])
        elif self._size <= JOIN_BELOW:
            self._transport.write(b"".join(pending))
        else:
            self._transport.writelines(pending)
        self._size = 0

    def clear(self) -> None:
        """Forget what is pending."""
        self._pending = []
        self._size = 0

    def end_of_turn(self) -> None:
        """Send what is still pending (for the turn)."""
        self._scheduled = False
        if self._pending:
            self.flush()
