"""Files to be shipped, as data: written with fixed owners, modes and times, so that two builds are the same bytes."""

import gzip
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A file's content and mode."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


Tree = Mapping[str, File | Link]
"""Entries by path, relative to the root that they are installed to."""


def text(content: str, mode: int = 0o644) -> File:
    """Return a text file."""
    return File(content.encode(), mode)


def compressed(content: str) -> File:
    """Return a text file in gzip's format, without a time in it."""
    return File(gzip.compress(content.encode(), 9, mtime=0))


def write(tree: Tree, root: Path, epoch: int, folders: Mapping[str, int] | None = None) -> None:
    """Write a tree below a new folder; `folders` are those with another mode than 0755. Times are `epoch`."""
    root.mkdir(parents=True)
    for path, entry in sorted(tree.items()):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Link):
            place.symlink_to(entry.target)
        else:
            place.write_bytes(entry.content)
            place.chmod(entry.mode)
    modes = folders or {}
    for place in sorted(root.rglob("*"), reverse=True):
        if place.is_dir() and not place.is_symlink():
            place.chmod(modes.get(place.relative_to(root).as_posix(), 0o755))
        os.utime(place, (epoch, epoch), follow_symlinks=False)
    root.chmod(0o755)
    os.utime(root, (epoch, epoch))
