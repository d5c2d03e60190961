"""The agent's audit log: what was carried, refused and changed here. Takes entries at once, writes them in a thread.

The request path pays for one small tuple; nothing there waits, formats or hashes. What cannot be written waits, up to a
bound; what is beyond is counted, and said in the log as a `gap` as soon as it can be. Requests go on meanwhile
(docs/decisions/0017-switch-and-audit.md).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic, time  # noqa: TID251 - the default of an injected clock: asked for every request
from typing import Any, Final, Protocol

import structlog

from agent.audit_entries import Entry, NoteEntry, RequestEntry, moment
from agent.audit_file import AuditFile, AuditInUse
from certs.errors import CertsError
from runtime.exits import CONFIGURATION, CommandFailed
from tunnel.heads import RequestHead

log = structlog.get_logger()

AUDIT_FOLDER: Final = "audit"
"""In the state directory."""

FLUSH_SECONDS: Final = 0.1
SYNC_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
HEAD_SECONDS: Final = 3600.0
CLOSE_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 10.0
MAX_WAITING_BYTES: Final = 4 << 20
NOTES_BYTES: Final = 1 << 20
"""Beyond the bound, for what is no request: a switch that is turned must not be what is missing."""


class RequestAudit(Protocol):
    """What the request path knows of an audit log."""

    def request(
        self,
        head: RequestHead,
        rule: str | None,
        outcome: str,
        status: int = 0,
        received: int = 0,
        answered: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Note a request that has ended. Never waits, never raises."""


class AuditLog:
    """One log in `directory`: `open` it, `run` it, `close` it."""

    def __init__(self, directory: Path, max_bytes: int, clock: Callable[[], float] = time) -> None:
        """`clock`: seconds since 1970."""
        self._directory = directory
        self._file = AuditFile(directory, max_bytes, clock)
        self._clock = clock
        self._writing = Lock()  # between the thread that writes, and the end
        self._waiting: list[Entry] = []
        self._waiting_bytes = 0
        self._batch: list[Entry] = []  # being written
        self._batch_bytes = 0
        self._wake = asyncio.Event()
        self._is_open = False
        self._synced_at = 0.0
        self._lost = 0
        self._lost_from = 0.0
        self.lost_total = 0
        self.written_total = 0
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<AuditLog {self._file.head.count} written, {len(self._waiting)} waiting, {self.lost_total} lost>"

    def open(self, **about: str) -> None:
        """Go on where the last run ended, and note the start; `about` says what starts. A full disk is no failure.

        Raises:
            CommandFailed: another process writes this log, or the files are not usable.
        """
        try:
            found = self._file.open()
        except AuditInUse:
            line = f"another process runs on {self._directory.parent}; stop it, or choose another JIRA_AGENT_STATE_DIR"
            raise CommandFailed(line) from None
        except (CertsError, OSError) as error:
            raise CommandFailed(f"the audit log cannot be used: {error}", CONFIGURATION) from None
        self._is_open = True
        if found.torn_bytes:
            log.warning("audit_repaired", cut_bytes=found.torn_bytes, reason="the last line was torn by a crash")
            self.note("repair", cut_bytes=found.torn_bytes)
        if found.damaged is not None:
            log.error("audit_damaged", file=str(found.damaged), action="run jira-agent audit verify")
            self.note("damage", file=found.damaged.name)
        self.note("start", **about, unclean=not found.was_stopped)
        self._log_head()

    def request(
        self,
        head: RequestHead,
        rule: str | None,
        outcome: str,
        status: int = 0,
        received: int = 0,
        answered: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Note a request that has ended: by which rule, what became of it, bytes of bodies, and how long it took."""
        name = head.meta.get
        self._take(
            RequestEntry(
                self._clock(),
                name(b"caller", b""),
                name(b"request-id", b""),
                name(b"connection", b""),
                head.method,
                head.target,
                rule,
                outcome,
                status,
                received,
                answered,
                seconds,
            ),
            MAX_WAITING_BYTES,
        )

    def note(self, kind: str, **fields: Any) -> None:
        """Note something else that happened; the fields are JSON and hold no secret."""
        self._take(NoteEntry(self._clock(), kind, fields), MAX_WAITING_BYTES + NOTES_BYTES)

    async def run(self) -> None:
        """Write what comes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_heads())
            while True:
                if await self._is_woken():
                    await self._write()
                    await asyncio.sleep(FLUSH_SECONDS if self.problem is None else RETRY_SECONDS)
                else:
                    await self._sync_idle()

    def close(self, **about: str) -> None:
        """Write what is left and note the stop: the last call. Blocks for moments."""
        if not self._is_open:
            return
        self._is_open = False
        self._note_gap()
        self.note("stop", **about)
        if not self._writing.acquire(timeout=CLOSE_SECONDS):
            log.error("audit_not_closed", reason="the disk does not answer")
            return
        try:
            self._batch += self._waiting
            self._waiting = []
            self._append()
            self._file.close()
        except OSError as error:
            log.error("audit_not_closed", reason=str(error), entries=len(self._batch))  # noqa: TRY400 - the disk
        finally:
            self._writing.release()
        self._log_head()

    def page(self) -> dict[str, Any]:
        """Return the section of the status page."""
        return {
            "entries": self._file.head.count,
            "head": str(self._file.head),
            "waiting": len(self._waiting) + len(self._batch),
            "lost": self.lost_total,
            "problem": self.problem,
        }

    def _take(self, entry: Entry, most: int) -> None:
        size = entry.size
        if self._waiting_bytes + self._batch_bytes + size > most:
            self._lost_from = self._lost_from or entry.at
            self._lost += 1
            self.lost_total += 1
            return
        if not self._waiting:
            self._wake.set()
        self._waiting.append(entry)
        self._waiting_bytes += size

    async def _is_woken(self) -> bool:
        """Wait for something to write; False when nothing came for a while, and what was written is to be synced."""
        try:
            async with asyncio.timeout(SYNC_SECONDS if self._file.is_dirty else None):
                await self._wake.wait()  # without a deadline only while everything is on the disk
        except TimeoutError:
            return False
        return True

    async def _sync_idle(self) -> None:
        try:
            await asyncio.to_thread(self._sync)
        except OSError as error:
            self._note_problem(f"the audit log cannot be written: {error.strerror or error}")
            self._wake.set()  # the next write says whether it can be again

    async def _write(self) -> None:
        """Hand everything that waits to a thread; what fails waits on."""
        self._wake.clear()
        if self.problem is None:
            self._note_gap()
        self._batch += self._waiting
        self._batch_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        writing = asyncio.get_running_loop().run_in_executor(None, self._locked_append)
        while not (await asyncio.wait({writing}, timeout=WRITE_SECONDS))[0]:
            self._note_problem("the audit log cannot be written: the disk does not answer")
        try:
            writing.result()
        except OSError as error:
            self._note_problem(f"the audit log cannot be written: {error.strerror or error}")
            self._wake.set()
        else:
            self._batch_bytes = 0
            self._note_problem(None)

    def _note_gap(self) -> None:
        if self._lost:
            gap = {"lost": self._lost, "from": moment(self._lost_from), "until": moment(self._clock())}
            self._lost, self._lost_from = 0, 0.0
            self.note("gap", **gap)

    def _locked_append(self) -> None:
        with self._writing:
            self._append()
            if monotonic() - self._synced_at >= SYNC_SECONDS:
                self._sync_now()

    def _append(self) -> None:
        if self._batch:
            self._file.append(self._batch)
            self.written_total += len(self._batch)
            self._batch = []

    def _sync(self) -> None:
        with self._writing:
            self._sync_now()

    def _sync_now(self) -> None:
        self._file.sync()
        self._synced_at = monotonic()

    def _note_problem(self, problem: str | None) -> None:
        if problem is not None and self.problem is None:
            log.error("audit_not_written", reason=problem, action="make room; requests go on, and what is lost is told")
        if problem is None and self.problem is not None:
            log.warning("audit_written_again", lost=self._lost)
            self._wake.set()
        self.problem = problem

    async def _tell_heads(self) -> None:
        """Log where the trail ends: logs leave this machine, and whoever cuts the end off cannot cut it off there."""
        while True:
            await asyncio.sleep(HEAD_SECONDS)
            self._log_head()

    def _log_head(self) -> None:
        head = self._file.head
        log.info("audit_head", count=head.count, head=str(head))
