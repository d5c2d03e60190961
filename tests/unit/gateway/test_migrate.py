"""The store's migrations run in a process of their own, and only when there is something to do."""

import subprocess

import pytest

from gateway.store import migrate
from gateway.store.engine import REVISIONS
from runtime.exits import CONFIGURATION, CommandFailed


def test_a_new_store_is_migrated_apart_and_a_current_one_is_left_alone(tmp_path, monkeypatch):
    store = tmp_path / "state" / "gateway.db"
    migrate.migrate_apart(store)
    assert migrate._is_current(store)

    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("nothing was to be done"))
    migrate.migrate_apart(store)


def test_a_store_that_is_no_database_ends_in_one_line(tmp_path):
    store = tmp_path / "gateway.db"
    store.write_bytes(b"no database at all, but long enough to be looked at" * 10)

    with pytest.raises(CommandFailed) as caught:
        migrate.migrate_apart(store)

    assert caught.value.status == CONFIGURATION
    assert str(store) in caught.value.line
    assert "\n" not in caught.value.line


def test_the_newest_revision_is_the_last_of_the_list():
    assert max(REVISIONS) == REVISIONS[-1]
