"""A unix socket that only its owner may open: the file's mode (0600) decides who may talk to the program."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def bound_unix(path: Path) -> Iterator[socket.socket]:
    """Yield a socket that is bound to `path`; the file goes with it.

    What was left at `path` by a program that was killed is replaced. Raises OSError when that is not possible.
    """
    with _bind(path) as listening:
        try:
            yield listening
        finally:
            path.unlink(missing_ok=True)


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # the socket is born 0600: a later chmod would leave a gap
    try:
        listening.bind(str(path))
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening
