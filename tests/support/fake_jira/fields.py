"""Setting fields of an issue from JSON, and the changelog items that say what was changed."""

from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.people import User
from tests.support.fake_jira.routing import JiraError
from tests.support.fake_jira.store import ISSUE_TYPES, PRIORITIES, SECURITY_LEVELS, STATUSES, Issue

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

EXTRA_FIELDS = {"environment", "duedate", "components", "fixVersions", "versions", "timetracking"}
Text = str | None


def find_user(jira: "FakeJira", value: Any, field: str) -> User | None:
    """The user that a field value such as {"name": …} names; None for null. Raises JiraError."""
    if value is None:
        return None
    names = (
        [value.get(key) for key in ("accountId", "name", "key") if value.get(key)] if isinstance(value, dict) else []
    )
    user = jira.people.find(str(names[0])) if names else None
    if user is None and names:
        raise JiraError(400, errors={field: f"User '{names[0]}' does not exist."})
    return user


def by_name(table: dict[str, Any], value: Any) -> str | None:
    """The key of the entry that {"id"} or {"name"} means."""
    if not isinstance(value, dict):
        return None
    if str(value.get("id", "")) in table:
        return str(value["id"])
    wanted = str(value.get("name", "")).lower()
    return next(
        (n for n, label in table.items() if (label if isinstance(label, str) else label[0]).lower() == wanted), None
    )


def apply_fields(jira: "FakeJira", issue: Issue, fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Set fields; returns the changelog items. Raises JiraError for a field that is unknown or wrong: none is set."""
    before = {name: value_of(jira, issue, name) for name in fields}
    saved = {name: getattr(issue, name) for name in SAVED} | {"extra": dict(issue.extra)}
    parent = issue.parent
    try:
        for name, value in fields.items():
            _set(jira, issue, name, value)
    except JiraError:
        for name, value in saved.items():
            setattr(issue, name, value)
        jira.store.set_parent(issue, parent)
        raise
    pairs = ((name, old, value_of(jira, issue, name)) for name, old in before.items())
    return [item(jira, name, old, new) for name, old, new in pairs if old != new]


SAVED = (
    "summary", "description", "labels", "priority_id", "type_id", "assignee", "reporter", "security", "resolution",
)  # fmt: skip


def _set(jira: "FakeJira", issue: Issue, name: str, value: Any) -> None:
    if name in {"summary", "description"}:
        setattr(issue, name, value)
    elif name == "labels":
        issue.labels = [str(label) for label in value or []]
    elif name == "priority":
        issue.priority_id = by_name(PRIORITIES, value) or _wrong(name)
    elif name == "issuetype":
        issue.type_id = by_name(ISSUE_TYPES, value) or _wrong(name)
    elif name == "assignee":
        issue.assignee = find_user(jira, value, name)
    elif name == "reporter":
        issue.reporter = find_user(jira, value, name) or issue.reporter
    elif name == "parent":
        jira.store.set_parent(issue, jira.store.find_issue(str(value.get("key") or value.get("id"))) if value else None)
    elif name == "security":
        issue.security = str(value["id"]) if value else None
    elif name == "resolution":
        issue.resolution = value.get("name") if value else None
    elif name in EXTRA_FIELDS or name.startswith("customfield_"):
        issue.extra[name] = value
    elif name != "project":
        problem = f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
        raise JiraError(400, errors={name: problem})


def _wrong(field: str) -> str:
    raise JiraError(400, errors={field: f"The {field} selected is invalid."})


def value_of(jira: "FakeJira", issue: Issue, name: str) -> tuple[Text, Text]:
    """What a changelog item says of a field: the identifier (or None) and the text."""
    match name:
        case "priority":
            return issue.priority_id, PRIORITIES.get(issue.priority_id)
        case "issuetype":
            return issue.type_id, ISSUE_TYPES.get(issue.type_id)
        case "status":
            return issue.status_id, STATUSES[issue.status_id][0]
        case "assignee" | "reporter":
            user: User | None = getattr(issue, name)
            return (jira.views.user_id(user), user.display_name) if user else (None, None)
        case "parent":
            return (str(issue.parent.id), issue.parent.key) if issue.parent else (None, None)
        case "security":
            return issue.security, SECURITY_LEVELS.get(issue.security or "")
        case "resolution":
            return ("10000", issue.resolution) if issue.resolution else (None, None)
        case "labels":
            return None, " ".join(issue.labels)
        case "project":
            return None, issue.project.key
    value = issue.extra.get(name, getattr(issue, name, None))
    return None, None if value is None else str(value)


def item(jira: "FakeJira", name: str, old: tuple[Text, Text], new: tuple[Text, Text]) -> dict[str, Any]:
    """One item of a changelog; only Cloud adds `fieldId`."""
    kind = "custom" if name.startswith("customfield_") else "jira"
    identity = {"field": name, "fieldtype": kind, **({"fieldId": name} if jira.profile.is_cloud else {})}
    return {**identity, "from": old[0], "fromString": old[1], "to": new[0], "toString": new[1]}
