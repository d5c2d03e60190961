"""The spool as the event loop sees it: nothing blocks, nothing is told before it is on the disk, nothing is lost."""

import asyncio
import threading

import pytest

from agent.spool import Spool
from agent.spool_file import SpoolFile
from agent.spool_records import Cause, SpoolFull, SpoolRecord, SpoolUnavailable, gap_record


def record(number=1, body=b"{}"):
    return SpoolRecord(f"e{number}", b"/v1/events/ab", number, b"", [], body)


@pytest.fixture
async def spool(tmp_path):
    spool = Spool(tmp_path, 100_000, lambda: 5000)
    await spool.open()
    yield spool
    await spool.close()


async def kept(spool, *records):
    """Append and return what each was told."""
    told = []
    all_told = asyncio.Event()

    def done(error):
        told.append(error)
        if len(told) == len(records):
            all_told.set()

    for one in records:
        spool.append(one, done)
    async with asyncio.timeout(10):
        await all_told.wait()
    return told


async def settled(spool):
    """Return when everything that was asked before is done."""
    await spool.oldest(1, 1, ())
    await asyncio.sleep(0)


@pytest.fixture
def writes(monkeypatch):
    """Every transaction; `writes.gate` holds them back while it is cleared, `writes.error` lets them fail."""

    class Writes(list):
        begun = threading.Event()
        gate = threading.Event()
        error = None

    writes = Writes()
    writes.gate.set()
    real = SpoolFile.write

    def write(self, changes):
        writes.begun.set()
        writes.gate.wait(10)
        writes.append(changes)
        if writes.error is not None and writes.error(changes):
            raise SpoolUnavailable(self._path, "no space")
        return real(self, changes)

    monkeypatch.setattr(SpoolFile, "write", write)
    yield writes
    writes.gate.set()


async def test_records_are_kept_in_order_and_counted(spool):
    assert await kept(spool, record(1), record(2), record(3)) == [None] * 3
    assert [stored.record for stored in await spool.oldest(2, 1 << 20, ())] == [record(1), record(2)]
    assert spool.contents.records == 3
    assert spool.contents.oldest_at == 1


async def test_nothing_is_told_before_it_is_on_the_disk(spool, writes):
    writes.gate.clear()
    told = []
    spool.append(record(), told.append)
    await asyncio.to_thread(writes.begun.wait, 10)
    await asyncio.sleep(0)
    assert told == []
    writes.gate.set()
    await settled(spool)
    assert told == [None]


async def test_what_waits_goes_into_one_transaction(spool, writes):
    writes.gate.clear()
    told = []
    for number in range(50):
        spool.append(record(number), told.append)
    spool.drop([7])
    spool.mark_alive(9)
    writes.gate.set()
    await settled(spool)
    assert told == [None] * 50
    assert len(writes) <= 2


async def test_a_dropped_record_is_not_read_again_and_leaves_the_file(spool, writes):
    await kept(spool, record(1), record(2))
    writes.gate.clear()
    spool.drop([1])
    writes.gate.set()
    assert [stored.id for stored in await spool.oldest(9, 1 << 20, ())] == [2]
    assert (spool.dropping, spool.contents.records) == (0, 1)


async def test_the_limit_counts_what_is_still_under_way(spool, writes):
    writes.gate.clear()
    told = []
    spool.append(record(1, b"x" * 60_000), told.append)
    with pytest.raises(SpoolFull, match="JIRA_AGENT_SPOOL_MAX_BYTES"):
        spool.append(record(2, b"x" * 60_000), told.append)
    assert (spool.is_full, spool.problem_since) == (True, 5000)
    writes.gate.set()
    await settled(spool)
    assert told == [None]


async def test_a_full_spool_takes_gaps_and_is_well_again_once_there_is_room(spool):
    await kept(spool, record(1, b"x" * 99_400))
    with pytest.raises(SpoolFull):
        spool.append(record(2, b"x" * 20_000), lambda _: None)
    assert await kept(spool, gap_record("g", 1, 2, Cause.SPOOL_FULL)) == [None]
    assert spool.is_full
    spool.drop([1])
    await settled(spool)
    assert spool.problem is None
    assert await kept(spool, record(2, b"x" * 20_000)) == [None]


async def test_a_disk_that_is_full_is_told_and_recovers_by_itself(spool, writes):
    writes.error = lambda changes: True
    [error] = await kept(spool, record(1, b"x" * 60_000))
    assert isinstance(error, SpoolUnavailable)
    assert spool.problem is error
    writes.error = None
    assert await kept(spool, record(2, b"x" * 60_000)) == [None]
    assert spool.problem is None


async def test_drops_free_space_although_appends_beside_them_fail(spool, writes):
    await kept(spool, record(1))
    writes.error = lambda changes: bool(changes.appends)
    writes.gate.clear()
    spool.drop([1])
    told = []
    spool.append(record(2), told.append)
    writes.gate.set()
    await settled(spool)
    assert isinstance(told[0], SpoolUnavailable)
    assert spool.contents.records == 0


async def test_drops_and_facts_that_the_disk_did_not_take_go_with_the_next_write(spool, writes, tmp_path):
    await kept(spool, record(1), record(2))
    writes.error = lambda changes: True
    spool.drop([1])
    spool.remember_hooks(frozenset({b"h" * 32}))
    await settled(spool)
    assert (spool.contents.records, spool.dropping) == (2, 1)
    assert [stored.id for stored in await spool.oldest(9, 1 << 20, ())] == [2]
    writes.error = None
    spool.mark_alive(42)
    await settled(spool)
    assert (spool.contents.records, spool.dropping) == (1, 0)
    await spool.close()
    again = SpoolFile(tmp_path / "spool.db")
    assert (again.contents.hooks, again.contents.alive_at) == (frozenset({b"h" * 32}), 42)
    again.close()


async def test_closing_writes_what_waits(tmp_path):
    spool = Spool(tmp_path, 100_000, lambda: 0)
    await spool.open()
    told = []
    spool.append(record(), told.append)
    await spool.close()
    await asyncio.sleep(0)
    assert told == [None]
    again = SpoolFile(tmp_path / "spool.db")
    assert again.contents.records == 1
    again.close()


async def test_numbers_go_on_after_a_new_start(tmp_path, spool):
    await kept(spool, record(1), record(2))
    await spool.close()
    again = Spool(tmp_path, 100_000, lambda: 0)
    await again.open()
    await kept(again, record(3))
    assert [stored.id for stored in await again.oldest(9, 1 << 20, ())] == [1, 2, 3]
    await again.close()


async def test_a_file_that_cannot_be_read_is_told_to_who_asked(spool, monkeypatch):
    def fail(self, *question):
        raise SpoolUnavailable(self._path, "input/output error")

    monkeypatch.setattr(SpoolFile, "oldest", fail)
    with pytest.raises(SpoolUnavailable):
        await spool.oldest(1, 1, ())


async def test_a_fault_of_ours_in_the_thread_is_told_and_the_thread_lives(spool, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "write", lambda self, changes: 1 / 0)
        [error] = await kept(spool, record(1))
    assert isinstance(error, SpoolUnavailable)
    assert await kept(spool, record(2)) == [None]


async def test_whoever_carries_is_woken_after_a_record_was_kept(spool, writes):
    woken = []
    spool.on_kept = lambda: woken.append(1)
    await kept(spool, record())
    assert woken == [1]
    writes.error = lambda changes: True
    await kept(spool, record())
    spool.mark_alive(1)
    await settled(spool)
    assert woken == [1]


async def test_who_fails_to_hear_costs_nobody_else_anything(spool, writes):
    writes.gate.clear()
    heard = []

    def fail(error):
        heard.append("failed")
        raise KeyError("bug")

    spool.append(record(1), heard.append)
    spool.append(record(2), fail)
    spool.append(record(3), heard.append)
    writes.gate.set()
    await settled(spool)
    assert heard == [None, "failed", None]
    assert await kept(spool, record(4)) == [None]


async def test_a_fault_in_the_second_attempt_is_told_and_the_thread_lives(spool, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "write", lambda self, changes: 1 / 0)
        spool.drop([1])
        await settled(spool)  # the drop waits for the next transaction
        [error] = await kept(spool, record(2))
    assert isinstance(error, SpoolUnavailable)
    assert await kept(spool, record(3)) == [None]
