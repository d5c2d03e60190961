"""The power goes right after each acknowledgement: what was acknowledged is in what is left on the disk.

The disk is rebuilt from the system calls of the real writers with synced bytes only (tests/support/power_cut.py). The
same test with SQLite's synchronous=NORMAL finds events missing, so it can tell.
"""

import sqlite3
import sys
from contextlib import closing

import pytest

from tests.support.power_cut import TraceUnavailable, images, run_traced
from tests.support.stack import PROJECT

COUNT = 40
QUERIES = {
    "spool": ("spool.db", "SELECT event_id FROM records"),
    "log": ("gateway.db", "SELECT occurrence FROM events"),
}

pytestmark = pytest.mark.timeout(180)


def missing_after_each(kind, folder, tmp_path, monkeypatch, trap=()):
    """Return how many acknowledged events each image lacks."""
    monkeypatch.chdir(PROJECT)
    folder.mkdir(mode=0o700)
    trace = tmp_path / "trace"
    words = [sys.executable, "-m", "tests.support.power_cut_writer", kind, str(folder), str(COUNT), *trap]
    try:
        run_traced(words, folder, trace)
    except TraceUnavailable as reason:
        pytest.skip(str(reason))
    name, query = QUERIES[kind]
    acknowledged, missing = set(), []
    for event, disk in images(folder, trace):
        acknowledged.add(event)
        found = tmp_path / "found"
        disk.write_to(found)
        missing.append(len(acknowledged - events_in(found / name, query)))
    assert len(acknowledged) == COUNT
    return missing


def events_in(path, query):
    """Return the events of a database that nobody closed; it must be whole."""
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        try:
            return {row[0] for row in database.execute(query)}
        except sqlite3.OperationalError:  # not even the table is there
            return set()


@pytest.mark.parametrize("kind", ["spool", "log"])
def test_no_acknowledged_event_is_missing_after_a_power_cut(kind, tmp_path, monkeypatch):
    missing = missing_after_each(kind, tmp_path / "state", tmp_path, monkeypatch)
    assert missing == [0] * COUNT


@pytest.mark.parametrize("kind", ["spool", "log"])
def test_the_same_with_less_syncing_loses_events_so_that_the_test_can_tell(kind, tmp_path, monkeypatch):
    missing = missing_after_each(kind, tmp_path / "state", tmp_path, monkeypatch, ["NORMAL"])
    assert sum(count > 0 for count in missing) > COUNT // 2
