"""The event loop of both programs, and the settings of allocator and collector that its load needs.

Nothing else imports uvloop. A program calls `run` once, from its ``run`` command.
"""

import ctypes
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on uvloop and return its result.

    uvloop recovers from file descriptor exhaustion where asyncio's loop writes 280,000 log lines (docs/facts.md
    L7) and keeps an idle TLS socket in 48 KiB instead of 303.
    """
    _keep_read_buffers_on_the_heap()
    _collect_rarely()
    return uvloop.run(main)


def _keep_read_buffers_on_the_heap() -> None:
    # Every TLS record is read into a fresh 256 KiB buffer; glibc's default maps and unmaps memory for each.
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 8 * 1024 * 1024)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 * 1024 * 1024)
        libc.mallopt(_M_ARENA_MAX, 2)  # the few threads beside the loop need no heaps of their own
    except (OSError, AttributeError):
        return  # not glibc: its own allocator's defaults stand


def _collect_rarely() -> None:
    # The request path makes no cycles, so that reference counts free nearly everything: with the default of
    # 700 new objects the collector took 5 % of a loaded gateway. What is loaded by now is never garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
