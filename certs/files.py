"""Files that hold the PKI: private ones 0600 in directories 0700, replaced all at once or not at all.

Knows nothing of what the bytes mean. A reader sees the old file or the new one, also after a power cut: the new
content is on disk before it takes the name, and the name is on disk before the writer goes on.
"""

import os
import secrets
import stat
from pathlib import Path

from certs.errors import FileExists, FileUnusable, PrivateFileExposed

PRIVATE_FILE = 0o600
PUBLIC_FILE = 0o644
PRIVATE_DIRECTORY = 0o700
MAX_FILE_BYTES = 1 << 20  # no key, bundle or deny-list comes near; a mistaken path to something huge is refused

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_directory(path: Path) -> Path:
    """Make the directory with mode 0700, or accept an existing one that only its owner can enter.

    Raises:
        PrivateFileExposed: other users may enter it.
        FileUnusable: it cannot be made, or is no directory.
    """
    try:
        _make_directory(path)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise _unusable(path, error) from error
    if mode & _OTHERS:
        raise PrivateFileExposed(path, mode, PRIVATE_DIRECTORY)
    return path


def check_private_file(path: Path) -> None:
    """Refuse a private file that anybody but its owner can touch or exchange.

    Raises:
        PrivateFileExposed: group or others have a permission on it, or may write into its directory.
        FileUnusable: it is missing or no plain file.
    """
    try:
        _check_status(path, path.stat())
        _check_place(path)
    except OSError as error:
        raise _unusable(path, error) from error


def read_private(path: Path) -> bytes:
    """Return the content of a private file, checked on the open file so that it cannot be exchanged in between.

    Raises:
        PrivateFileExposed, FileUnusable: as check_private_file().
    """
    return _read(path, private=True)


def read_public(path: Path) -> bytes:
    """Return the content of a certificate, bundle or request file.

    Raises:
        FileUnusable: it is missing, unreadable or no plain file of a believable size.
    """
    return _read(path, private=False)


def write_private(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a private file (0600) atomically and durably into a private directory, made when absent.

    Raises:
        FileExists: it exists and `replace` is false.
        PrivateFileExposed, FileUnusable: the directory is not private, or the file cannot be written.
    """
    private_directory(path.parent)
    _write(path, content, PRIVATE_FILE, replace=replace)


def write_public(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file that everybody may read (0644) atomically and durably; its directory must exist.

    Raises:
        FileExists: it exists and `replace` is false.
        FileUnusable: it cannot be written.
    """
    _write(path, content, PUBLIC_FILE, replace=replace)


def _read(path: Path, *, private: bool) -> bytes:
    try:
        # O_NONBLOCK: a named pipe put in the place of a key must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if private:
                _check_status(path, status)
                _check_place(path)
            _check_plain(path, status)
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise _unusable(path, error) from error


def _check_status(path: Path, status: os.stat_result) -> None:
    _check_plain(path, status)
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise PrivateFileExposed(path, mode, PRIVATE_FILE)


def _check_place(path: Path) -> None:
    """Refuse a directory where others could put their own file in the place of ours."""
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise PrivateFileExposed(path.parent, mode, PRIVATE_DIRECTORY)


def _check_plain(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileUnusable(path, "is not a plain file", "name the file itself")
    if status.st_size > MAX_FILE_BYTES:
        raise FileUnusable(path, f"is larger than {MAX_FILE_BYTES} bytes", "name a PEM file")


def _make_directory(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=PRIVATE_DIRECTORY)
    except FileExistsError:
        return
    path.chmod(PRIVATE_DIRECTORY)  # whatever the umask took away
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _write(path: Path, content: bytes, mode: int, *, replace: bool) -> None:
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        try:
            _write_scratch(scratch, content, mode)
            if replace:
                scratch.replace(path)
            else:
                path.hardlink_to(scratch)  # unlike rename, fails when the name is taken, without a race
        finally:
            scratch.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise FileExists(path) from error
    except OSError as error:
        raise _unusable(path, error) from error


def _write_scratch(path: Path, content: bytes, mode: int) -> None:
    # O_EXCL and the mode at creation: the bytes are never readable by others, not even for a moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask took away
        if os.geteuid() == 0:
            # What root writes for a service belongs to the service: to whoever owns the directory.
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> FileUnusable:
    return FileUnusable(path, f"cannot be used ({error.strerror or error})", "check the path and its permissions")
