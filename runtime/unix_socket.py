"""HTTP on a unix socket that only its owner may open: the file's mode (0600) decides who may talk to the program."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

BACKLOG = 1024
"""More than may connect in one turn of the loop: with a full backlog asyncio takes a refused socket for a good one."""


async def serve_unix(runner: web.AppRunner, path: Path, *, started: Callable[[], None] = lambda: None) -> None:
    """Serve `runner`'s application on a socket at `path` until cancelled; calls `started` once it listens.

    What was left at `path` by a program that was killed is replaced. Raises OSError when that is not possible.
    """
    await runner.setup()
    try:
        await web.SockSite(runner, _bind(path), backlog=BACKLOG).start()
        started()
        await asyncio.Event().wait()  # no deadline: this is the listener's whole life
    finally:
        await runner.cleanup()
        _remove(path)


def _bind(path: Path) -> socket.socket:
    _remove(path)
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


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
