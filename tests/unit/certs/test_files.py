"""Private files: their modes, and replacement all at once."""

import os
import stat
from contextlib import nullcontext

import pytest

from certs import files
from certs.errors import FileExists, FileUnusable, PrivateFileExposed
from certs.files import check_private_file, private_directory, read_private, read_public, write_private, write_public


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o177])
def test_private_files_are_0600_in_0700_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_private(tmp_path / "state" / "a.key", b"secret")
        write_public(tmp_path / "state" / "a.pem", b"public")
    finally:
        os.umask(before)
    assert mode(tmp_path / "state") == 0o700
    assert mode(tmp_path / "state" / "a.key") == 0o600
    assert mode(tmp_path / "state" / "a.pem") == 0o644
    assert read_private(tmp_path / "state" / "a.key") == b"secret"


@pytest.mark.parametrize("wrong", [0o640, 0o604, 0o660, 0o610, 0o601, 0o777])
def test_an_exposed_private_file_is_refused_with_the_fix(private, wrong):
    path = private / "a.key"
    write_private(path, b"secret")
    path.chmod(wrong)
    for check in (read_private, check_private_file):
        with pytest.raises(PrivateFileExposed) as refused:
            check(path)
        assert refused.value.mode == wrong
        assert refused.value.fix == f"run 'chmod 600 {path}'"


def test_an_owner_who_cannot_write_is_private_enough(private):
    write_private(private / "a.key", b"secret")
    (private / "a.key").chmod(0o400)
    assert read_private(private / "a.key") == b"secret"


def test_an_exposed_directory_is_refused_with_the_fix(private):
    private.chmod(0o750)
    with pytest.raises(PrivateFileExposed) as refused:
        write_private(private / "a.key", b"secret")
    assert refused.value.fix == f"run 'chmod 700 {private}'"
    assert list(private.iterdir()) == []


@pytest.mark.parametrize(("mode", "refused"), [(0o755, False), (0o1777, False), (0o770, True), (0o702, True)], ids=str)
def test_a_directory_where_others_could_exchange_the_file_is_refused(private, mode, refused):
    path = private / "a.key"
    write_private(path, b"secret")
    private.chmod(mode)
    for check in (read_private, check_private_file):
        with pytest.raises(PrivateFileExposed) if refused else nullcontext():
            check(path)


def test_replacing_keeps_the_mode_private_even_after_an_exposed_file(private):
    path = private / "a.key"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (mode(path), read_private(path)) == (0o600, b"new")


def test_not_replacing_leaves_the_file_alone(private):
    path = private / "a.key"
    write_private(path, b"old")
    for write in (write_private, write_public):
        with pytest.raises(FileExists):
            write(path, b"new", replace=False)
    assert read_private(path) == b"old"
    assert list(private.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_litter(private, monkeypatch, step):
    path = private / "a.key"
    write_private(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(FileUnusable):
        write_private(path, b"new")
    monkeypatch.undo()
    assert read_private(path) == b"old"
    assert list(private.iterdir()) == [path]


def test_content_is_on_disk_before_it_gets_the_name_and_the_name_before_we_go_on(private, monkeypatch):
    path = private / "a.key"
    seen = []
    real = os.fsync

    def spy(descriptor):
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, path.exists()))
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", spy)
    write_private(path, b"secret")
    assert seen == [("file", False), ("directory", True)]


def test_a_symbolic_link_in_the_way_is_replaced_not_followed(private, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(b"untouched")
    (private / "a.key").symlink_to(target)
    write_private(private / "a.key", b"secret")
    assert target.read_bytes() == b"untouched"
    assert not (private / "a.key").is_symlink()


def test_things_that_are_no_plain_file_are_refused_without_waiting(private):
    os.mkfifo(private / "pipe", 0o600)
    for path in (private / "pipe", private, private / "missing"):
        for read in (read_private, read_public):
            with pytest.raises(FileUnusable):
                read(path)


def test_a_huge_file_is_refused(private):
    with (private / "big").open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)
    with pytest.raises(FileUnusable):
        read_public(private / "big")


def test_a_file_where_the_directory_should_be_is_refused(tmp_path):
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises((FileUnusable, PrivateFileExposed)):
        private_directory(tmp_path / "state")
    with pytest.raises(FileUnusable):
        private_directory(tmp_path / "state" / "deeper")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_belongs_to_the_owner_of_the_directory(private):
    os.chown(private, 12345, 23456)
    write_private(private / "a.key", b"secret")
    write_private(private / "deeper" / "b.key", b"secret")
    for path in (private / "a.key", private / "deeper", private / "deeper" / "b.key"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
