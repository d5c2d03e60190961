"""The table of actions: what an account can do in Jira, which permission it takes, and how a refusal looks over REST.

One row per action, after docs/facts.md J3; docs/permissions.md is generated from it. Every action on an issue
also needs BROWSE_PROJECTS and, where the issue has a security level, membership of that level; rows do not repeat it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Scope(Enum):
    """What a permission is about, and with that where it is granted."""

    PROJECT = "project"
    ISSUE = "issue"
    GLOBAL = "global"


class Evidence(Enum):
    """What of Jira, beside the permission itself, shows whether an action is possible."""

    NONE = "none"
    CREATE_TYPES = "create_types"
    EDIT_FIELDS = "edit_fields"
    TRANSITIONS = "transitions"
    CLOSING = "closing"
    SECURITY_LEVELS = "security_levels"
    ATTACHMENTS = "attachments"


@dataclass(frozen=True, slots=True)
class Action:
    """One row. One of `any_of` is needed, and all of `also`.

    `field` is the field that must be on the screen. `calls` are the requests that do this ("METHODS path", the path
    after jira_api.rules, below Jira's base URL); `denied` the statuses by which Jira refuses them for lack of the
    permission, `denial` the same in words.
    """

    slug: str
    title: str
    any_of: tuple[str, ...]
    scope: Scope
    denial: str
    also: tuple[str, ...] = ()
    conditions: str = ""
    evidence: Evidence = Evidence.NONE
    field: str = ""
    calls: tuple[str, ...] = ()
    denied: tuple[int, ...] = ()

    @property
    def permissions(self) -> tuple[str, ...]:
        """All permissions that the row names."""
        return (*self.any_of, *self.also)


_API: Final = "/rest/api/{2,3,latest}"
_ISSUE: Final = f"{_API}/issue/*"
_AGILE: Final = "/rest/agile/1.0"
_OWN: Final = "own = the account is its author"

ACTIONS: Final[tuple[Action, ...]] = (
    Action(
        "see_project", "See project", ("BROWSE_PROJECTS",), Scope.PROJECT,
        "project 404; absent from the list; JQL 400 “value … does not exist”",
        calls=(f"GET {_API}/project/*", f"GET {_API}/project/*/**"), denied=(404,),
    ),
    Action(
        "see_issue", "See issue", ("BROWSE_PROJECTS",), Scope.ISSUE,
        "on-premise 403 logged in, 401 anonymous; Cloud 404",
        conditions="member of the issue's security level, if it has one",
        calls=(f"GET {_ISSUE}", f"GET {_ISSUE}/**"), denied=(401, 403, 404),
    ),
    Action(
        "create", "Create issue", ("CREATE_ISSUES",), Scope.PROJECT,
        "400 with a message (some versions 403); project missing in createmeta",
        also=("BROWSE_PROJECTS",), conditions="field on the create screen", evidence=Evidence.CREATE_TYPES,
        calls=(f"POST {_API}/issue", f"POST {_API}/issue/bulk"), denied=(400, 401, 403),
    ),
    Action(
        "edit", "Edit issue", ("EDIT_ISSUES",), Scope.ISSUE,
        "400 or 403; field missing in editmeta",
        conditions="status property jira.issue.editable not false; field on the edit screen",
        evidence=Evidence.EDIT_FIELDS, calls=(f"PUT {_ISSUE}",), denied=(400, 401, 403),
    ),
    Action(
        "assign", "Assign issue", ("ASSIGN_ISSUES",), Scope.ISSUE, "PUT …/assignee 401 (sic)",
        conditions="the new assignee holds ASSIGNABLE_USER", calls=(f"PUT {_ISSUE}/assignee",), denied=(401, 403),
    ),
    Action("be_assignee", "Be assignee", ("ASSIGNABLE_USER",), Scope.ISSUE, "400 with errors.assignee"),
    Action(
        "transition", "Transition issue", ("TRANSITION_ISSUES",), Scope.ISSUE,
        "transition absent from the list; POST 400",
        conditions="workflow conditions and validators", evidence=Evidence.TRANSITIONS,
        calls=(f"POST {_ISSUE}/transitions",), denied=(400, 401, 403),
    ),
    Action(
        "close", "Close or reopen issue", ("CLOSE_ISSUES",), Scope.ISSUE, "“Close” absent from the transitions",
        also=("TRANSITION_ISSUES",), conditions="only where the workflow's condition asks for it",
        evidence=Evidence.CLOSING,
    ),
    Action(
        "resolve", "Resolve issue", ("RESOLVE_ISSUES",), Scope.ISSUE, "“Resolve” absent from the transitions",
        also=("TRANSITION_ISSUES",), conditions="only where the workflow's condition asks for it; also fix versions",
        evidence=Evidence.CLOSING,
    ),
    Action(
        "delete", "Delete issue", ("DELETE_ISSUES",), Scope.ISSUE, "403 (401 anonymous); 400 has subtasks",
        conditions="subtasks need deleteSubtasks=true", calls=(f"DELETE {_ISSUE}",), denied=(401, 403),
    ),
    Action(
        "link", "Link issues", ("LINK_ISSUES",), Scope.ISSUE, "401; 404 when linking is off or an issue is invisible",
        conditions="linking enabled; both issues visible", calls=(f"POST {_API}/issueLink",
        f"DELETE {_API}/issueLink/*"), denied=(401, 403, 404),
    ),
    Action(
        "move", "Move issue", ("MOVE_ISSUES",), Scope.ISSUE, "no REST call for it on-premise",
        conditions="CREATE_ISSUES in the target project",
    ),
    Action(
        "due_date", "Set due date", ("SCHEDULE_ISSUES",), Scope.ISSUE, "400 field cannot be set",
        also=("EDIT_ISSUES",), field="duedate",
    ),
    Action(
        "rank", "Rank issue", ("SCHEDULE_ISSUES",), Scope.ISSUE, "403", also=("EDIT_ISSUES",),
        conditions="Jira Software is installed", calls=(f"PUT {_AGILE}/issue/rank",), denied=(401, 403),
    ),
    Action(
        "reporter", "Change reporter", ("MODIFY_REPORTER",), Scope.ISSUE, "400 with errors.reporter",
        field="reporter",
    ),
    Action(
        "security", "Set security level", ("SET_ISSUE_SECURITY",), Scope.ISSUE, "400 with errors.security",
        conditions="member of that level", evidence=Evidence.SECURITY_LEVELS,
    ),
    Action(
        "comment", "Add comment", ("ADD_COMMENTS",), Scope.ISSUE, "400 with a message",
        conditions="a comment restricted to a role: be in that role", calls=(f"POST {_ISSUE}/comment",),
        denied=(400, 401, 403),
    ),
    Action(
        "edit_comment", "Edit comment", ("EDIT_ALL_COMMENTS", "EDIT_OWN_COMMENTS"), Scope.ISSUE, "400",
        conditions=_OWN, calls=(f"PUT {_ISSUE}/comment/*",), denied=(400, 401, 403),
    ),
    Action(
        "delete_comment", "Delete comment", ("DELETE_ALL_COMMENTS", "DELETE_OWN_COMMENTS"), Scope.ISSUE, "400",
        conditions=_OWN, calls=(f"DELETE {_ISSUE}/comment/*",), denied=(400, 401, 403),
    ),
    Action(
        "attach", "Upload attachment", ("CREATE_ATTACHMENTS",), Scope.ISSUE, "403; 404 when the file is too large",
        conditions="attachments enabled; size limit", evidence=Evidence.ATTACHMENTS,
        calls=(f"POST {_ISSUE}/attachments",), denied=(401, 403, 404),
    ),
    Action(
        "download", "Download attachment", ("BROWSE_PROJECTS",), Scope.ISSUE, "302 to the login page, 403 or 404",
        conditions="member of the issue's security level, if it has one",
        calls=("GET /secure/{attachment,thumbnail,attachmentzip}/**", f"GET {_API}/attachment/**"),
        denied=(302, 401, 403, 404),
    ),
    Action(
        "delete_attachment", "Delete attachment", ("DELETE_ALL_ATTACHMENTS", "DELETE_OWN_ATTACHMENTS"), Scope.ISSUE,
        "403 or 404", conditions=_OWN, calls=(f"DELETE {_API}/attachment/*",), denied=(401, 403, 404),
    ),
    Action(
        "see_watchers", "See watchers", ("VIEW_VOTERS_AND_WATCHERS",), Scope.ISSUE,
        "200 with an empty list; the count is still shown", calls=(f"GET {_ISSUE}/watchers",), denied=(401, 403),
    ),
    Action(
        "watchers", "Change watchers", ("MANAGE_WATCHERS",), Scope.ISSUE, "401 with a message",
        conditions="watching oneself needs only the right to see the issue",
        calls=(f"POST {_ISSUE}/watchers", f"DELETE {_ISSUE}/watchers"), denied=(401, 403),
    ),
    Action(
        "log_work", "Log work", ("WORK_ON_ISSUES",), Scope.ISSUE, "400 or 403", conditions="time tracking is on",
        calls=(f"POST {_ISSUE}/worklog",), denied=(400, 401, 403),
    ),
    Action(
        "edit_worklog", "Edit worklog", ("EDIT_ALL_WORKLOGS", "EDIT_OWN_WORKLOGS"), Scope.ISSUE, "400 or 403",
        conditions=_OWN, calls=(f"PUT {_ISSUE}/worklog/*",), denied=(400, 401, 403),
    ),
    Action(
        "delete_worklog", "Delete worklog", ("DELETE_ALL_WORKLOGS", "DELETE_OWN_WORKLOGS"), Scope.ISSUE,
        "400 or 403", conditions=_OWN, calls=(f"DELETE {_ISSUE}/worklog/*",), denied=(400, 401, 403),
    ),
    Action(
        "sprints", "Manage sprints", ("MANAGE_SPRINTS_PERMISSION",), Scope.PROJECT, "403",
        conditions="in every project that the board's filter covers; moving issues also needs EDIT_ISSUES and "
        "SCHEDULE_ISSUES",
        calls=(f"POST PUT DELETE {_AGILE}/sprint", f"POST PUT DELETE {_AGILE}/sprint/**"), denied=(401, 403),
    ),
    Action(
        "webhooks", "Register webhooks", ("ADMINISTER", "SYSTEM_ADMIN"), Scope.GLOBAL, "401 anonymous, 403",
        calls=("GET POST PUT DELETE /rest/webhooks/1.0/webhook/**",
               "GET POST PUT DELETE /rest/jira-webhook/1.0/webhooks/**"), denied=(302, 401, 403, 404),
    ),
    Action(
        "read_schemes", "Read permission schemes", ("ADMINISTER", "SYSTEM_ADMIN", "ADMINISTER_PROJECTS"), Scope.GLOBAL,
        "403", conditions="ADMINISTER_PROJECTS: of one's own project only",
        calls=(f"GET {_API}/permissionscheme/**", f"GET {_API}/issuesecurityschemes/**",
               f"GET {_API}/project/*/{{permissionscheme,issuesecuritylevelscheme}}"), denied=(401, 403),
    ),
    Action(
        "find_users", "Find users", ("USER_PICKER",), Scope.GLOBAL, "200 with an empty list",
        calls=(f"GET {_API}/user/search", f"GET {_API}/user/picker"), denied=(401, 403),
    ),
)  # fmt: skip

# Current key -> the name before Jira 6.4, which versions up to 10 still list (with "deprecatedKey": true).
LEGACY: Final[dict[str, str]] = {
    "ADMINISTER_PROJECTS": "PROJECT_ADMIN", "BROWSE_PROJECTS": "BROWSE", "VIEW_DEV_TOOLS": "VIEW_VERSION_CONTROL",
    "VIEW_READONLY_WORKFLOW": "VIEW_WORKFLOW_READONLY", "CREATE_ISSUES": "CREATE_ISSUE",
    "EDIT_ISSUES": "EDIT_ISSUE", "TRANSITION_ISSUES": "TRANSITION_ISSUE", "SCHEDULE_ISSUES": "SCHEDULE_ISSUE",
    "MOVE_ISSUES": "MOVE_ISSUE", "ASSIGN_ISSUES": "ASSIGN_ISSUE", "RESOLVE_ISSUES": "RESOLVE_ISSUE",
    "CLOSE_ISSUES": "CLOSE_ISSUE", "DELETE_ISSUES": "DELETE_ISSUE", "LINK_ISSUES": "LINK_ISSUE",
    "MANAGE_WATCHERS": "MANAGE_WATCHER_LIST", "ADD_COMMENTS": "COMMENT_ISSUE",
    "EDIT_ALL_COMMENTS": "COMMENT_EDIT_ALL", "EDIT_OWN_COMMENTS": "COMMENT_EDIT_OWN",
    "DELETE_ALL_COMMENTS": "COMMENT_DELETE_ALL", "DELETE_OWN_COMMENTS": "COMMENT_DELETE_OWN",
    "CREATE_ATTACHMENTS": "CREATE_ATTACHMENT", "DELETE_ALL_ATTACHMENTS": "ATTACHMENT_DELETE_ALL",
    "DELETE_OWN_ATTACHMENTS": "ATTACHMENT_DELETE_OWN", "WORK_ON_ISSUES": "WORK_ISSUE",
    "EDIT_OWN_WORKLOGS": "WORKLOG_EDIT_OWN", "EDIT_ALL_WORKLOGS": "WORKLOG_EDIT_ALL",
    "DELETE_OWN_WORKLOGS": "WORKLOG_DELETE_OWN", "DELETE_ALL_WORKLOGS": "WORKLOG_DELETE_ALL",
}  # fmt: skip
MODERN: Final = {old: new for new, old in LEGACY.items()}

# Permissions that an app brings: Jira does not know them without it.
APP_PERMISSIONS: Final[dict[str, str]] = {
    "MANAGE_SPRINTS_PERMISSION": "Jira Software",
    "SERVICEDESK_AGENT": "Jira Service Management",
}

# Permissions that are about a project and never about one issue.
PROJECT_PERMISSIONS: Final = frozenset({"ADMINISTER_PROJECTS", "CREATE_ISSUES", "MANAGE_SPRINTS_PERMISSION"})
GLOBAL_PERMISSIONS: Final = frozenset({
    "ADMINISTER", "SYSTEM_ADMIN", "USER_PICKER", "CREATE_SHARED_OBJECTS", "MANAGE_GROUP_FILTER_SUBSCRIPTIONS",
    "BULK_CHANGE",
})  # fmt: skip


def modern(key: str) -> str:
    """Return the current name of a permission key in any case and age."""
    upper = key.strip().upper()
    return MODERN.get(upper, upper)


def find_action(slug: str) -> Action | None:
    """Return the row of this slug (in any case, - or _ between words)."""
    wanted = slug.strip().lower().replace("-", "_")
    return next((action for action in ACTIONS if action.slug == wanted), None)
