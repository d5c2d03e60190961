"""What a permission report asks Jira: the subject of the question, and the GET requests that answer it.

Targets are path and query below Jira's base URL. `permissions=` is always sent with /mypermissions: Cloud demands it,
on-premise ignores it. Names are checked before they become part of a path.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from jira_api.permissions.actions import ACTIONS, APP_PERMISSIONS, GLOBAL_PERMISSIONS, LEGACY, find_action, modern
from jira_api.server_info import ServerInfo

_PROJECT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}|[0-9]{1,18}", re.ASCII)
_ISSUE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}-[0-9]{1,18}|[0-9]{1,18}", re.ASCII)
_NEED: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}", re.ASCII)
_PAGED_CREATEMETA: Final = (8, 4)

SERVER_INFO: Final = b"/rest/api/2/serverInfo"
MYSELF: Final = b"/rest/api/2/myself?expand=groups,applicationRoles"
ATTACHMENT_META: Final = b"/rest/api/2/attachment/meta"

# Legacy names are never asked for: Cloud answers 400 to keys that it does not know.
KEYS: Final = frozenset({key for action in ACTIONS for key in action.permissions} | LEGACY.keys() | GLOBAL_PERMISSIONS)
CORE: Final = sorted(KEYS - APP_PERMISSIONS.keys())


class InvalidSubject(Exception):
    """A project, issue or permission whose name cannot be one; `what` says which of them."""

    def __init__(self, what: str, value: str) -> None:
        super().__init__(f"{value!r} is no {what} key")
        self.what = what
        self.value = value


@dataclass(frozen=True, slots=True)
class Subject:
    """What the question is about: one issue, one project, or (neither) Jira as a whole."""

    project: str | None = None
    issue: str | None = None


def read_subject(project: str | None, issue: str | None) -> Subject:
    """Return the subject that these keys or ids name; an issue's key names its project too.

    Raises:
        InvalidSubject: one of them cannot be a key.
    """
    if project and not _PROJECT.fullmatch(project):
        raise InvalidSubject("project", project)
    if issue and not _ISSUE.fullmatch(issue):
        raise InvalidSubject("issue", issue)
    if issue and not project:
        project = issue.rpartition("-")[0]
    return Subject(project or None, issue or None)


def read_needs(text: str) -> tuple[str, ...]:
    """Return the comma-separated permission keys and actions that somebody needs.

    Raises:
        InvalidSubject: one of them cannot be a key.
    """
    needs = tuple(filter(None, (need.strip() for need in text.split(","))))
    for need in needs:
        if not _NEED.fullmatch(need):
            raise InvalidSubject("permission", need)
    return tuple(dict.fromkeys(needs))


def keys_to_ask(needs: Iterable[str]) -> list[str]:
    """Return the permission keys that a report needs to know."""
    return sorted(KEYS | {modern(need) for need in needs if find_action(need) is None})


def my_permissions(keys: Iterable[str], *, project: str | None = None, issue: str | None = None) -> bytes:
    """Ask which of `keys` the account holds for an issue, for a project, or in any project."""
    context = ""
    if issue:
        context = f"&issueId={issue}" if issue.isdigit() else f"&issueKey={issue}"
    elif project:
        context = f"&projectId={project}" if project.isdigit() else f"&projectKey={project}"
    return f"/rest/api/2/mypermissions?permissions={','.join(keys)}{context}".encode()


def project_itself(project: str) -> bytes:
    """Ask whether the project is visible, and for its roles."""
    return f"/rest/api/2/project/{project}".encode()


def project_scheme(project: str) -> bytes:
    """Ask who is granted what in the project; for administrators."""
    return f"/rest/api/2/project/{project}/permissionscheme?expand=permissions,user,group,projectRole,field".encode()


def project_role(project: str, role: str) -> bytes:
    """Ask who is in a role."""
    return f"/rest/api/2/project/{project}/role/{role}".encode()


def security_scheme(project: str) -> bytes:
    """Ask which security levels the project's issues may have; for administrators."""
    return f"/rest/api/2/project/{project}/issuesecuritylevelscheme".encode()


def security_levels(project: str) -> bytes:
    """Ask which security levels the account may set."""
    return f"/rest/api/2/project/{project}/securitylevel".encode()


def create_types(project: str, server: ServerInfo | None) -> bytes:
    """Ask which types of issue the account may create: the form that this version has (the old one ended with 8)."""
    is_old = server is not None and not server.is_cloud and server.version_numbers[:2] < _PAGED_CREATEMETA
    if is_old and server is not None and server.version_numbers:
        parameter = "projectIds" if project.isdigit() else "projectKeys"
        return f"/rest/api/2/issue/createmeta?{parameter}={project}".encode()
    return f"/rest/api/2/issue/createmeta/{project}/issuetypes?maxResults=50".encode()


def issue_itself(issue: str) -> bytes:
    """Ask whether the issue is visible, its status and its security level."""
    return f"/rest/api/2/issue/{issue}?fields=status,security".encode()


def transitions(issue: str) -> bytes:
    """Ask where the account may take the issue from here."""
    return f"/rest/api/2/issue/{issue}/transitions".encode()


def edit_fields(issue: str) -> bytes:
    """Ask which fields the account may edit."""
    return f"/rest/api/2/issue/{issue}/editmeta".encode()
