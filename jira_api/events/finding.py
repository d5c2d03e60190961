"""What a search result tells of a window of time, as events with the keys that their webhooks would have had.

Found are creations, entries of the history, comments and worklogs. Deletions leave no trace, and of a comment that was
edited twice only the last state is left.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

from jira_api.events import occurrences
from jira_api.events.fields import actor, dump_json, identifier, member, members
from jira_api.events.names import PREFIX
from jira_api.events.times import milliseconds, parse_moment

_ISSUE_UPDATED: Final = "jira:issue_updated"
_ISSUE_KEYS: Final = ("id", "self", "key", "fields")


class _Part(NamedTuple):
    """How a comment or a worklog is found: where, and what its webhooks are called."""

    name: str
    lists: str
    also: str
    created: str
    updated: str


_PARTS: Final = (
    _Part("comment", "comments", _ISSUE_UPDATED, occurrences.COMMENTED, occurrences.COMMENT_EDITED),
    _Part("worklog", "worklogs", "jira:worklog_updated", occurrences.WORK_LOGGED, occurrences.WORKLOG_UPDATED),
)


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """One thing that happened; `payload(type)` is the body that the webhook of one of its `types` has."""

    occurrence: str
    types: tuple[str, ...]
    occurred_at: datetime
    issue_id: str
    issue_key: str | None
    actor: dict[str, str] | None
    payload: Callable[[str], bytes] = field(repr=False, compare=False)


def found_events(issue: dict[str, Any], since: datetime, until: datetime | None = None) -> list[FoundEvent]:
    """Return what happened to an issue of a search result from `since` on and before `until`, in its order."""
    issue_id = identifier(issue.get("id"))
    if issue_id is None:
        return []
    found = _Found(issue, issue_id, since, until)
    events = [*found.creation(), *found.history()]
    for part in _PARTS:
        events.extend(found.parts(part))
    if not events:
        events.extend(found.bare_update())
    events.sort(key=lambda event: event.occurred_at)
    return events


class _Found:
    """One issue and the window; the issue is written as JSON once, however many events tell of it."""

    def __init__(self, issue: dict[str, Any], issue_id: str, since: datetime, until: datetime | None) -> None:
        self._issue = issue
        self._id = issue_id
        self._key = identifier(issue.get("key"))
        self._since = since
        self._until = until
        self._fields = member(issue, "fields") or {}

    def creation(self) -> Iterator[FoundEvent]:
        """Return the issue's creation."""
        created = self._in_window(self._fields.get("created"))
        if created is not None:
            who = self._fields.get("creator") or self._fields.get("reporter")
            key = occurrences.issue_created(self._id)
            yield self._event(key, ("jira:issue_created",), created, who, "issue_created", {})

    def history(self) -> Iterator[FoundEvent]:
        """Return the entries of the history; which sort of update each was is not written there."""
        for entry in members(self._issue.get("changelog"), "histories"):
            entry_id, created = identifier(entry.get("id")), self._in_window(entry.get("created"))
            if entry_id is not None and created is not None:
                items = entry.get("items")
                more = {"changelog": {"id": entry_id, "items": items if isinstance(items, list) else []}}
                key = occurrences.changelog(entry_id)
                yield self._event(key, (_ISSUE_UPDATED,), created, entry.get("author"), None, more)

    def parts(self, part: _Part) -> Iterator[FoundEvent]:
        """Return the creations and last changes of comments or worklogs."""
        for one in members(self._fields.get(part.name), part.lists):
            one_id = identifier(one.get("id"))
            if one_id is None:
                continue
            more = {part.name: one}
            created = self._in_window(one.get("created"))
            if created is not None:
                key, types = occurrences.part_created(part.name, one_id), (f"{part.name}_created", part.also)
                yield self._event(key, types, created, one.get("author"), part.created, more)
            updated = self._in_window(one.get("updated")) if one.get("updated") != one.get("created") else None
            if updated is not None and updated != created:
                key, types = occurrences.part_updated(part.name, one_id, updated), (f"{part.name}_updated", part.also)
                yield self._event(key, types, updated, one.get("updateAuthor"), part.updated, more)

    def bare_update(self) -> Iterator[FoundEvent]:
        """Return the change that left no trace but the issue's date, as a new attachment or a deletion does."""
        updated = self._in_window(self._fields.get("updated"))
        if updated is not None:
            key = occurrences.issue_updated(self._id, updated)
            yield self._event(key, (_ISSUE_UPDATED,), updated, None, None, {})

    def _in_window(self, text: object) -> datetime | None:
        moment = parse_moment(text)
        if moment is None or moment < self._since or (self._until is not None and moment >= self._until):
            return None
        return moment

    def _event(
        self, key: str, types: tuple[str, ...], moment: datetime, who: object, name: str | None, more: dict[str, Any]
    ) -> FoundEvent:
        payload = partial(self._payload, moment, who, name, more)
        return FoundEvent(key, types, moment, self._id, self._key, actor(who), payload)

    def _payload(self, moment: datetime, who: object, name: str | None, more: dict[str, Any], event: str) -> bytes:
        head: dict[str, Any] = {"timestamp": milliseconds(moment), "webhookEvent": event}
        is_of_issue = event.startswith(PREFIX)
        if is_of_issue and name is not None:
            head["issue_event_type_name"] = name
        if isinstance(who, dict):
            head["user"] = who
        issue = self._whole_issue if is_of_issue else self._small_issue
        tail = dump_json(more)[1:] if more else b"}"
        return dump_json(head)[:-1] + b',"issue":' + issue + (b"," if more else b"") + tail

    @cached_property
    def _whole_issue(self) -> bytes:
        return dump_json({key: self._issue[key] for key in _ISSUE_KEYS if key in self._issue})

    @cached_property
    def _small_issue(self) -> bytes:
        """The issue without all its comments and worklogs, for events that are about one of them."""
        issue = {key: self._issue[key] for key in _ISSUE_KEYS if key in self._issue}
        lists = {part.name for part in _PARTS}
        return dump_json({**issue, "fields": {key: value for key, value in self._fields.items() if key not in lists}})
