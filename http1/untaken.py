"""What a caller has not taken of its answers: how long that goes on, and who has to know of it."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Final

from http1.memory import Memory
from http1.outbox import Outbox

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Untaken:
    """The bytes of one socket that were sent to its transport and not taken by the peer."""

    __slots__ = ("_memory", "_noted", "_outbox", "_taken", "_transport")

    def __init__(self, transport: asyncio.Transport, outbox: Outbox, memory: Memory) -> None:
        self._transport = transport
        self._outbox = outbox
        self._memory = memory
        self._taken = 0  # bytes, when it was last judged whether the peer takes any
        self._noted = 0  # bytes in the memory's account

    def judge(self) -> bool:
        """Say whether the peer has taken nothing since the last time, however much was sent to it meanwhile."""
        before, self._taken = self._taken, self._outbox.written - self._size()
        return self._taken <= before

    def note(self) -> None:
        """Put what waits here into the account of memory: the answer is over, and nobody else counts it any more."""
        self.forget()
        self._noted = self._transport.get_write_buffer_size()
        self._memory.waiting += self._noted

    def forget(self) -> None:
        """Take it off the account: it was sent, or will never be."""
        if self._noted:
            self._memory.waiting -= self._noted
            self._noted = 0

    def discard(self) -> None:
        """Have the transport close by a reset, which no peer takes for an orderly end."""
        handle = self._transport.get_extra_info("socket")
        if handle is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def _size(self) -> int:
        """Bytes that the peer has not taken, the kernel's included: those alone can keep a slow caller busy."""
        handle = self._transport.get_extra_info("socket")
        if handle is None or handle.fileno() < 0:
            return 0
        in_kernel = fcntl.ioctl(handle.fileno(), termios.TIOCOUTQ, bytes(4))
        return self._transport.get_write_buffer_size() + int.from_bytes(in_kernel, sys.byteorder)
