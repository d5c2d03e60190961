"""After a restore: what came since the backup is looked for in Jira, and readers' cursors stay behind what is new."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from gateway.sealing import SecretKey
from gateway.store import Cause, Connection, Credentials, NewEvent, Way, open_store
from gateway.store.event_restore import SKIPPED, note_restore
from gateway.store.event_store import open_event_store
from gateway.store.event_writing import Batch
from gateway.store.rows import DIRECT
from tests.support.subscriptions import NOW, make_hook

KEY = SecretKey(SecretStr("k" * 40))
LATER = NOW + timedelta(hours=3)


@pytest.fixture
async def stores(tmp_path):
    path = tmp_path / "gateway.db"
    async with open_store(path, KEY, NOW) as store, open_event_store(path) as events:
        yield store, events


async def add(events, number):
    new = NewEvent("hq", f"changelog/{number}", "jira:issue_updated", NOW, (1,))
    [[delivery]] = await events.write(Batch(events=[new]))
    return delivery.number


async def test_the_time_since_the_backup_is_a_gap_of_each_connection_with_hooks(stores):
    store, events = stores
    async with store.change("ann", NOW) as change:
        for name in ("hq", "plant", "quiet"):
            await change.add_connection(Connection(name, DIRECT, Credentials.CALLER, f"https://{name}.example"))
        await change.add_hook(make_hook())
        await change.add_hook(make_hook(hook_id="o" * 43, connection="plant", way=Way.INTERNET))
        await change.record("backup.create", "file", {})
    assert await note_restore(events, LATER) == 2
    gaps = await store.gaps(open_only=True)
    assert {(gap.connection, gap.cause, gap.way, gap.from_at, gap.to_at) for gap in gaps} == {
        ("hq", Cause.GATEWAY, None, NOW, LATER),
        ("plant", Cause.GATEWAY, None, NOW, LATER),
    }


async def test_no_cursor_comes_a_second_time(stores):
    _, events = stores
    before = await add(events, 1)
    await note_restore(events, datetime.now(UTC))
    assert await add(events, 2) > before + SKIPPED


async def test_nor_does_the_first_one(stores):
    _, events = stores
    await note_restore(events, datetime.now(UTC))
    assert await add(events, 1) > SKIPPED
