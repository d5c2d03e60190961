"""Ports for programs that must be told theirs before they start.

A port is handed out once in a process's life, and no two processes hand out the same ones at a time: each takes
blocks of ports for itself, by a name of the kernel's that goes with the process however it ends.
"""

import os
import socket
from collections.abc import Iterator
from random import Random

_PORTS = range(20_000, 30_000)  # below the system's ephemeral range, so that no client socket takes one meanwhile
_BLOCK = 50
_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a loopback port that nothing listens on and that no caller of this was given before."""
    return next(_free)


def ports() -> Iterator[int]:
    """Yield ports for one user at a time, each once; raises RuntimeError when there are none left."""
    starts = list(_PORTS[::_BLOCK])
    Random(os.getpid()).shuffle(starts)
    for start in starts:
        if _claim(start):
            yield from filter(_is_free, range(start, start + _BLOCK))
    raise RuntimeError(f"no free port between {_PORTS[0]} and {_PORTS[-1]}")


def _claim(start: int) -> bool:
    """Take a block for this process, unless another has it: an abstract address ends with its socket."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0jira-tunnel-ports-{start}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


_free = ports()
