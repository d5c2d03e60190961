"""A finding in words: why, and which screen of Jira an administrator opens to change it. Pure.

Names of menus are those of Jira in English. How Jira names a permission on its screens, in the account's language, is
in the report's rows.
"""

from typing import Final

from jira_api.logins import ADVICE, LoginVerdict
from jira_api.permissions.account import Account, Grant
from jira_api.permissions.actions import APP_PERMISSIONS, GLOBAL_PERMISSIONS
from jira_api.permissions.inquiry import Subject
from jira_api.permissions.judgement import Cause, Finding, State

_HOLDERS: Final[dict[str, str]] = {
    "anyone": "anyone",
    "group": "group {}",
    "user": "user {}",
    "projectRole": "project role {}",
    "applicationRole": "application access {}",
    "reporter": "the reporter",
    "assignee": "the current assignee",
    "projectLead": "the project lead",
    "userCustomField": "the users in field {}",
    "groupCustomField": "the groups in field {}",
}

_PLAIN_REASONS: Final[dict[Cause, str]] = {
    Cause.ISSUE_MISSING: "There is no issue {issue} (Jira answered 404).",
    Cause.NO_LEVEL: "The permission is granted, but there is no security level that the account could set: the project "
    "has none, or the account is a member of none.",
    Cause.WORKFLOW: "The permission is granted, but the workflow offers no such transition from the issue's present "
    "status: a condition of the workflow is not met, or there is none.",
    Cause.NO_ISSUE_TYPE: "The permission is granted, but Jira offers no type of issue to create in the project.",
    Cause.NOT_EDITABLE: "The permission is granted, but no field can be edited: the status has "
    "jira.issue.editable=false, or the edit screen is empty.",
    Cause.SWITCHED_OFF: "The permission is granted, but attachments are switched off in this Jira.",
}

_SCHEME_SCREEN: Final = (
    "Project settings{project} > Permissions and Users and roles: put the account into a role that is granted it, or "
    "grant it to a role, group or application access in Jira administration > Issues > Permission schemes{scheme}."
)

SCREENS: Final[dict[Cause, str]] = {
    Cause.NO_BROWSE: _SCHEME_SCREEN,
    Cause.NO_GRANT: _SCHEME_SCREEN,
    Cause.ISSUE_DEPENDENT: _SCHEME_SCREEN,
    Cause.APPLICATION_ACCESS: "Jira administration > Applications > Application access: put the account into a group "
    "that has access.",
    Cause.SECURITY_LEVEL: "Project settings > Issue security: add the account, its group or its project role to the "
    "level (Jira administration > Issues > Issue security schemes).",
    Cause.NO_LEVEL: "Project settings > Issue security: the levels, and who is a member of each.",
    Cause.GLOBAL_PERMISSION: "Jira administration > System > Global permissions: grant it to a group of the account.",
    Cause.WORKFLOW: "Project settings > Workflows: the conditions of the transition.",
    Cause.NO_ISSUE_TYPE: "Project settings > Issue types: the project's issue type scheme.",
    Cause.NOT_EDITABLE: "Project settings > Workflows: the properties of the status; Project settings > Screens.",
    Cause.FIELD_NOT_ON_SCREEN: "Project settings > Screens: add the field to the edit screen.",
    Cause.SWITCHED_OFF: "Jira administration > System > Attachments.",
    Cause.APP_MISSING: "Jira administration > Manage apps: the app is not installed or not licensed.",
}
CLOUD_SCREENS: Final[dict[Cause, str]] = {
    Cause.APPLICATION_ACCESS: "admin.atlassian.com > Products > Jira: give the account product access.",
}


def why(finding: Finding, account: Account, subject: Subject) -> str:
    """Say why, as far as the account's own rights let us see it."""
    match finding.cause:
        case Cause.LOGIN | Cause.APPLICATION_ACCESS:
            return ADVICE[_verdict(finding, account)].meaning
        case Cause.NO_BROWSE:
            project = f"Project {subject.project}" if subject.project else "The project of the issue"
            return f"{project} does not exist, or the account may not browse it."
        case Cause.SECURITY_LEVEL:
            return _hidden(account, subject)
        case Cause.NO_GRANT | Cause.ISSUE_DEPENDENT | Cause.GLOBAL_PERMISSION:
            return _not_granted(finding, account, subject)
        case Cause.APP_MISSING:
            return f"This Jira has no permission {finding.missing[0]}: {_app(finding)} is not installed."
        case Cause.FIELD_NOT_ON_SCREEN:
            return "Granted, but the field is not on this issue's edit screen: setting it there is refused with 400."
        case Cause.GRANTED:
            return "Granted" + ("." if subject.project or subject.issue else " in at least one project.")
        case Cause.NOT_TOLD:
            return "Jira did not say."
    return _PLAIN_REASONS[finding.cause].format(issue=subject.issue)


def screen(finding: Finding, account: Account, subject: Subject) -> str:
    """Say which screen of Jira an administrator opens to grant it; "" when there is nothing to grant."""
    cause = finding.cause
    if finding.state is State.ALLOWED and cause is Cause.GRANTED:
        return ""
    if cause is Cause.LOGIN:
        return ADVICE[_verdict(finding, account)].action
    if account.is_cloud and cause in CLOUD_SCREENS:
        return CLOUD_SCREENS[cause]
    scheme = f" > {account.scheme.name}" if account.scheme is not None else ""
    project = f" of {subject.project}" if subject.project else ""
    return SCREENS.get(cause, "").format(project=project, scheme=scheme)


def holder(grant: Grant, account: Account) -> str:
    """Name who is granted something, a role with its members where they are known."""
    parameter = grant.parameter
    if grant.kind == "projectRole":
        role = account.roles.get(parameter)
        members = f" ({', '.join(role.actors) or 'nobody'})" if role is not None and role.actors is not None else ""
        return f"project role {role.name if role is not None else parameter}{members}"
    if grant.kind == "applicationRole" and not parameter:
        return "any logged-in user"
    return _HOLDERS.get(grant.kind, grant.kind + " {}").format(parameter).rstrip()


def _verdict(finding: Finding, account: Account) -> LoginVerdict:
    if finding.cause is Cause.APPLICATION_ACCESS:
        return LoginVerdict.NO_APPLICATION_ACCESS
    return account.login or LoginVerdict.LOGIN_REQUIRED


def _hidden(account: Account, subject: Subject) -> str:
    doubt = ", or there is no such issue" if account.is_cloud else ""
    levels = f" The project's levels: {', '.join(account.project_levels)}." if account.project_levels else ""
    reason = f"Project {subject.project} is visible and {subject.issue} is not: the issue has a security level"
    return f"{reason} that the account is not a member of{doubt}.{levels}"


def _not_granted(finding: Finding, account: Account, subject: Subject) -> str:
    keys = " or ".join(finding.missing)
    if finding.cause is Cause.GLOBAL_PERMISSION:
        return f"No group of the account holds the global permission{_globally(finding)}."
    if finding.cause is Cause.ISSUE_DEPENDENT:
        return (
            f"{keys} is granted in the project but not for {subject.issue}: the grant goes to the reporter, the "
            "assignee or a user field of the issue."
        )
    if not subject.project and not subject.issue:
        return f"The account holds {keys} in no project."
    return f"The permission scheme does not grant {keys} to the account.{_granted_to(finding, account)}"


def _globally(finding: Finding) -> str:
    """Name what is missing globally, and what would have done in a project."""
    everywhere = [key for key in finding.missing if key in GLOBAL_PERMISSIONS]
    here = [key for key in finding.missing if key not in GLOBAL_PERMISSIONS]
    return f" {' or '.join(everywhere)}" + (f", and the project does not grant {' or '.join(here)}" if here else "")


def _granted_to(finding: Finding, account: Account) -> str:
    if account.scheme is None:
        return ""
    grants = [grant for key in finding.missing for grant in account.scheme.holders(key)]
    holders = ", ".join(dict.fromkeys(holder(grant, account) for grant in grants)) or "nobody"
    return f" “{account.scheme.name}” grants it to: {holders}."


def _app(finding: Finding) -> str:
    return APP_PERMISSIONS[finding.missing[0]]
