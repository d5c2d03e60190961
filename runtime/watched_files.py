"""Notices that a file has changed, by looking once a second.

Editors, systemd and Kubernetes each replace files in their own way: inode, size and time together see all of them.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

POLL_SECONDS = 1.0
SETTLE_SECONDS = 0.2  # whoever writes the file may not be done: half a password must not be tried

Stamp = tuple[str, int, int, int]


async def watch_files(files: Callable[[], Iterable[Path]], changed: Callable[[], None]) -> None:
    """Call `changed` after each change of one of the files, until cancelled; `files` is asked anew each time."""
    seen = _stamps(files())
    while True:
        await asyncio.sleep(POLL_SECONDS)
        now = _stamps(files())
        if now == seen:
            continue
        while now != (settled := await _stamps_later(files)):
            now = settled
        changed()
        seen = now


async def _stamps_later(files: Callable[[], Iterable[Path]]) -> list[Stamp]:
    await asyncio.sleep(SETTLE_SECONDS)
    return _stamps(files())


def _stamps(files: Iterable[Path]) -> list[Stamp]:
    return [_stamp(path) for path in files]


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
