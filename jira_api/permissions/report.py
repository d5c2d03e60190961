"""The permission report as plain JSON: per action state, key, reason and screen, and what was asked for. Pure.

Its shape is a contract (docs/permissions.md): `actions[]` in the order of the table, `needs[]` in the order of the
question, `missing[]` the needs that are not surely allowed, `ok` whether none is missing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jira_api.logins import ADVICE
from jira_api.permissions.account import Account
from jira_api.permissions.actions import Action, Scope
from jira_api.permissions.inquiry import Subject
from jira_api.permissions.judgement import Finding, State, find_permission, judge_all, judge_need
from jira_api.permissions.wording import screen, why


@dataclass(frozen=True, slots=True)
class Step:
    """One request that was made for the report; `status` 0 means no answer, `problem` then says why."""

    request: str
    status: int
    problem: str = ""


def report(account: Account, subject: Subject, needs: Iterable[str], steps: Iterable[Step]) -> dict[str, Any]:
    """Return the whole report."""
    wanted = [_need(need, account, subject) for need in needs]
    missing = [row["need"] for row in wanted if row["state"] != State.ALLOWED.value]
    return {
        "jira": _jira(account),
        "account": _account(account),
        "login": _login(account),
        "project": None if subject.project is None else {"key": subject.project, "sight": account.project.value},
        "issue": None if subject.issue is None else {"key": subject.issue, "sight": account.issue.value},
        "ok": not missing,
        "missing": missing,
        "needs": wanted,
        "actions": [_row(action, finding, account, subject) for action, finding in judge_all(account, subject)],
        "steps": [{"request": step.request, "status": step.status, "problem": step.problem} for step in steps],
    }


def _row(action: Action, finding: Finding, account: Account, subject: Subject) -> dict[str, Any]:
    return {
        "action": action.slug,
        "title": action.title,
        "scope": action.scope.value,
        "permissions": [_key(key, action.scope, account, subject) for key in action.permissions],
        "needs_all": list(action.also),
        **_verdict(finding, account, subject),
    }


def _key(key: str, scope: Scope, account: Account, subject: Subject) -> dict[str, Any]:
    """Say how this Jira spells a permission and shows it on its screens, and whether it is held."""
    row, permissions = find_permission(key, scope, account, subject)
    return {
        "key": row.key if row is not None else key,
        "legacy": permissions.legacy(key) if permissions is not None else None,
        "name": None if row is None else row.name,
        "held": None if row is None else row.is_held,
    }


def _need(need: str, account: Account, subject: Subject) -> dict[str, Any]:
    return {"need": need, **_verdict(judge_need(need, account, subject), account, subject)}


def _verdict(finding: Finding, account: Account, subject: Subject) -> dict[str, Any]:
    return {
        "state": finding.state.value,
        "cause": finding.cause.value,
        "why": why(finding, account, subject),
        "grant": screen(finding, account, subject),
    }


def _jira(account: Account) -> dict[str, Any] | None:
    server = account.server
    if server is None:
        return None
    return {"version": server.version, "deployment": server.deployment_type, "base_url": server.base_url}


def _account(account: Account) -> dict[str, Any] | None:
    user = account.user
    if user is None:
        return None
    return {
        "name": user.name,
        "display_name": user.display_name,
        "groups": None if user.groups is None else sorted(user.groups),
        "applications": None if user.applications is None else sorted(user.applications),
    }


def _login(account: Account) -> dict[str, Any] | None:
    if account.login is None:
        return None
    meaning, action = ADVICE[account.login]
    return {"verdict": account.login.slug, "meaning": meaning, "action": action}
