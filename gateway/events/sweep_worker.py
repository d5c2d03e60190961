"""When one connection's Jira is searched: one step at a time, whatever is due taking turns.

Polled triggers are due every `poll_seconds`, registered hooks every quarter of an hour, open gaps as soon as Jira can
be asked. What fails is tried again later (5 s, doubled up to 5 minutes; 5 minutes after a refused login), and does not
hold up the rest.
"""

import asyncio
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog

from gateway.directory import ConnectionEntry
from gateway.events.jira_client import FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS, JiraClient, JiraSilent, pause_after
from gateway.events.searching import QueryRefused
from gateway.events.sweep_jobs import GapJob, Job, Marks, PollJob, RoutineJob, Sight, hook_mark, poll_key
from gateway.events.sweeping import Ground
from gateway.store import Credentials, Gap, Hook, Kind, StoreError, Watermark
from gateway.triggers import HookEntry, TriggerEntry
from jira_api.events.fields import load_json
from jira_api.events.requesting import get

log = structlog.get_logger()

IDLE_SECONDS: Final = 0.5
MIN_POLL_SECONDS: Final = 1.0
ROUTINE_SECONDS: Final = 900.0
ONLINE_SECONDS: Final = 120.0
"""How long Jira is within reach before a routine look: until then an agent brings what it has kept meanwhile."""
SERVER_SECONDS: Final = 60.0
ZONE_SECONDS: Final = 600.0
GAP_SETTLES: Final = timedelta(seconds=2)
GAPS_AT_ONCE: Final = 100

_MYSELF: Final = get("/rest/api/2/myself")
_OK: Final = 200


@dataclass(slots=True)
class Slot:
    """Something that is done again and again; `job` while it is under way, times by the loop's clock."""

    make: Callable[[], Job]
    seconds: float
    due_at: float
    job: Job | None = None
    failures: int = 0
    problem: str | None = None


class SweepWorker:
    """Sweeps one connection until cancelled."""

    def __init__(self, ground: Ground, marks: MutableMapping[str, Watermark]) -> None:
        self._ground = ground
        self._marks = Marks(ground, marks)
        self._triggers: tuple[TriggerEntry, ...] = ()
        self._hooks: dict[int, Hook] = {}
        self._slots: dict[str, Slot] = {}
        self._gaps: dict[int, Gap] = {}
        self._closed: set[int] = set()  # whoever hands gaps out may have read them just before
        self._task: asyncio.Task[None] | None = None
        self._server_at = self._zone_at = float("-inf")
        self._sight: Sight | None = None
        self._zone: str | None = None
        self._online_since: float | None = None
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"<SweepWorker {self._ground.client.entry.name} {sorted(self._slots)}>"

    def use(self, entry: ConnectionEntry, triggers: Sequence[TriggerEntry], hooks: Sequence[HookEntry]) -> None:
        """Take news of the connection, its triggers and its hooks; what is under way begins anew when they differ."""
        client = self._ground.client
        rows, hook_rows = tuple(triggers), {hook.id: hook.row for hook in hooks}
        if (entry, rows, hook_rows) == (client.entry, self._triggers, self._hooks):
            return
        if entry != client.entry:
            self._ground.client = JiraClient(entry, client.registry, client.direct)
            self._server_at = self._zone_at = float("-inf")
        self._triggers, self._hooks = rows, hook_rows
        before, self._slots = self._slots, {}
        for key, slot in self._wanted().items():
            known = before.get(key)
            if known is not None:
                slot.due_at, slot.failures, slot.problem = known.due_at, known.failures, known.problem
            self._slots[key] = slot
        self._wake.set()

    def use_gaps(self, gaps: Sequence[Gap]) -> None:
        """Repair these gaps, which are all that are open."""
        self._gaps = {gap.number: gap for gap in gaps if gap.number not in self._closed}
        if self._gaps and GapJob.key not in self._slots:
            self._slots[GapJob.key] = Slot(self._gap_job, 0.0, 0.0)
            self._wake.set()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin."""
        self._task = tasks.create_task(self._run())

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per thing that is swept, for the status page."""
        name = self._ground.client.entry.name
        return [
            {"connection": name, "sweep": key, "busy": slot.job is not None, "problem": slot.problem}
            for key, slot in sorted(self._slots.items())
        ]

    # What is to be done

    @property
    def _has_account(self) -> bool:
        return self._ground.client.entry.credentials is not Credentials.CALLER

    def _wanted(self) -> dict[str, Slot]:
        slots: dict[str, Slot] = {}
        if self._has_account:
            slots |= self._polls() | self._routines()
        if self._gaps:
            slots[GapJob.key] = Slot(self._gap_job, 0.0, 0.0)
        return slots

    def _polls(self) -> dict[str, Slot]:
        groups: dict[str, list[TriggerEntry]] = {}
        for trigger in self._triggers:
            if trigger.row.kind is Kind.POLLED:
                groups.setdefault(poll_key(trigger), []).append(trigger)

        def slot(rows: list[TriggerEntry]) -> Slot:
            seconds = max(MIN_POLL_SECONDS, min(row.row.poll_seconds for row in rows))
            job = PollJob(self._ground, self._marks, rows)  # the same each time: it remembers what it has seen
            return Slot(lambda: job, seconds, 0.0)

        return {key: slot(rows) for key, rows in groups.items()}

    def _routines(self) -> dict[str, Slot]:
        def slot(hook: Hook) -> Slot:
            rows = [row for row in self._triggers if row.row.hook == hook.id]
            return Slot(lambda: RoutineJob(self._ground, self._marks, hook, rows), ROUTINE_SECONDS, 0.0)

        used = {row.row.hook for row in self._triggers if row.row.kind is Kind.REGISTERED}
        return {hook_mark(hook): slot(hook) for hook in self._hooks.values() if hook.id in used}

    def _gap_job(self) -> Job:
        oldest = [self._gaps[number] for number in sorted(self._gaps)[:GAPS_AT_ONCE]]
        return GapJob(self._ground, oldest, self._triggers, self._hooks)

    def _is_due(self, key: str, slot: Slot, now: float) -> bool:
        if slot.job is None and key == GapJob.key:
            clock = self._ground.clock()
            if all(clock - gap.reported_at < GAP_SETTLES and clock >= gap.reported_at for gap in self._gaps.values()):
                return False  # one that is old enough does not wait for those that come all the time
        is_routine = slot.seconds == ROUTINE_SECONDS
        if is_routine and self._marks.get(key).until is not None:
            return slot.due_at <= now and self._has_been_online(now)
        return slot.due_at <= now

    def _has_been_online(self, now: float) -> bool:
        return self._online_since is not None and now - self._online_since >= ONLINE_SECONDS

    # Doing it

    async def _run(self) -> None:
        running = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            self._watch_way(running.time())
            due = [(key, slot) for key, slot in self._slots.items() if self._is_due(key, slot, running.time())]
            for key, slot in due:
                await self._step(key, slot)
            if not due:
                next_at = min((slot.due_at for slot in self._slots.values()), default=float("inf"))
                pause = next_at - running.time()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause if 0 < pause < IDLE_SECONDS else IDLE_SECONDS):
                        await self._wake.wait()

    def _watch_way(self, now: float) -> None:
        """Notice when Jira comes within reach: what waited for that is due at once."""
        if not self._ground.client.is_online:
            self._online_since = None
        elif self._online_since is None:
            self._online_since = now
            self._server_at = self._zone_at = float("-inf")
            for slot in self._slots.values():
                if slot.problem is not None:
                    slot.due_at = now

    async def _step(self, key: str, slot: Slot) -> None:
        running = asyncio.get_running_loop()
        job = slot.job = slot.job or slot.make()
        try:
            is_over = not await job.step(await self._look() if self._has_account else None)
        except JiraSilent as silent:
            self._failed(slot, str(silent), pause_after(silent, slot.failures + 1))
        except QueryRefused as refused:
            self._failed(slot, f"Jira does not accept the JQL: {refused.reason}", self._pause(slot))
        except StoreError as error:
            self._failed(slot, f"the store: {error}", self._pause(slot))
        except Exception:
            log.exception("sweep_failed", connection=self._ground.client.entry.name, sweep=key)
            self._failed(slot, "something of ours failed; the gateway's log has it", self._pause(slot))
        else:
            if is_over:
                slot.job, slot.failures, slot.problem = None, 0, None
                slot.due_at = running.time() + slot.seconds
                if isinstance(job, GapJob):
                    self._closed |= job.numbers
                    self._gaps = {number: gap for number, gap in self._gaps.items() if number not in job.numbers}
                    self._slots.pop(key, None)

    def _pause(self, slot: Slot) -> float:
        return float(min(FIRST_PAUSE_SECONDS * 2.0 ** min(slot.failures, 16), LAST_PAUSE_SECONDS))

    def _failed(self, slot: Slot, problem: str, pause: float) -> None:
        slot.failures += 1
        if slot.problem is None:
            log.warning("sweep_put_off", connection=self._ground.client.entry.name, reason=problem)
        slot.problem = problem
        slot.due_at = asyncio.get_running_loop().time() + pause
        if slot.job is not None:
            slot.job.failed(problem)

    async def _look(self) -> Sight:
        """Return what is known of this Jira, asked again now and then; raises `JiraSilent`."""
        running, client = asyncio.get_running_loop(), self._ground.client
        if running.time() - self._zone_at >= ZONE_SECONDS:
            answer = await client.send_as_account(_MYSELF)
            self._zone = _zone(answer.body) if answer.status == _OK else None
            self._zone_at = running.time()
            self._sight = None
        if self._sight is None or running.time() - self._server_at >= SERVER_SECONDS:
            server = await client.server(self._ground.clock)
            self._server_at = running.time()
            self._sight = Sight(server, self._zone)
        return self._sight


def _zone(body: bytes) -> str | None:
    """Return the time zone of the account, in which its JQL means dates."""
    try:
        user = load_json(body)
    except ValueError:
        return None
    zone = user.get("timeZone") if isinstance(user, dict) else None
    return zone if isinstance(zone, str) else None
