"""When the hooks of one connection are looked after: one look at a time, and what the last one said.

A look is due at the start, when triggers or the connection change, when its agent comes or says where it listens, every
ten minutes, and after a failure sooner (5 s, doubled up to 5 minutes; 5 minutes after a refused login).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import structlog

from gateway.directory import ConnectionEntry
from gateway.events.jira_client import FIRST_PAUSE_SECONDS, JiraClient, JiraSilent, pause_after
from gateway.events.registration import Memory, Registration, Shared
from gateway.store import StoreError
from gateway.triggers import TriggerEntry

log = structlog.get_logger()

ROUTINE_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 1.0


class HookWorker:
    """Looks after the hooks of one connection, one look after the other."""

    def __init__(self, client: JiraClient, shared: Shared) -> None:
        self.memory = Memory()
        self._client = client
        self._shared = shared
        self._wishes: tuple[object, ...] = ()
        self._reached: object = None
        self._task: asyncio.Task[None] | None = None
        self._asked = 1  # looks that were asked for; the first one by the start
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._due_at = 0.0
        self._failures = 0
        self._problem: str | None = None
        self._looked_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<HookWorker {self._client.entry.name} {self._problem or 'fine'}>"

    def use(self, entry: ConnectionEntry, triggers: Sequence[TriggerEntry]) -> None:
        """Take news of the connection and of what its triggers want; look soon when they are different."""
        rows = [entry.row for entry in triggers]
        wishes = (entry, *((row.id, row.events, row.jql, row.wanted, row.way) for row in rows))
        if wishes == self._wishes:
            return
        if entry != self._client.entry:
            self._client = JiraClient(entry, self._client.registry, self._client.direct)
            self.memory = Memory()
        self._wishes = wishes
        self._ask()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin."""
        self._task = tasks.create_task(self._run())

    def stop(self) -> None:
        """End: nothing is to be looked after any more."""
        if self._task is not None:
            self._task.cancel()

    async def look(self) -> None:
        """Return when a look that began after this call is over."""
        number = self._ask()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((number, over))
        await over  # whoever asks has a deadline

    def problem_of(self, trigger: int) -> str | None:
        """Return what is wrong for a trigger since the last look."""
        return self.memory.trigger_problems.get(trigger) or self._problem

    def row(self) -> dict[str, Any]:
        """Return the row of the status page."""
        return {
            "connection": self._client.entry.name,
            "looked_at": None if self._looked_at is None else self._looked_at.isoformat(timespec="seconds"),
            "problem": self._problem,
            "hooks": {str(hook): problem for hook, problem in sorted(self.memory.hook_problems.items())},
        }

    def _ask(self) -> int:
        self._asked += 1
        self._wake.set()
        return self._asked

    async def _run(self) -> None:
        running = asyncio.get_running_loop()
        while True:
            taken = self._asked
            self._wake.clear()
            pause = await self._look()
            self._due_at = running.time() + pause
            for number, over in self._waiting:
                if number <= taken and not over.done():
                    over.set_result(None)
            self._waiting = [(number, over) for number, over in self._waiting if number > taken]
            await self._rest()

    async def _rest(self) -> None:
        """Wait until a look is due, somebody asks, or Jira can be reached in another way than before."""
        running = asyncio.get_running_loop()
        while not self._wake.is_set() and running.time() < self._due_at:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, max(0.0, self._due_at - running.time()))):
                    await self._wake.wait()
            if self._reaches() != self._reached:
                return

    def _reaches(self) -> object:
        """Return what a change of means a look: whether Jira can be asked, and where it would post webhooks."""
        return self._client.is_online, self._shared.told(self._client).get(b"webhook-url")

    async def _look(self) -> float:
        """Look, and return after how many seconds the next one is due."""
        self._reached = self._reaches()
        self._failures += 1
        try:
            await Registration(self._client, self._shared, self.memory).run()
        except JiraSilent as silent:
            self._tell(str(silent))
            return pause_after(silent, self._failures)
        except (StoreError, TimeoutError) as error:
            self._tell(f"the store: {error}")
        except Exception:
            log.exception("registrar_failed", connection=self._client.entry.name)
            self._problem = "something of ours failed; the gateway's log has it"
        else:
            self._tell(None)
            self._failures = 0
            self._looked_at = self._shared.clock()
            return ROUTINE_SECONDS
        return min(FIRST_PAUSE_SECONDS * 2.0**self._failures, ROUTINE_SECONDS)

    def _tell(self, problem: str | None) -> None:
        """Log what is news."""
        before, self._problem = self._problem, problem
        if problem is not None and before is None:
            log.warning("hooks_not_checked", connection=self._client.entry.name, reason=problem)
        elif problem is None and before is not None:
            log.info("hooks_checked", connection=self._client.entry.name)
