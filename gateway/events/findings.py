"""What of a found issue is an event for which trigger. Pure.

Not everything that a search finds had a webhook: Jira tells of some changes by another event or not at all (a link, a
logged hour in the history; docs/facts.md J7.2). Those are doubtful. Whoever lives on searches gets them all; whoever
lives on webhooks gets them only for the time in which webhooks may have been lost, so that no webhook that nobody
could have sent is missed in every routine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.triggers import TriggerEntry
from jira_api.events.fields import identifier, member, members
from jira_api.events.sweeping import FoundEvent, found_events, incomplete_parts

# Fields of the history that change without a jira:issue_updated.
_SILENT: Final = frozenset({"Link", "RemoteIssueLink", "timespent", "timeestimate", "WorklogId", "WorklogTimeSpent"})
_BARE: Final = "issue-updated/"
_PART_TYPES: Final = ("comment_", "worklog_")

BARE_MARGIN: Final = timedelta(seconds=5)
"""An issue's date may be a little later than the entry of its history that explains it."""


@dataclass(frozen=True, slots=True)
class Taker:
    """A trigger and what it gets: events from `since` and before `until`, by Jira's clock.

    Doubtful ones count between `doubt_since` and `doubt_until` only; `doubt_since` None: never.
    """

    trigger: TriggerEntry
    since: datetime
    until: datetime | None = None
    doubt_since: datetime | None = None
    doubt_until: datetime | None = None

    def wants(self, event: FoundEvent, sure: Sequence[str], doubtful: Sequence[str]) -> str | None:
        """Return the type of which this trigger gets an event, None when it does not get it."""
        moment, wanted = event.occurred_at, self.trigger.row.events
        if moment < self.since or (self.until is not None and moment >= self.until):
            return None
        types = [*sure]
        if self.doubt_since is not None and moment >= self.doubt_since:
            types += doubtful if self.doubt_until is None or moment <= self.doubt_until else ()
        return next((name for name in types if name in wanted), None)


@dataclass(frozen=True, slots=True)
class Finding:
    """An event of one type, and who gets it."""

    event: FoundEvent
    type: str
    triggers: tuple[TriggerEntry, ...]


def findings(issue: dict[str, Any], takers: Sequence[Taker], *, is_cloud: bool) -> list[Finding]:
    """Return what happened to an issue, for each of those who want it."""
    silent = _silent(issue)
    since = min(taker.since for taker in takers)
    found: list[Finding] = []
    for event in [*filter(_is_rich, found_events(issue, since)), *_bare(issue, takers)]:
        sure, doubtful = _types(event, silent, is_cloud=is_cloud)
        by_type: dict[str, list[TriggerEntry]] = {}
        for taker in takers:
            name = taker.wants(event, sure, doubtful)
            if name is not None:
                by_type.setdefault(name, []).append(taker.trigger)
        found += [Finding(event, name, tuple(triggers)) for name, triggers in by_type.items()]
    return found


def _bare(issue: dict[str, Any], takers: Sequence[Taker]) -> Iterable[FoundEvent]:
    """Return changes that left nothing but the issue's date, for each moment from which on those count.

    Of an issue whose comments or worklogs are not all there nobody can say that it has no other trace.
    """
    found: dict[str, FoundEvent] = {}
    if any(incomplete_parts(issue)):
        return ()
    for start in {taker.doubt_since for taker in takers if taker.doubt_since is not None}:
        traces = found_events(issue, start - BARE_MARGIN)
        found.update(
            (event.occurrence, event) for event in traces if not _is_rich(event) and event.occurred_at >= start
        )
    return found.values()


def _types(event: FoundEvent, silent: frozenset[str], *, is_cloud: bool) -> tuple[Sequence[str], Sequence[str]]:
    """Return as which types an event surely had a webhook, and as which it may have had one."""
    if event.types[0].startswith(_PART_TYPES):
        return event.types[:1], () if is_cloud else event.types[1:]  # Cloud has no second event for them
    if not _is_rich(event) or event.occurrence in silent:
        return (), event.types
    return event.types, ()


def _is_rich(event: FoundEvent) -> bool:
    """Say whether a search shows what the change was."""
    return not event.occurrence.startswith(_BARE)


def _silent(issue: dict[str, Any]) -> frozenset[str]:
    """Return the keys of entries of the history for which there is no webhook of their own."""
    return frozenset(
        f"changelog/{identifier(entry.get('id'))}"
        for entry in members(member(issue, "changelog"), "histories")
        if all(item.get("field") in _SILENT for item in members(entry, "items"))
    )
