"""The audit log as the agent uses it: entries at once, written soon, and never silently lost."""

import asyncio
import errno
from contextlib import asynccontextmanager, suppress

import pytest

from agent import audit_log
from agent.audit_check import newest, verify
from agent.audit_file import AuditFile
from agent.audit_log import AuditLog
from runtime.exits import CONFIGURATION, CommandFailed
from tests.support.mini_gateway import until
from tunnel.heads import RequestHead

HEAD = RequestHead(b"GET", b"/rest/x?os_password=hunter2", [], meta={b"caller": b"ci", b"request-id": b"r1"})


@pytest.fixture
def made(tmp_path):
    log = AuditLog(tmp_path / "audit", 1 << 20)
    yield log
    log.close()


@asynccontextmanager
async def running(log):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(log.run())
        yield
        task.cancel()


def kinds(folder):
    return [entry["kind"] for entry in newest(folder, 100)]


async def test_what_happens_is_in_the_file_soon(made, tmp_path):
    made.open(version="1")
    async with running(made):
        made.request(HEAD, "read-api", "answered", 200, 0, 12, 0.5)
        made.note("switch", mode="paused")
        await until(lambda: made.page()["entries"] >= 4)
    assert kinds(tmp_path / "audit") == ["file", "start", "request", "switch"]
    assert "hunter2" not in (tmp_path / "audit" / "000000000001.jsonl").read_text()


async def test_what_waits_at_the_end_is_written_and_the_next_start_knows_how_it_ended(tmp_path):
    for ends_well in (True, False, True):
        log = AuditLog(tmp_path / "audit", 1 << 20)
        log.open()
        log.request(HEAD, None, "policy_denied")
        if ends_well:
            log.close()
            log.close()
        else:  # as a kill leaves it
            log._batch, log._waiting = log._waiting, []
            log._append()
            log._file.close()
    starts = [entry["unclean"] for entry in newest(tmp_path / "audit", 100) if entry["kind"] == "start"]
    assert starts == [False, False, True]
    report = verify(tmp_path / "audit")
    assert report.problems == []
    assert "did not end in good order" in report.notes[0]


async def test_on_a_full_disk_requests_go_on_and_what_is_lost_is_told(made, tmp_path, monkeypatch):
    made.open()
    monkeypatch.setattr(audit_log, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(audit_log, "MAX_WAITING_BYTES", 50_000)
    whole = AuditFile.append

    def full(self, entries):
        raise OSError(errno.ENOSPC, "No space left on device")

    async with running(made):
        monkeypatch.setattr(AuditFile, "append", full)
        for _ in range(500):
            made.request(HEAD, "r", "answered", 200)
        made.note("switch", mode="paused")
        await until(lambda: made.problem is not None)
        assert "No space left" in made.page()["problem"]
        assert made.lost_total > 300
        monkeypatch.setattr(AuditFile, "append", whole)
        await until(lambda: made.problem is None and "gap" in kinds(tmp_path / "audit"))
    entries = newest(tmp_path / "audit", 1000)
    [gap] = [entry for entry in entries if entry["kind"] == "gap"]
    requests = sum(entry["kind"] == "request" for entry in entries)
    assert (gap["lost"], requests + gap["lost"]) == (made.lost_total, 500)
    assert gap["from"] <= gap["until"]
    assert sum(entry["kind"] == "switch" for entry in entries) == 1
    assert verify(tmp_path / "audit").notes == [
        f"entry {gap['n']}: {gap['lost']} entries could not be written between {gap['from']} and {gap['until']}"
    ]


def test_a_log_that_cannot_be_used_refuses_the_start(tmp_path):
    folder = tmp_path / "audit"
    folder.mkdir(mode=0o755)
    log = AuditLog(folder, 1 << 20)
    with pytest.raises(CommandFailed) as failed:
        log.open()
    assert failed.value.status == CONFIGURATION
    folder.chmod(0o700)
    first = AuditLog(folder, 1 << 20)
    first.open()
    with pytest.raises(CommandFailed, match="another process runs"):
        log.open()
    first.close()


async def test_it_survives_being_cancelled_while_it_writes(made, tmp_path, monkeypatch):
    made.open()
    real = AuditFile.append
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(self, entries):
        loop.call_soon_threadsafe(began.set)
        real(self, entries)

    monkeypatch.setattr(AuditFile, "append", slow)
    with suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(made.run())
            made.request(HEAD, "r", "answered", 200)
            await began.wait()
            task.cancel()
    made.close()
    assert kinds(tmp_path / "audit") == ["file", "start", "request", "stop"]
