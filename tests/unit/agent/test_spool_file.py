"""The spool's file: what a commit keeps, what a failing disk leaves as it was, and what damage looks like."""

import sqlite3
from types import SimpleNamespace

import pytest

from agent import spool_file
from agent.spool_file import SpoolFile
from agent.spool_records import Changes, SpoolDamaged, SpoolInUse, SpoolRecord, SpoolUnavailable, StoredRecord


def record(number, body=b"{}", received_at=None):
    headers = [(b"Content-Type", b"application/json"), (b"User-Agent", b"")]
    return StoredRecord(
        number, SpoolRecord(f"e{number}", b"/v1/events/ab", received_at or number, b"a=1", headers, body)
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.db"


@pytest.fixture
def file(path):
    file = SpoolFile(path)
    yield file
    file.close()


def limit_pages(file, pages):
    file._db.execute(f"PRAGMA max_page_count = {pages}")


def test_what_was_written_is_there_after_a_new_start(path, file):
    file.write(Changes([record(1), record(2, b"")], hooks=frozenset({b"h" * 32}), alive_at=77))
    file.close()
    again = SpoolFile(path)
    try:
        assert again.oldest(10, 1 << 20, ()) == [record(1), record(2, b"")]
        assert (again.contents.records, again.contents.last_id, again.contents.oldest_at) == (2, 2, 1)
        assert again.contents.size == record(1).record.size + record(2, b"").record.size
        assert (again.contents.hooks, again.contents.alive_at) == (frozenset({b"h" * 32}), 77)
    finally:
        again.close()


def test_the_figures_follow_what_is_written_and_dropped(file):
    file.write(Changes([record(1), record(2), record(3)]))
    contents = file.write(Changes([record(4)], [1, 3, 99]))
    assert (contents.records, contents.last_id, contents.oldest_at) == (2, 4, 2)
    assert contents.size == 2 * record(2).record.size
    contents = file.write(Changes(drops=[2, 4]))
    assert (contents.records, contents.size, contents.last_id, contents.oldest_at) == (0, 0, 4, None)


def test_the_oldest_come_first_within_count_and_bytes(file):
    file.write(Changes([record(number, b"x" * 1000) for number in range(1, 8)]))
    size = record(1, b"x" * 1000).record.size

    def ids(*question):
        return [stored.id for stored in file.oldest(*question)]

    assert ids(3, 1 << 20, ()) == [1, 2, 3]
    assert ids(3, 1 << 20, {1, 3}) == [2, 4, 5]
    assert ids(9, 2 * size, ()) == [1, 2]
    assert ids(9, size - 1, {1}) == []


def test_a_full_disk_takes_nothing_of_a_transaction_and_the_next_one_succeeds(file):
    file.write(Changes([record(1, b"x" * 20_000)]))
    limit_pages(file, 20)
    before = file.contents
    with pytest.raises(SpoolUnavailable, match="full"):
        file.write(Changes([record(2), record(3, b"x" * 100_000)], alive_at=5))
    assert file.contents == before
    assert [stored.id for stored in file.oldest(9, 1 << 20, ())] == [1]
    file.write(Changes([record(4)], [1], alive_at=6))
    assert [stored.id for stored in file.oldest(9, 1 << 20, ())] == [4]


def test_some_of_the_disk_is_left_for_dropping_and_pages_that_are_free_count(file, monkeypatch):
    file.write(Changes([record(1, b"x" * 400_000)]))
    monkeypatch.setattr(spool_file.os, "statvfs", lambda path: SimpleNamespace(f_bavail=10, f_frsize=4096))
    with pytest.raises(SpoolUnavailable, match="less than 8 MiB left"):
        file.write(Changes([record(2)], [1]))
    assert file.contents.records == 1
    monkeypatch.setattr(spool_file, "MIN_FREE_BYTES", 50_000)
    with pytest.raises(SpoolUnavailable):
        file.write(Changes([record(2, b"x" * 100_000)]))
    file.write(Changes(drops=[1]))
    file.write(Changes([record(2, b"x" * 100_000)]))
    assert file.contents.records == 1


def test_pages_of_dropped_records_are_used_again(path, file):
    for round_number in range(20):
        first = round_number * 10 + 1
        file.write(Changes([record(number, b"x" * 50_000) for number in range(first, first + 10)]))
        file.write(Changes(drops=list(range(first, first + 10))))
    pages = file._db.execute("PRAGMA page_count").fetchone()[0]
    assert pages * 4096 < 2 * 10 * 50_000


def test_after_an_error_of_the_disk_the_file_is_opened_anew(file):
    file.write(Changes([record(1)]))
    file._db.execute("PRAGMA query_only = ON")
    with pytest.raises(SpoolUnavailable):
        file.write(Changes([record(2)]))
    file.write(Changes([record(3)]))
    assert [stored.id for stored in file.oldest(9, 1 << 20, ())] == [1, 3]
    assert file.contents.records == 2


@pytest.mark.parametrize("content", [b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_file_that_is_none_of_ours_is_told_in_one_line_and_stays(path, content):
    path.write_bytes(content)
    with pytest.raises(SpoolDamaged, match=r"spool\.db is damaged .*move spool\.db\* away") as caught:
        SpoolFile(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_flipped_page_is_noticed_at_the_start(path, file):
    file.write(Changes([record(number, b"x" * 3000) for number in range(1, 50)]))
    file.close()
    content = bytearray(path.read_bytes())
    content[30 * 4096 : 31 * 4096] = b"\xa5" * 4096  # one that is not read otherwise
    path.write_bytes(content)
    with pytest.raises(SpoolDamaged):
        SpoolFile(path)


def test_the_database_of_another_program_is_not_touched(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (a)")
    database.close()
    with pytest.raises(SpoolDamaged, match="format 0"):
        SpoolFile(path)


def test_a_second_agent_is_refused(path, file, monkeypatch):
    monkeypatch.setattr(spool_file, "_LOCK_SECONDS", 0.01)
    with pytest.raises(SpoolInUse, match="another process"):
        SpoolFile(path)


def test_a_directory_that_is_not_there_is_a_refusal_of_the_system(tmp_path):
    with pytest.raises(SpoolUnavailable, match="No such file"):
        SpoolFile(tmp_path / "missing" / "spool.db")


def test_every_commit_is_synced_and_nobody_else_can_read_the_file(path, file):
    assert spool_file.SYNCHRONOUS == "FULL"
    assert file._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert file._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    file.write(Changes([record(1)]))
    assert {entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()} == {0o600}
