"""The account of bytes in this program's memory, as sockets see it: what they add to it, and how much they may read."""

import asyncio
from typing import Final, Protocol
from weakref import WeakKeyDictionary

WIDE_READ: Final = 250 * 1024  # with its frames' headers it fits one message of the tunnel (docs/protocol.md §1)
PLAIN_READ: Final = 64 * 1024
NARROW_READ: Final = 16 * 1024


class Memory(Protocol):
    """What is shared by all sockets of a program (`tunnel.budget.Budget`)."""

    waiting: int
    """Bytes that wait for somebody outside to take them: who makes them wait adds them, and takes them off again."""

    @property
    def is_ample(self) -> bool:
        """There is plenty."""

    @property
    def is_short(self) -> bool:
        """There is little left: nobody takes more in than must be."""


class Unbounded:
    """For programs that carry nothing large."""

    __slots__ = ("waiting",)

    is_ample: Final = True
    is_short: Final = False

    def __init__(self) -> None:
        self.waiting = 0


_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = WeakKeyDictionary()


def _buffer_of(loop: asyncio.AbstractEventLoop) -> memoryview:
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(WIDE_READ))
    return buffer


class BoundedReads(asyncio.BufferedProtocol):
    """A protocol whose reads bring less the less memory there is.

    Otherwise one read of uvloop brings up to 256,000 bytes, whatever its receiver has room for. All sockets of a loop
    read into one buffer: between `get_buffer` and `buffer_updated` nothing else runs in it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, memory: Memory) -> None:
        self._memory = memory
        self._buffer = _buffer_of(loop)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next read goes, and how much it may bring."""
        del sizehint
        memory = self._memory
        if memory.is_ample:
            return self._buffer
        return self._buffer[: NARROW_READ if memory.is_short else PLAIN_READ]

    def buffer_updated(self, nbytes: int) -> None:
        """Take what a read has brought."""
        self.data_received(bytes(self._buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        raise NotImplementedError
