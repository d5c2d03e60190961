"""Backup and restore: whole, private, checked before anything is touched, and nothing lands elsewhere."""

import io
import json
import socket
import tarfile
from contextlib import closing
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from gateway.backup import (
    DATABASE,
    MANIFEST,
    BackupUnusable,
    GatewayRuns,
    State,
    StateInTheWay,
    install,
    unpacked,
    write_backup,
)
from gateway.certificate_authority import CertificateAuthority
from gateway.sealing import KEY_FILE, SecretKey, load_secret_key
from gateway.store import Invite, open_store

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def state_in(directory):
    directory.mkdir(mode=0o700, exist_ok=True)
    return State(directory, directory / DATABASE)


async def made(directory):
    """A state with a key, a CA, a server certificate and one agent; returned with its backup."""
    state = state_in(directory)
    key = load_secret_key(directory, None)
    authority = CertificateAuthority(directory)
    authority.create_if_absent(NOW)
    authority.renew_server(["localhost"], NOW)
    async with open_store(state.database, key, NOW) as store:
        async with store.change("test", NOW) as change:
            await change.add_invite(Invite("a" * 64, "acme", NOW, NOW))
        archive = directory.parent / "backup.tar"
        with archive.open("wb") as out:
            write_backup(state, key, out, NOW)  # with the store open, as beside a running gateway
    return state, archive.read_bytes()


def files_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def archive_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


async def test_a_restored_state_is_the_state_that_was_backed_up(tmp_path):
    state, archive = await made(tmp_path / "old")
    new = state_in(tmp_path / "new")
    with unpacked(new, io.BytesIO(archive)) as scratch:
        assert install(new, scratch, NOW, force=False) is None

    for name in (KEY_FILE, "ca/ca.key", "ca/ca.pem", "server.pem"):
        assert (new.directory / name).read_bytes() == (state.directory / name).read_bytes(), name
    assert {path.stat().st_mode & 0o077 for path in new.directory.rglob("*")} == {0}
    async with open_store(new.database, load_secret_key(new.directory, None), NOW) as store:
        assert [agent.name for agent in await store.agents()] == ["acme"]
        assert (await store.verify_audit()).count == 1


async def test_the_scratch_directory_is_gone_afterwards(tmp_path):
    state, archive = await made(tmp_path / "old")
    with unpacked(state, io.BytesIO(archive)):
        pass

    assert not list(state.directory.glob(".scratch*"))


async def test_a_key_from_the_environment_is_kept_too(tmp_path):
    state = state_in(tmp_path / "old")
    key = SecretKey(SecretStr("configured key, 32 characters or more"))
    async with open_store(state.database, key, NOW):
        pass
    out = (tmp_path / "backup.tar").open("wb")
    with out:
        write_backup(state, key, out, NOW)

    files = files_of((tmp_path / "backup.tar").read_bytes())
    assert files[KEY_FILE] == b"configured key, 32 characters or more\n"


async def test_every_changed_byte_of_a_file_is_noticed(tmp_path):
    _, archive = await made(tmp_path / "old")
    new = state_in(tmp_path / "new")
    names = [name for name in files_of(archive) if name != MANIFEST]
    for name in names:
        files = files_of(archive)
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
        with pytest.raises(BackupUnusable), unpacked(new, io.BytesIO(archive_of(files))):
            pass

    assert len(names) == 5
    assert list(new.directory.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "control.sock", "ca/../../evil"])
async def test_a_name_that_is_not_ours_is_refused(tmp_path, name):
    _, archive = await made(tmp_path / "old")
    files = files_of(archive)
    manifest = json.loads(files[MANIFEST])
    manifest["files"][name] = "0" * 64
    files[MANIFEST] = json.dumps(manifest).encode()
    with pytest.raises(BackupUnusable), unpacked(state_in(tmp_path / "new"), io.BytesIO(archive_of(files))):
        pass


async def test_a_link_in_place_of_a_file_is_refused(tmp_path):
    _, archive = await made(tmp_path / "old")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as tar:
        head = tarfile.TarInfo(MANIFEST)
        head.size = len(files_of(archive)[MANIFEST])
        tar.addfile(head, io.BytesIO(files_of(archive)[MANIFEST]))
        link = tarfile.TarInfo(DATABASE)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BackupUnusable), unpacked(state_in(tmp_path / "new"), io.BytesIO(out.getvalue())):
        pass


@pytest.mark.parametrize("cut", [0, 100, 700, 5000])
async def test_a_cut_file_is_refused(tmp_path, cut):
    _, archive = await made(tmp_path / "old")
    with pytest.raises(BackupUnusable), unpacked(state_in(tmp_path / "new"), io.BytesIO(archive[:cut])):
        pass


async def test_a_newer_format_is_refused(tmp_path):
    _, archive = await made(tmp_path / "old")
    files = files_of(archive)
    files[MANIFEST] = files[MANIFEST].replace(b'"format": 1', b'"format": 2')
    with pytest.raises(BackupUnusable) as caught, unpacked(state_in(tmp_path / "new"), io.BytesIO(archive_of(files))):
        pass

    assert "format 2" in str(caught.value)


async def test_a_state_is_replaced_only_by_force_and_kept_aside(tmp_path):
    state, archive = await made(tmp_path / "old")
    before = (state.directory / KEY_FILE).read_bytes()
    with unpacked(state, io.BytesIO(archive)) as scratch, pytest.raises(StateInTheWay):
        install(state, scratch, NOW, force=False)
    (state.directory / KEY_FILE).write_bytes(b"another key")
    with unpacked(state, io.BytesIO(archive)) as scratch:
        replaced = install(state, scratch, NOW, force=True)

    assert (state.directory / KEY_FILE).read_bytes() == before
    assert (replaced / KEY_FILE).read_bytes() == b"another key"
    assert (replaced / "ca" / "ca.key").exists()
    assert replaced.stat().st_mode & 0o777 == 0o700


async def test_a_restored_database_does_not_meet_the_old_ones_log(tmp_path):
    """SQLite would replay a left-over -wal file into the restored database."""
    state, archive = await made(tmp_path / "old")
    wal = state.database.with_name("gateway.db-wal")
    wal.write_bytes(b"left over by a crash")
    with unpacked(state, io.BytesIO(archive)) as scratch:
        install(state, scratch, NOW, force=True)

    assert not wal.exists()


async def test_nothing_is_restored_under_a_running_gateway(tmp_path):
    state, archive = await made(tmp_path / "s")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(state.directory / "control.sock"))
        listener.listen()
        with unpacked(state, io.BytesIO(archive)) as scratch, pytest.raises(GatewayRuns):
            install(state, scratch, NOW, force=True)

    assert state.database.exists()
    assert not state.is_running  # a socket file that nobody answers is no gateway
