"""Who may do what: grants of project permissions to groups, security levels, and global permissions."""

from tests.support.fake_jira.people import User
from tests.support.fake_jira.store import Issue, Project

# Current project permission -> the name that 6.x used; Jira up to 10 lists both (docs/facts.md J2.1).
LEGACY = {
    "BROWSE_PROJECTS": "BROWSE", "CREATE_ISSUES": "CREATE_ISSUE", "EDIT_ISSUES": "EDIT_ISSUE",
    "ASSIGN_ISSUES": "ASSIGN_ISSUE", "RESOLVE_ISSUES": "RESOLVE_ISSUE", "ADD_COMMENTS": "COMMENT_ISSUE",
    "DELETE_ISSUES": "DELETE_ISSUE", "CLOSE_ISSUES": "CLOSE_ISSUE", "CREATE_ATTACHMENTS": "CREATE_ATTACHMENT",
    "WORK_ON_ISSUES": "WORK_ISSUE", "LINK_ISSUES": "LINK_ISSUE", "ADMINISTER_PROJECTS": "PROJECT_ADMIN",
    "MOVE_ISSUES": "MOVE_ISSUE", "SCHEDULE_ISSUES": "SCHEDULE_ISSUE", "TRANSITION_ISSUES": "TRANSITION_ISSUE",
    "MANAGE_WATCHERS": "MANAGE_WATCHER_LIST", "EDIT_ALL_COMMENTS": "COMMENT_EDIT_ALL",
    "EDIT_OWN_COMMENTS": "COMMENT_EDIT_OWN", "DELETE_ALL_COMMENTS": "COMMENT_DELETE_ALL",
    "DELETE_OWN_COMMENTS": "COMMENT_DELETE_OWN", "DELETE_ALL_ATTACHMENTS": "ATTACHMENT_DELETE_ALL",
    "DELETE_OWN_ATTACHMENTS": "ATTACHMENT_DELETE_OWN",
}  # fmt: skip
MODERN = {old: new for new, old in LEGACY.items()}

MEMBER = (
    "BROWSE_PROJECTS", "CREATE_ISSUES", "EDIT_ISSUES", "ASSIGN_ISSUES", "ASSIGNABLE_USER", "RESOLVE_ISSUES",
    "CLOSE_ISSUES", "TRANSITION_ISSUES", "SCHEDULE_ISSUES", "MOVE_ISSUES", "LINK_ISSUES", "ADD_COMMENTS",
    "EDIT_OWN_COMMENTS", "DELETE_OWN_COMMENTS", "CREATE_ATTACHMENTS", "DELETE_OWN_ATTACHMENTS", "WORK_ON_ISSUES",
    "EDIT_OWN_WORKLOGS", "DELETE_OWN_WORKLOGS", "VIEW_VOTERS_AND_WATCHERS", "MANAGE_WATCHERS", "DELETE_ISSUES",
    "MANAGE_SPRINTS_PERMISSION", "VIEW_DEV_TOOLS", "VIEW_READONLY_WORKFLOW",
)  # fmt: skip
ADMIN = (
    *MEMBER, "ADMINISTER_PROJECTS", "MODIFY_REPORTER", "SET_ISSUE_SECURITY", "EDIT_ALL_COMMENTS",
    "DELETE_ALL_COMMENTS", "DELETE_ALL_ATTACHMENTS", "EDIT_ALL_WORKLOGS", "DELETE_ALL_WORKLOGS",
)  # fmt: skip
GLOBAL = {
    "ADMINISTER": "jira-administrators",
    "SYSTEM_ADMIN": "jira-administrators",
    "BULK_CHANGE": "jira-software-users",
    "USER_PICKER": "jira-software-users",
    "CREATE_SHARED_OBJECTS": "jira-software-users",
    "USE": "jira-software-users",
}


def grants_of(members: set[str], admins: set[str], readers: set[str] = frozenset()) -> dict[str, set[str]]:  # type: ignore[assignment] # an empty default
    """A permission scheme: what member, administrator and reader groups hold."""
    grants: dict[str, set[str]] = {}
    for permissions, groups in ((MEMBER, members), (ADMIN, admins), (("BROWSE_PROJECTS",), readers)):
        for permission in permissions:
            grants.setdefault(permission, set()).update(groups)
    return grants


def may(user: User | None, permission: str, project: Project) -> bool:
    """Whether the project's scheme grants it; the group `anyone` includes anonymous."""
    holders = project.grants.get(permission, set())
    return "anyone" in holders or (user is not None and bool(holders & user.groups))


def may_globally(user: User | None, permission: str) -> bool:
    """A global permission."""
    return user is not None and GLOBAL.get(permission, "nobody") in user.groups


def sees_project(user: User | None, project: Project) -> bool:
    """Browse permission."""
    return may(user, "BROWSE_PROJECTS", project)


def sees_issue(user: User | None, issue: Issue) -> bool:
    """Browse permission and membership of the issue's security level."""
    if not sees_project(user, issue.project):
        return False
    if issue.security is None:
        return True
    members = issue.project.security_members.get(issue.security, set())
    return user is not None and bool(members & user.groups)


def holds(user: User | None, key: str, projects: list[Project], issue: Issue | None) -> bool:
    """The value of one row of /mypermissions: global, or in any of these projects."""
    modern = MODERN.get(key, key)
    if modern in GLOBAL:
        return may_globally(user, modern)
    if issue is not None and not sees_issue(user, issue):
        return False
    return any(may(user, modern, project) and sees_project(user, project) for project in projects)
