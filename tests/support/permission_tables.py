"""docs/permissions.md, made from the table of actions in jira_api/permissions/actions.py: `make docs` writes it anew.

What an action takes is said once, in the table; a test compares.
"""

import sys
from pathlib import Path

from jira_api.logins import ADVICE, LoginVerdict
from jira_api.permissions.actions import ACTIONS, APP_PERMISSIONS, LEGACY, Action, Scope
from jira_api.permissions.judgement import Cause
from jira_api.permissions.wording import CLOUD_SCREENS, SCREENS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
GRANTED_BY = {
    Scope.PROJECT: "permission scheme",
    Scope.ISSUE: "permission scheme",
    Scope.GLOBAL: "global permission: groups only",
}

INTRODUCTION = """\
# Permissions: what an account may do in Jira, and why not

<!-- Made by `make docs` from jira_api/permissions/actions.py and jira_api/logins.py; edit those. -->

Three questions have an answer here:

- *May this account do its work?* `jira-gateway connections permissions NAME [--project KEY] [--issue KEY]` asks Jira
  through the connection, with its account, and says per action `allowed`, `denied` or `unknown`, why, and which screen
  of Jira an administrator opens to grant it. Only GET requests are sent, a dozen at most, and a login that Jira refuses
  is not tried a second time. What Jira does not tell is `unknown`, never guessed.
- *May it deploy?* `--need CREATE_ISSUES,transition` takes permission keys (current or legacy) and actions of the table
  below; the exit status is 1 unless all of them are allowed.
- *Why was this request refused?* Every answer carries `X-Request-ID`;
  `jira-gateway connections explain NAME REQUEST_ID` names the most likely cause from what the gateway remembers of it:
  who asked for what, the status, and the headers about the login. Bodies, queries and successes are not remembered, and
  only the last 4096 failures are.

Both take `--json`. Without `--project` and `--issue` a permission counts as held when it is held in any project. Grants
that depend on the issue (reporter, current assignee, a user field) only show with `--issue`.
"""

ACTIONS_INTRODUCTION = """\
## Actions

Every action on an issue also needs BROWSE_PROJECTS and, where the issue has a security level, membership of that level.
A permission scheme grants to project roles, application access, groups, single users, the reporter, the project lead,
the assignee, and users or groups in a field.
"""


def document() -> str:
    """The whole document."""
    parts = [INTRODUCTION, ACTIONS_INTRODUCTION, _actions(), "## Causes\n", _causes(), "## Logins\n", _logins()]
    return "\n".join([*parts, "## Permission keys\n", _keys()])


def _actions() -> str:
    head = "| action | | needs | granted by | also | a refusal looks like |"
    return "\n".join([head, "|---|---|---|---|---|---|", *map(_action, ACTIONS), ""])


def _action(action: Action) -> str:
    keys = " and ".join([" or ".join(action.any_of), *action.also])
    cells = (f"`{action.slug}`", action.title, keys, GRANTED_BY[action.scope], action.conditions, action.denial)
    return f"| {' | '.join(cells)} |"


def _causes() -> str:
    screens = {cause: screen.format(project="", scheme="") for cause, screen in SCREENS.items()}
    rows = [f"| `{cause.value}` | {screens[cause]}{_on_cloud(cause)} |" for cause in Cause if cause in screens]
    head = "| cause | where an administrator changes it |"
    others = ", ".join(f"`{cause.value}`" for cause in Cause if cause not in screens)
    return "\n".join([head, "|---|---|", *rows, "", f"Nothing to grant: {others}.", ""])


def _on_cloud(cause: Cause) -> str:
    return f" Cloud: {CLOUD_SCREENS[cause]}" if cause in CLOUD_SCREENS else ""


def _logins() -> str:
    rows = []
    for verdict in LoginVerdict:
        meaning, action = ADVICE[verdict]
        again = "no" if verdict.is_refusal else "yes"
        rows.append(f"| `{verdict.slug}` | {meaning} | {action} | {again} |")
    head = "| `Tunnel-Jira-Login` | what happened | what to do | may be tried again unchanged |"
    return "\n".join([head, "|---|---|---|---|", *rows, ""])


def _keys() -> str:
    used = dict.fromkeys(key for action in ACTIONS for key in action.permissions)
    rows = [f"| {key} | {LEGACY.get(key, '')} | {APP_PERMISSIONS.get(key, '')} |" for key in sorted(used)]
    return "\n".join(["| key | before Jira 6.4, still listed up to 10 | brought by |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name} is current\n")
