"""What Jira has told about an account: plain values, and the readers that make them from Jira's answers.

Readers never raise on a strange body: what cannot be read is None, and None means that nobody knows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from jira_api.logins import LoginVerdict
from jira_api.permissions.actions import LEGACY
from jira_api.server_info import ServerInfo


class Sight(Enum):
    """Whether the account sees a thing. HIDDEN: surely there; MISSING: surely not; GONE: one of the two."""

    UNKNOWN = "unknown"
    VISIBLE = "visible"
    HIDDEN = "hidden"
    MISSING = "missing"
    GONE = "missing_or_hidden"


@dataclass(frozen=True, slots=True)
class Permission:
    """One row of /mypermissions; `key` as this Jira spells it, `name` in the account's language."""

    key: str
    name: str
    is_held: bool


class Permissions:
    """One answer of /mypermissions, asked by current keys; an old Jira that only knows the legacy name will do."""

    def __init__(self, rows: Mapping[str, Permission]) -> None:
        self._rows = rows

    def __repr__(self) -> str:
        return f"<Permissions {sum(row.is_held for row in self._rows.values())} of {len(self._rows)}>"

    def find(self, key: str) -> Permission | None:
        """Return the row of a current key, None when Jira did not list it."""
        return self._rows.get(key) or self._rows.get(LEGACY.get(key, ""))

    def legacy(self, key: str) -> str | None:
        """Return the legacy spelling of a current key, when this Jira lists it too."""
        old = LEGACY.get(key, "")
        return old if old in self._rows else None


@dataclass(frozen=True, slots=True)
class JiraUser:
    """The account itself; groups and applications are None when Jira does not say."""

    name: str
    display_name: str
    groups: frozenset[str] | None
    applications: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition on offer; `is_done` tells whether it leads to a status of the category done."""

    id: str
    name: str
    is_done: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """Who is granted a permission: `kind` as Jira spells it, `parameter` what it names (a role's id, a group)."""

    permission: str
    kind: str
    parameter: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """A project's permission scheme."""

    name: str
    grants: tuple[Grant, ...]

    def holders(self, key: str) -> list[Grant]:
        """Return the grants of a current key."""
        return [grant for grant in self.grants if grant.permission in {key, LEGACY.get(key)}]


@dataclass(frozen=True, slots=True)
class Role:
    """A project role and who is in it (users by name, groups as "group x"), None when Jira does not say."""

    name: str
    actors: tuple[str, ...] | None


@dataclass(slots=True)
class Account:
    """Everything that was found out; filled step by step."""

    login: LoginVerdict | None = None
    server: ServerInfo | None = None
    user: JiraUser | None = None
    anywhere: Permissions | None = None  # held globally, or in any project
    in_project: Permissions | None = None
    in_issue: Permissions | None = None
    project: Sight = Sight.UNKNOWN
    issue: Sight = Sight.UNKNOWN
    is_done: bool | None = None  # the issue's status is of the category done
    transitions: list[Transition] | None = None
    edit_fields: frozenset[str] | None = None
    create_types: int | None = None
    levels: tuple[str, ...] | None = None  # security levels that the account may set
    project_levels: tuple[str, ...] | None = None  # all security levels of the project
    has_attachments: bool | None = None
    scheme: Scheme | None = None
    roles: dict[str, Role] = field(default_factory=dict)

    @property
    def is_cloud(self) -> bool:
        """Whether this is Jira Cloud, as far as known."""
        return self.server is not None and self.server.is_cloud

    @property
    def is_logged_in(self) -> bool:
        """Whether Jira told who the account is."""
        return self.user is not None


def read_json(body: bytes) -> Any:
    """Return the JSON value of a body, None when it holds none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_user(body: bytes) -> JiraUser | None:
    """Read /myself."""
    document = _object(read_json(body))
    name = _text(document, "name") or _text(document, "accountId")
    if not name:
        return None
    groups, applications = _names(document, "groups", "name"), _names(document, "applicationRoles", "key")
    return JiraUser(name, _text(document, "displayName"), groups, applications)


def read_permissions(body: bytes) -> Permissions | None:
    """Read /mypermissions."""
    rows = _object(read_json(body)).get("permissions")
    if not isinstance(rows, dict):
        return None
    return Permissions(
        {
            key: Permission(key, _text(row, "name") or key, row.get("havePermission") is True)
            for key, row in rows.items()
            if isinstance(row, dict)
        }
    )


def read_transitions(body: bytes) -> list[Transition] | None:
    """Read an issue's transitions."""
    rows = _object(read_json(body)).get("transitions")
    if not isinstance(rows, list):
        return None
    return [
        Transition(str(row.get("id", "")), _text(row, "name"), _is_done(_object(row.get("to"))))
        for row in rows
        if isinstance(row, dict)
    ]


def read_is_done(body: bytes) -> bool | None:
    """Read from an issue whether its status is of the category done."""
    status = _object(_object(_object(read_json(body)).get("fields")).get("status"))
    return _is_done(status) if status else None


def read_fields(body: bytes) -> frozenset[str] | None:
    """Read /editmeta: the ids of the fields on the edit screen."""
    fields = _object(read_json(body)).get("fields")
    return frozenset(fields) if isinstance(fields, dict) else None


def read_create_types(body: bytes) -> int | None:
    """Read either form of createmeta: how many types of issue may be created."""
    document = _object(read_json(body))
    projects = document.get("projects")
    if isinstance(projects, list):
        return sum(len(_list(_object(project).get("issuetypes"))) for project in projects)
    values = document.get("values", document.get("issueTypes"))
    return len(values) if isinstance(values, list) else None


def read_levels(body: bytes) -> tuple[str, ...] | None:
    """Read security levels: the names, in Jira's order."""
    levels = _object(read_json(body)).get("levels")
    return tuple(_text(_object(level), "name") for level in levels) if isinstance(levels, list) else None


def read_has_attachments(body: bytes) -> bool | None:
    """Read /attachment/meta."""
    enabled = _object(read_json(body)).get("enabled")
    return enabled if isinstance(enabled, bool) else None


def read_scheme(body: bytes) -> Scheme | None:
    """Read a project's permission scheme with its grants."""
    document = _object(read_json(body))
    rows = document.get("permissions")
    if not isinstance(rows, list):
        return None
    grants = []
    for row in map(_object, rows):
        holder = _object(row.get("holder"))
        parameter = _text(holder, "parameter") or _text(holder, "value")
        grants.append(Grant(_text(row, "permission"), _text(holder, "type"), parameter))
    return Scheme(_text(document, "name"), tuple(grants))


def read_roles(body: bytes) -> dict[str, Role]:
    """Read the roles of a project by id, without members (`roles` maps a name to a URL that ends with the id)."""
    roles = _object(_object(read_json(body)).get("roles"))
    return {str(url).rpartition("/")[2]: Role(name, None) for name, url in roles.items()}


def read_role(body: bytes) -> Role | None:
    """Read one role of a project with its members."""
    document = _object(read_json(body))
    name, actors = _text(document, "name"), document.get("actors")
    if not name or not isinstance(actors, list):
        return None
    return Role(name, tuple(_actor(_object(actor)) for actor in actors))


def _actor(actor: dict[str, Any]) -> str:
    name = _text(actor, "displayName") or _text(actor, "name")
    return f"group {name}" if _text(actor, "type") == "atlassian-group-role-actor" else name


def _is_done(status: dict[str, Any]) -> bool:
    return _text(_object(status.get("statusCategory")), "key") == "done"


def _names(document: dict[str, Any], key: str, name: str) -> frozenset[str] | None:
    """Return the names in an expanded list, None when it was not filled (Cloud says the size alone)."""
    container = _object(document.get(key))
    items = container.get("items")
    if not isinstance(items, list) or (not items and container.get("size") != 0):
        return None
    return frozenset(_text(_object(item), name) for item in items)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
