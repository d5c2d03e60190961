"""The judgement: per action allowed, denied or unknown, and why, from what Jira has told about an account.

The order is the order in which Jira itself would refuse: the login, the project, the issue, the permission, and last
what workflow and screens add. How to read the answers is docs/facts.md J3. Pure; the words are in wording.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from jira_api.logins import LoginVerdict
from jira_api.permissions.account import Account, Permission, Permissions, Sight
from jira_api.permissions.actions import (
    ACTIONS,
    APP_PERMISSIONS,
    GLOBAL_PERMISSIONS,
    PROJECT_PERMISSIONS,
    Action,
    Evidence,
    Scope,
    find_action,
    modern,
)
from jira_api.permissions.inquiry import Subject


class State(Enum):
    """The verdict on one action."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Cause(Enum):
    """Why, in one word; `value` is the stable name."""

    GRANTED = "granted"
    LOGIN = "login"
    APPLICATION_ACCESS = "application_access"
    NO_BROWSE = "no_browse"
    SECURITY_LEVEL = "security_level"
    NO_LEVEL = "no_security_level"
    ISSUE_MISSING = "issue_missing"
    NO_GRANT = "scheme_grant_missing"
    ISSUE_DEPENDENT = "issue_dependent_grant"
    GLOBAL_PERMISSION = "global_permission"
    APP_MISSING = "app_missing"
    WORKFLOW = "workflow_condition"
    NO_ISSUE_TYPE = "no_issue_type"
    NOT_EDITABLE = "not_editable"
    FIELD_NOT_ON_SCREEN = "field_not_on_screen"
    SWITCHED_OFF = "switched_off"
    NOT_TOLD = "not_told"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on an action or on one permission; `missing` are the keys of which it lacks one."""

    state: State
    cause: Cause
    missing: tuple[str, ...] = ()


def judge_all(account: Account, subject: Subject) -> list[tuple[Action, Finding]]:
    """Judge every action of the table, in its order."""
    return [(action, judge(action, account, subject)) for action in ACTIONS]


def judge(action: Action, account: Account, subject: Subject) -> Finding:
    """Judge one action."""
    obstacle = _obstacle(action.scope, account, subject)
    if obstacle is not None:
        return obstacle
    return _with_evidence(action, _judge_keys(action, account, subject), account)


def judge_need(need: str, account: Account, subject: Subject) -> Finding:
    """Judge what somebody asked for: the slug of an action, or a permission key in either spelling."""
    action = find_action(need)
    if action is not None:
        return judge(action, account, subject)
    key = modern(need)
    scope = Scope.PROJECT if key in PROJECT_PERMISSIONS else Scope.ISSUE
    scope = Scope.GLOBAL if key in GLOBAL_PERMISSIONS else scope
    return _obstacle(scope, account, subject) or _judge_key(key, scope, account, subject)


def find_permission(
    key: str, scope: Scope, account: Account, subject: Subject
) -> tuple[Permission | None, Permissions | None]:
    """Return the row that decides about a key, and the list that it was looked up in."""
    lists = [account.in_project, account.in_issue, account.anywhere]
    if key not in GLOBAL_PERMISSIONS and scope is Scope.ISSUE and subject.issue:
        lists = [account.in_issue]
    elif key not in GLOBAL_PERMISSIONS and (subject.project or subject.issue):
        lists = [account.in_project, account.in_issue]
    known = [permissions for permissions in lists if permissions is not None]
    for permissions in known:
        row = permissions.find(key)
        if row is not None:
            return row, permissions
    return None, known[0] if known else None


def _obstacle(scope: Scope, account: Account, subject: Subject) -> Finding | None:
    """Return what stands before any permission: the login, or that project or issue cannot be seen."""
    if account.login is LoginVerdict.NO_APPLICATION_ACCESS:
        return Finding(State.DENIED, Cause.APPLICATION_ACCESS)
    if not account.is_logged_in:
        cause = Cause.NOT_TOLD if account.login in {None, LoginVerdict.OK} else Cause.LOGIN
        return Finding(State.UNKNOWN, cause)
    if scope is Scope.GLOBAL:
        return None
    if subject.project and account.project is Sight.GONE:
        has_none = account.user is not None and account.user.applications == frozenset()
        cause = Cause.APPLICATION_ACCESS if has_none and not account.is_cloud else Cause.NO_BROWSE
        return Finding(State.DENIED, cause, ("BROWSE_PROJECTS",))
    if scope is Scope.ISSUE and subject.issue:
        return _hidden_issue(account)
    return None


def _hidden_issue(account: Account) -> Finding | None:
    """An issue that does not show although its project does: its security level, or there is no such issue."""
    if account.issue is Sight.MISSING:
        return Finding(State.UNKNOWN, Cause.ISSUE_MISSING)
    if account.issue not in {Sight.HIDDEN, Sight.GONE}:
        return None
    if account.project is Sight.VISIBLE:
        return Finding(State.DENIED, Cause.SECURITY_LEVEL)
    return Finding(State.DENIED, Cause.NO_BROWSE, ("BROWSE_PROJECTS",))


def _judge_keys(action: Action, account: Account, subject: Subject) -> Finding:
    """One of `any_of` must be held and all of `also`; what is surely missing outweighs what is not known."""
    alternatives = [_judge_key(key, action.scope, account, subject) for key in action.any_of]
    held = next((finding for finding in alternatives if finding.state is State.ALLOWED), None)
    if held is None and any(finding.state is State.UNKNOWN for finding in alternatives):
        held = Finding(State.UNKNOWN, Cause.NOT_TOLD, action.any_of)
    if held is None:
        return Finding(State.DENIED, alternatives[0].cause, action.any_of)
    demanded = [held, *(_judge_key(key, action.scope, account, subject) for key in action.also)]
    for state in (State.DENIED, State.UNKNOWN):
        for finding in demanded:
            if finding.state is state:
                return finding
    return held


def _judge_key(key: str, scope: Scope, account: Account, subject: Subject) -> Finding:
    row, permissions = find_permission(key, scope, account, subject)
    if row is None:
        is_whole = permissions is not None and not account.is_cloud  # Cloud lists what it was asked for and no more
        if key in APP_PERMISSIONS and is_whole:
            return Finding(State.DENIED, Cause.APP_MISSING, (key,))
        return Finding(State.UNKNOWN, Cause.NOT_TOLD, (key,))
    if row.is_held:
        return Finding(State.ALLOWED, Cause.GRANTED)
    if key in GLOBAL_PERMISSIONS:
        return Finding(State.DENIED, Cause.GLOBAL_PERMISSION, (key,))
    decided_on_issue = permissions is account.in_issue and account.in_project is not None
    at_large = account.in_project.find(key) if decided_on_issue and account.in_project is not None else None
    cause = Cause.ISSUE_DEPENDENT if at_large is not None and at_large.is_held else Cause.NO_GRANT
    return Finding(State.DENIED, cause, (key,))


def _with_evidence(action: Action, finding: Finding, account: Account) -> Finding:
    """Let what Jira offers on this very issue speak where it says more than the permission does."""
    match action.evidence:
        case Evidence.TRANSITIONS:
            return _by_offer(finding, account.transitions)
        case Evidence.CLOSING:
            return _by_offer(finding, _closing(account))
    if finding.state is not State.ALLOWED:
        return finding
    fields = account.edit_fields
    match action.evidence:
        case Evidence.CREATE_TYPES if account.create_types == 0:
            return Finding(State.DENIED, Cause.NO_ISSUE_TYPE)
        case Evidence.EDIT_FIELDS if fields is not None and not fields:
            return Finding(State.DENIED, Cause.NOT_EDITABLE)
        case Evidence.ATTACHMENTS if account.has_attachments is False:
            return Finding(State.DENIED, Cause.SWITCHED_OFF)
        case Evidence.SECURITY_LEVELS if account.levels == ():
            return Finding(State.DENIED, Cause.NO_LEVEL)
    if action.field and fields and action.field not in fields:
        return Finding(State.ALLOWED, Cause.FIELD_NOT_ON_SCREEN)
    return finding


def _by_offer(finding: Finding, offered: Sequence[object] | None) -> Finding:
    """A transition on offer is allowed whatever else; none on offer in spite of the permission is the workflow's."""
    if offered:
        return Finding(State.ALLOWED, Cause.GRANTED)
    if offered is not None and finding.state is State.ALLOWED:
        return Finding(State.DENIED, Cause.WORKFLOW)
    return finding


def _closing(account: Account) -> list[bool] | None:
    """Return the transitions on offer that close the issue, or that reopen it when it is done."""
    if account.transitions is None or account.is_done is None:
        return None
    return [True for transition in account.transitions if transition.is_done is not account.is_done]
