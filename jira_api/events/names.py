"""The events that Jira has webhooks for, what each is worth to us, and its check box in Jira's console."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

PREFIX: Final = "jira:"
_LONGEST_GUESS: Final = 64  # characters of a wrong name that are compared with ours


class UnknownEvent(Exception):
    """A name that no webhook has; `suggestion` is the name that was probably meant."""

    def __init__(self, name: str, suggestion: str | None) -> None:
        hint = f"; did you mean {suggestion}?" if suggestion else ""
        super().__init__(f"{name!r} is no event of Jira{hint}")
        self.name = name
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Kind:
    """What an event is worth to us.

    `issue_related`: a webhook's JQL filters it, the others fire for everything. `recoverable`: a search still finds
    what happened. `section`, `group` ("" where there is none) and `box` are where Jira's console has its check box.
    """

    section: str
    group: str
    box: str
    issue_related: bool = False
    recoverable: bool = False


_ISSUES: Final = "Issue related events"
_PROJECTS: Final = "Project related events"
_USERS: Final = "User related events"
_CONFIGURATION: Final = "Jira configuration related events"
_SOFTWARE: Final = "Jira Software related events"


def _issue(group: str, box: str, *, recoverable: bool = False) -> Kind:
    return Kind(_ISSUES, group, box, issue_related=True, recoverable=recoverable)


def _software(group: str, boxes: Iterable[str]) -> dict[str, Kind]:
    return {f"{group.lower()}_{box.replace(' ', '_')}": Kind(_SOFTWARE, group, box) for box in boxes}


_VERSION_BOXES: Final = ("created", "updated", "deleted", "released", "unreleased", "moved", "merged")
_OPTIONS: Final = {
    "option_voting_changed": "Voting",
    "option_watching_changed": "Watching",
    "option_unassigned_issues_changed": "Unassigned issues",
    "option_subtasks_changed": "Subtasks",
    "option_attachments_changed": "Attachments",
    "option_issuelinks_changed": "Issue links",
    "option_timetracking_changed": "Time tracking",
}

# docs/facts.md J6
KNOWN_EVENTS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "jira:issue_created": _issue("Issue", "created", recoverable=True),
        "jira:issue_updated": _issue("Issue", "updated", recoverable=True),
        "jira:issue_deleted": _issue("Issue", "deleted"),
        "jira:worklog_updated": _issue("Issue", "worklog changed", recoverable=True),
        "comment_created": _issue("Comment", "created", recoverable=True),
        "comment_updated": _issue("Comment", "updated", recoverable=True),
        "comment_deleted": _issue("Comment", "deleted"),
        "worklog_created": _issue("Worklog", "created", recoverable=True),
        "worklog_updated": _issue("Worklog", "updated", recoverable=True),
        "worklog_deleted": _issue("Worklog", "deleted"),
        "issue_property_set": _issue("Entity property", "created or updated"),
        "issue_property_deleted": _issue("Entity property", "deleted"),
        # Jira's JQL does not filter these two, although they are about issues.
        "attachment_created": Kind(_ISSUES, "Attachment", "created"),
        "attachment_deleted": Kind(_ISSUES, "Attachment", "deleted"),
        "issuelink_created": Kind(_ISSUES, "Issue link", "created"),
        "issuelink_deleted": Kind(_ISSUES, "Issue link", "deleted"),
        **{f"jira:version_{box}": Kind(_PROJECTS, "Version", box) for box in _VERSION_BOXES},
        **{f"project_{box}": Kind(_PROJECTS, "Project", box) for box in ("created", "updated", "deleted")},
        **{f"user_{box}": Kind(_USERS, "User", box) for box in ("created", "updated", "deleted")},
        **_software("Sprint", ("created", "updated", "deleted", "started", "closed")),
        **_software("Board", ("created", "updated", "deleted", "configuration changed")),
        **{name: Kind(_CONFIGURATION, "", box) for name, box in _OPTIONS.items()},
    }
)


def check_events(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of events, sorted and without repeats.

    Raises:
        UnknownEvent: one of them is no event of Jira.
    """
    wanted = {name.strip() for name in names}
    for name in sorted(wanted):
        if name not in KNOWN_EVENTS:
            raise UnknownEvent(name, _suggestion(name))
    return tuple(sorted(wanted))


def _suggestion(name: str) -> str | None:
    """Return the event that was meant: with or without Jira's prefix, in another case, or with a slip."""
    plain = name[:_LONGEST_GUESS].lower().replace("-", "_").removeprefix(PREFIX)
    for candidate in (PREFIX + plain, plain):
        if candidate in KNOWN_EVENTS:
            return candidate
    names_by_plain = {known.removeprefix(PREFIX): known for known in KNOWN_EVENTS}
    close = get_close_matches(plain, names_by_plain, n=1)
    return names_by_plain[close[0]] if close else None
