"""What a connection's sweeps are for: polling, the repair of gaps, and a routine look for what Jira lost silently.

A job goes on by steps of a page each. Times are by Jira's clock, except in gaps, which are by ours.
"""

from bisect import bisect_left
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final, Protocol

import structlog

from gateway.events.findings import Taker
from gateway.events.gap_events import gap_event
from gateway.events.jira_client import Server
from gateway.events.keeping import keep_events, keep_gap, stamp
from gateway.events.plan import NO_ACCOUNT, normal
from gateway.events.searching import QueryRefused
from gateway.events.sweeping import OVERLAP, Fresh, Ground, Lately, Sweep
from gateway.store import Cause, Gap, Hook, StoreError, Watermark
from gateway.triggers import TriggerEntry

log = structlog.get_logger()

FIRST_LOOK: Final = timedelta(hours=1)
"""How far a first look goes back at most, to when its trigger was made."""
BEFORE_GAP: Final = timedelta(minutes=5)
AROUND_GAP: Final = timedelta(seconds=5)
SET_BACK: Final = timedelta(minutes=10)
"""How far a look goes back when a clock was set back: that may have been noticed a minute late."""
SETTLED: Final = timedelta(seconds=60)
"""The age from which a webhook that is not there counts as lost."""
MAX_KNOWN: Final = 10_000  # states of issues
MARK_EVERY: Final = timedelta(seconds=30)
"""How often a watermark is written while nothing happens."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of a Jira for sweeps; `zone` is the account's, None when it did not say."""

    server: Server
    zone: str | None


class Job(Protocol):
    """Something to be done in steps."""

    @property
    def key(self) -> str:
        """What tells it from others of its connection."""

    async def step(self, sight: Sight | None) -> bool:
        """Go on; return whether there is more. Raises QueryRefused, JiraSilent, StoreError."""

    def failed(self, problem: str) -> None:
        """Keep why it did not come to its end."""


class Marks:
    """The watermarks of one connection, in memory and in the log."""

    def __init__(self, ground: Ground, marks: MutableMapping[str, Watermark]) -> None:
        self._ground = ground
        self._marks = marks
        self._written: dict[str, Watermark] = {}

    def __repr__(self) -> str:
        return f"<Marks {len(self._marks)}>"

    def get(self, name: str) -> Watermark:
        """Return the watermark of this name."""
        return self._marks.get(name) or Watermark(name)

    def put(self, mark: Watermark, *, is_news: bool = False) -> None:
        """Keep a watermark; one that says nothing new is written now and then only."""
        written = self._written.get(mark.name)
        self._marks[mark.name] = mark
        is_due = (
            written is None
            or written.looked_at is None
            or mark.looked_at is None
            or mark.looked_at - written.looked_at >= MARK_EVERY
            or written.problem != mark.problem
        )
        if is_due or is_news:
            self._written[mark.name] = mark
            self._ground.log.mark(mark)


class PollJob:
    """Looks at the issues of one JQL for the polled triggers that share it, again and again."""

    def __init__(self, ground: Ground, marks: Marks, triggers: Sequence[TriggerEntry]) -> None:
        self.key = poll_key(triggers[0])
        self._known = Lately(MAX_KNOWN)
        self._ground = ground
        self._marks = marks
        self._triggers = triggers
        self._sweep: Sweep | None = None
        self._now: datetime | None = None

    def __repr__(self) -> str:
        return f"<PollJob {self.key} {self._sweep!r}>"

    async def step(self, sight: Sight | None) -> bool:
        """Look at a page."""
        if sight is None:
            return False
        if self._sweep is None:
            now = self._now = self._ground.clock() + sight.server.ahead
            takers = [self._taker(trigger, now, sight.server.ahead) for trigger in self._triggers]
            jql = normal(self._triggers[0].row.jql)
            self._sweep = Sweep(self._ground, sight.server, sight.zone, jql, takers, repaired=False, known=self._known)
        if await self._sweep.step():
            return True
        for trigger in self._triggers:
            mark = Watermark(trigger_mark(trigger), self._now, self._ground.clock(), None)
            self._marks.put(mark, is_news=bool(self._sweep.fresh))
        self._sweep = None
        return False

    def failed(self, problem: str) -> None:
        """Keep the problem; the watermark stays, and the next step begins anew."""
        self._sweep = None
        for trigger in self._triggers:
            until = self._marks.get(trigger_mark(trigger)).until
            self._marks.put(Watermark(trigger_mark(trigger), until, self._ground.clock(), problem))

    def _taker(self, trigger: TriggerEntry, now: datetime, ahead: timedelta) -> Taker:
        made_at = trigger.row.created_at + ahead
        until = self._marks.get(trigger_mark(trigger)).until
        base = max(made_at, now - FIRST_LOOK) if until is None else until - OVERLAP
        if until is not None and until > now:
            base = now - SET_BACK
        since = max(base, made_at)
        return Taker(trigger, since, doubt_since=since)


class RoutineJob:
    """A look for what a registered hook should have brought and did not: Jira drops webhooks without a word."""

    def __init__(self, ground: Ground, marks: Marks, hook: Hook, triggers: Sequence[TriggerEntry]) -> None:
        self.key = hook_mark(hook)
        self._ground = ground
        self._marks = marks
        self._hook = hook
        self._triggers = triggers
        self._sweep: Sweep | None = None
        self._window: tuple[datetime, datetime] | None = None  # by Jira's clock

    def __repr__(self) -> str:
        return f"<RoutineJob {self.key} {self._sweep!r}>"

    async def step(self, sight: Sight | None) -> bool:
        """Look at a page, or begin to count from now."""
        if sight is None:
            return False
        ground, ahead = self._ground, sight.server.ahead
        if self._sweep is None:
            until = ground.clock() + ahead - SETTLED
            before = self._marks.get(self.key).until
            self._window = before or until, until
            if before is None or before >= until:
                self._marks.put(Watermark(self.key, until, ground.clock(), None), is_news=True)
                return False
            takers = [Taker(row, max(before - OVERLAP, row.row.created_at + ahead), until) for row in self._triggers]
            jql = normal(self._hook.jql)
            self._sweep = Sweep(ground, sight.server, sight.zone, jql, takers, repaired=True)
        if await self._sweep.step():
            return True
        await self._conclude(self._sweep, ahead)
        return False

    def failed(self, problem: str) -> None:
        """Keep the problem; the watermark stays, and the next step goes through the same window again."""
        if self._sweep is not None:
            self._sweep.restart()
        self._marks.put(Watermark(self.key, self._marks.get(self.key).until, self._ground.clock(), problem))

    async def _conclude(self, sweep: Sweep, ahead: timedelta) -> None:
        """Tell of a gap when something was lost, and only then go on from here."""
        ground, hook, now = self._ground, self._hook, self._ground.clock()
        if self._window is None:
            return
        since, until = self._window
        if sweep.fresh:
            uid = f"jira/{hook.id}/{stamp(since)}-{stamp(until)}"
            start, end, found = since - ahead, until - ahead, _count(sweep.fresh)
            gap = Gap(0, uid, hook.connection, Cause.JIRA, start, end, now, hook.way, swept_at=now, found=found)
            if not await keep_gap(ground.log, gap):
                raise StoreError(ground.log.problem or "the gap could not be stored")
            told = [gap_event(gap, row, _count(sweep.fresh, row.id), None, now) for row in self._triggers]
            await keep_events(ground.log, told)
            log.warning("webhooks_lost_by_jira", connection=hook.connection, hook=hook.id, found=found)
        self._marks.put(Watermark(self.key, until, now, None), is_news=True)


class GapJob:
    """The repair of all open gaps of a connection at once."""

    key = "gaps"

    def __init__(
        self,
        ground: Ground,
        gaps: Sequence[Gap],
        triggers: Sequence[TriggerEntry],
        hooks: Mapping[int, Hook],
    ) -> None:
        self._ground = ground
        self._gaps = sorted(gaps, key=lambda gap: gap.from_at)
        self._affected = {gap.number: _affected(gap, triggers, hooks) for gap in gaps}
        self._whose = {number: {row.id for row in rows} for number, rows in self._affected.items()}
        self._groups = _by_jql(triggers)
        self._sweep: Sweep | None = None
        self._fresh: list[Fresh] = []  # by our clock
        self._failures: dict[int, str] = {}  # by trigger

    def __repr__(self) -> str:
        return f"<GapJob {len(self._gaps)} gaps, {len(self._groups)} searches left>"

    @property
    def numbers(self) -> frozenset[int]:
        """Which gaps these are."""
        return frozenset(gap.number for gap in self._gaps)

    async def step(self, sight: Sight | None) -> bool:
        """Look at a page, or tell what came of it."""
        if sight is None:
            self._failures = {row.id: f"{NO_ACCOUNT} search" for rows in self._affected.values() for row in rows}
            self._groups = []
        while self._sweep is None and self._groups and sight is not None:
            self._sweep = self._begin(self._groups[0], sight)
            if self._sweep is None:
                self._groups.pop(0)
        if self._sweep is None:
            await self._conclude()
            return False
        try:
            if await self._sweep.step():
                return True
        except QueryRefused as refused:
            self._failures.update(
                (row.id, f"Jira does not accept the JQL: {refused.reason}") for row in self._groups[0]
            )
        if sight is not None:
            ahead = sight.server.ahead
            self._fresh += [replace(fresh, moment=fresh.moment - ahead) for fresh in self._sweep.fresh]
        self._sweep = None
        self._groups.pop(0)
        return True

    def failed(self, problem: str) -> None:
        """Go through the same search again later; what was found is kept."""
        if self._sweep is not None:
            self._sweep.restart()
        log.warning("gap_not_swept", gaps=len(self._gaps), reason=problem)

    def _begin(self, triggers: Sequence[TriggerEntry], sight: Sight) -> Sweep | None:
        takers = [taker for trigger in triggers if (taker := self._taker(trigger, sight.server.ahead)) is not None]
        if not takers:
            return None
        jql = normal(triggers[0].row.jql)
        return Sweep(self._ground, sight.server, sight.zone, jql, takers, repaired=True)

    def _taker(self, trigger: TriggerEntry, ahead: timedelta) -> Taker | None:
        mine = [gap for gap in self._gaps if trigger.id in self._whose[gap.number]]
        if not mine:
            return None
        start, end = min(gap.from_at for gap in mine) + ahead, max(gap.to_at for gap in mine) + ahead
        since = max(start - BEFORE_GAP, trigger.row.created_at + ahead)
        return Taker(trigger, since, None, max(start, since), end + AROUND_GAP)

    async def _conclude(self) -> None:
        """Tell each trigger of each gap, then close it."""
        ground = self._ground
        shares = _shares(self._gaps, self._fresh)
        for gap in self._gaps:
            now, share, failures = ground.clock(), shares[gap.number], self._failures
            found, rows = _count(share), self._affected[gap.number]
            told = [gap_event(gap, row, _count(share, row.id), failures.get(row.id), now) for row in rows]
            await keep_events(ground.log, told)
            await ground.log.store.close_gap(gap.number, now, found)
            log.info("gap_swept", connection=gap.connection, cause=gap.cause.value, found=found, triggers=len(rows))


def trigger_mark(trigger: TriggerEntry) -> str:
    """Return the name of a polled trigger's watermark."""
    return f"trigger:{trigger.id}"


def hook_mark(hook: Hook) -> str:
    """Return the name of a hook's watermark."""
    return f"hook:{hook.id}"


def poll_key(trigger: TriggerEntry) -> str:
    """Return what the triggers that share a search have in common."""
    return f"poll:{normal(trigger.row.jql) or ''}"


def _affected(gap: Gap, triggers: Sequence[TriggerEntry], hooks: Mapping[int, Hook]) -> list[TriggerEntry]:
    """Return the triggers whose webhooks a gap may have swallowed."""
    found = []
    for trigger in triggers:
        hook = None if trigger.row.hook is None else hooks.get(trigger.row.hook)
        if hook is not None and gap.way in {None, hook.way}:
            found.append(trigger)
    return found


def _by_jql(triggers: Sequence[TriggerEntry]) -> list[list[TriggerEntry]]:
    groups: dict[str | None, list[TriggerEntry]] = {}
    for trigger in triggers:
        groups.setdefault(normal(trigger.row.jql), []).append(trigger)
    return list(groups.values())


def _shares(gaps: Sequence[Gap], found: Sequence[Fresh]) -> dict[int, list[Fresh]]:
    """Return what of all that was found belongs to which gap: the first that did not end before, else the last."""
    shares: dict[int, list[Fresh]] = {gap.number: [] for gap in gaps}
    ends = list(accumulate((gap.to_at + AROUND_GAP for gap in gaps), max))  # each the latest so far
    for fresh in found:
        gap = gaps[min(bisect_left(ends, fresh.moment), len(gaps) - 1)]
        shares[gap.number].append(fresh)
    return shares


def _count(found: Sequence[Fresh], trigger: int | None = None) -> int:
    """Return how many things are new, for one trigger or for any."""
    return len({fresh.occurrence for fresh in found if trigger is None or trigger in fresh.triggers})
