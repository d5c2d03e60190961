"""The audit log's files: rotation that stays provable, what a crash leaves, and what verify says."""

import errno
import os

import pytest

from agent import audit_file
from agent.audit_chain import Head
from agent.audit_check import newest, verify
from agent.audit_entries import NoteEntry
from agent.audit_file import AuditFile, AuditInUse, audit_files

MIB = 1 << 20


def note(kind="x", **fields):
    return NoteEntry(1_700_000_000.0, kind, fields)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "audit"


def opened(directory, max_bytes=MIB):
    file = AuditFile(directory, max_bytes, lambda: 1_700_000_000.0)
    return file, file.open()


def written(directory, count=5, kind="stop"):
    file, _ = opened(directory)
    for number in range(count):
        file.append([note("x", number=number)])
    file.append([note(kind)])
    file.close()
    return file.head


def check(directory, kept=None):
    return verify(directory, kept, lambda seconds: None)


def test_what_was_written_is_whole_and_private(directory):
    head = written(directory)
    report = check(directory)
    assert (report.problems, report.notes, report.first, report.head) == ([], [], 1, head)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in audit_files(directory)] == [0o600]


def test_the_next_run_goes_on_where_the_last_one_ended(directory):
    head = written(directory)
    file, found = opened(directory)
    assert (found.head, found.was_stopped, found.torn_bytes, found.damaged) == (head, True, 0, None)
    file.append([note()])
    file.close()
    assert check(directory).head.count == head.count + 1
    _, found = opened(directory)
    assert not found.was_stopped


def test_two_at_once_are_refused(directory):
    file, _ = opened(directory)
    with pytest.raises(AuditInUse):
        opened(directory)
    file.close()
    opened(directory)[0].close()


def test_the_oldest_goes_for_room_and_that_stays_provable(directory):
    file, _ = opened(directory)
    for number in range(3000):
        file.append([note("x", text="y" * 500, number=number)])
    file.close()
    report = check(directory)
    assert report.problems == []
    assert report.first > 1
    assert sum(path.stat().st_size for path in audit_files(directory)) <= MIB
    assert report.head == file.head


def test_a_file_that_somebody_else_deleted_is_missed(directory):
    file, _ = opened(directory)
    for number in range(1500):
        file.append([note("x", text="y" * 500, number=number)])
    file.close()
    files = audit_files(directory)
    assert len(files) > 3
    files[0].unlink()
    assert "are gone, and no entry says" in check(directory).problems[0]
    files[2].unlink()
    assert any("are missing before it" in problem for problem in check(directory).problems)


@pytest.mark.parametrize("cut", [1, 2, 50, 100])
def test_a_torn_last_line_is_told_and_cut_off_at_the_next_start(directory, cut):
    written(directory, kind="x")
    [path] = audit_files(directory)
    whole = path.read_bytes()
    os.truncate(path, len(whole) - cut)
    assert "torn" in check(directory).problems[0]

    file, found = opened(directory)
    assert found.torn_bytes > 0
    assert found.damaged is None
    file.append([note("repair", cut_bytes=found.torn_bytes)])
    file.close()
    report = check(directory)
    assert report.problems == []
    assert "was cut off" in report.notes[0]


def test_what_a_file_system_left_empty_at_the_end_is_torn_too(directory):
    head = written(directory)
    [path] = audit_files(directory)
    path.write_bytes(path.read_bytes() + b'{"n":8,"at' + b"\0" * 4000)
    file, found = opened(directory)
    assert (found.head, found.torn_bytes) == (head, 4010)
    file.close()
    assert check(directory).problems == []


def test_a_changed_last_line_is_not_taken_for_a_torn_one(directory):
    written(directory)
    [path] = audit_files(directory)
    content = path.read_bytes()
    path.write_bytes(
        content[:-10] + b"0" + content[-9:] if content[-10:-9] != b"0" else content[:-10] + b"1" + content[-9:]
    )
    file, found = opened(directory)
    assert found.damaged == path
    file.append([note("damage", file=path.name)])
    file.append([note()])
    file.close()
    report = check(directory)
    assert f"{path.name}, line 7" in report.problems[0]
    assert len(audit_files(directory)) == 2


def test_a_start_that_died_before_its_first_line_leaves_nothing(directory):
    head = written(directory)
    (directory / "000000000008.jsonl").write_bytes(b'{"n":8')
    file, found = opened(directory)
    assert found.head == head
    file.close()
    assert check(directory).problems == []


def test_a_full_disk_leaves_no_half_line(directory, monkeypatch):
    file, _ = opened(directory)
    file.append([note()])
    before = file.head
    real = os.write

    def full(number, data):
        if len(data) > 40:
            return real(number, data[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(audit_file.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        file.append([note()])
    assert file.head == before
    monkeypatch.undo()
    file.append([note()])
    file.close()
    assert check(directory).problems == []


def test_a_full_disk_at_the_start_leaves_no_file(directory, monkeypatch):
    file, _ = opened(directory)
    monkeypatch.setattr(
        audit_file.os, "write", lambda number, data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
    )
    for _ in range(3):
        with pytest.raises(OSError, match="full"):
            file.append([note()])
    assert audit_files(directory) == []
    monkeypatch.undo()
    file.append([note()])
    file.close()
    assert check(directory).problems == []


def test_a_head_that_was_kept_elsewhere_shows_what_the_files_cannot(directory):
    head = written(directory)
    [path] = audit_files(directory)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:4]))
    assert check(directory).problems == []
    assert check(directory, head).problems == [f"entries 5 to {head.count} are missing at the end"]
    path.unlink()
    written(directory, count=9)
    assert "is not the one that the given head names" in check(directory, head).problems[0]
    assert check(directory, Head(head.count, "0" * 64)).problems


def test_the_newest_come_oldest_first_over_all_files(directory):
    file, _ = opened(directory)
    for number in range(1500):
        file.append([NoteEntry(1_700_000_000.0 + number, "x", {"number": number, "text": "y" * 500})])
    file.close()
    assert len(audit_files(directory)) > 2
    numbers = [entry["number"] for entry in newest(directory, 900) if entry["kind"] == "x"]
    assert numbers == list(range(numbers[0], 1500))
    assert len(newest(directory, 900)) == 900
    since = newest(directory, 10_000, "2023-11-14T22:38:00")
    assert [entry["number"] for entry in since] == list(range(1480, 1500))
