"""The most likely cause of one answer of Jira, from what was recorded of it: never its body. Pure.

Status, path and login headers tell most of it (docs/facts.md J3, J8 and J9). Where they leave a doubt, the other
readings are named and a permission report is the next step.
"""

import re
from dataclasses import dataclass
from typing import Final

from jira_api.decisions import Allow
from jira_api.logins import ADVICE, LoginVerdict
from jira_api.permissions.actions import ACTIONS, Action
from jira_api.permissions.inquiry import InvalidSubject, Subject, read_subject
from jira_api.rules import METHODS, Rule, RuleSet, evaluate

_GOOD_LOGINS: Final = frozenset({LoginVerdict.OK, LoginVerdict.ANONYMOUS})
_NAMED: Final = re.compile(r"/rest/api/[^/]+/(?:issue/(?P<issue>[^/]+)|project/(?P<project>[^/]+))")
_ADMIN_PAGES: Final = ("/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhooks")


@dataclass(frozen=True, slots=True)
class JirasAnswer:
    """What there is to know of an answer without its body; `path` is decoded, below Jira's base URL."""

    method: str
    path: str
    status: int
    login: LoginVerdict | None = None
    content_type: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`cause` is a stable slug, `text` says it, `also` names other readings, `action` what to do.

    `permissions` are the keys in question; `need` is the action that a permission report should be asked about.
    """

    cause: str
    text: str
    action: str = ""
    also: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    need: str = ""


class _Target:
    """A decoded path as jira_api.rules wants it."""

    query: Final = b""

    def __init__(self, path: str) -> None:
        self.segments = tuple(path.strip("/").split("/"))


def _rules() -> RuleSet:
    """Compile the calls of all actions; a longer path is the more specific one and is asked first."""
    calls = [(call.split(), action) for action in ACTIONS for call in action.calls]
    calls.sort(key=lambda row: (row[0][-1].endswith("**"), -row[0][-1].count("/"), row[0][-1].count("*")))
    return RuleSet(Rule(action.slug, frozenset(words[:-1]) & METHODS, words[-1]) for words, action in calls)


_CALLS: Final = _rules()
_BY_SLUG: Final = {action.slug: action for action in ACTIONS}


def action_of(method: str, path: str) -> Action | None:
    """Return the action of the table that a request carries out."""
    decision = evaluate(_CALLS, method.encode(), _Target(path), credentials="caller")
    return _BY_SLUG[decision.rule_id] if isinstance(decision, Allow) else None


def subject_of(path: str) -> Subject:
    """Return the issue or the project that a path names, as far as it does."""
    match = _NAMED.match(path)
    try:
        return read_subject(match["project"], match["issue"]) if match is not None else Subject()
    except InvalidSubject:  # createmeta, bulk, search: no key stands there
        return Subject()


def likely_cause(answer: JirasAnswer) -> Explanation:
    """Explain an answer."""
    login = answer.login
    if login is not None and (login not in _GOOD_LOGINS or (login is not LoginVerdict.OK and answer.status < 500)):
        return _login(login)
    if answer.status < 300:
        return Explanation("fine", "Jira accepted the request.")
    for look in (_redirect, _special, _permission):
        found = look(answer)
        if found is not None:
            return found
    return _by_status(answer)


def _login(verdict: LoginVerdict) -> Explanation:
    meaning, action = ADVICE[verdict]
    return Explanation(f"login_{verdict.slug}", meaning, action)


def _redirect(answer: JirasAnswer) -> Explanation | None:
    if not 300 <= answer.status < 400 or answer.status == 304:
        return None
    if "/login.jsp" in answer.location and answer.path.startswith("/rest/"):
        text = "This Jira has no such REST path: from 9 on it answers unknown ones with its login page, login or not."
        return Explanation("no_such_resource", text, "Check the path; on-premise has /rest/api/2 and no /rest/api/3.")
    if "/login.jsp" in answer.location:
        text = "Jira shows its login page: the account may not see this file, or Jira 8.14 got a token for it."
        action = "Check BROWSE_PROJECTS and the security level; for files Jira 8.14.1 accepts a password, no token."
        return Explanation("file_login_page", text, action, permissions=("BROWSE_PROJECTS",))
    return Explanation("redirected", "Jira leads elsewhere; the tunnel never follows.", "Follow Location yourself.")


def _special(answer: JirasAnswer) -> Explanation | None:
    """Statuses that mean something of their own on some paths."""
    method, path, status = answer.method, answer.path, answer.status
    if status == 403 and method == "POST" and answer.content_type.startswith("text/plain"):
        text = "Jira's cross-site check (XSRF) refused the POST: form, multipart and text bodies need a header."
        return Explanation("xsrf", text, "Send X-Atlassian-Token: no-check.")
    if status == 404 and "/issue/createmeta" in path:
        text = (
            "Jira 9 has no such createmeta any more (it looks for an issue of that name), or the account may not "
            "create issues in this project."
        )
        action = "From 8.4 on use /issue/createmeta/{project}/issuetypes."
        return Explanation("createmeta_removed", text, action, permissions=("CREATE_ISSUES",))
    if status == 404 and path.startswith(_ADMIN_PAGES):
        text = (
            "This Jira keeps webhooks elsewhere: 7 to 9 and Cloud at /rest/webhooks/1.0/webhook, 10 and later at "
            "/rest/jira-webhook/1.0/webhooks."
        )
        return Explanation("webhook_path", text, also=("there is no webhook of this id",), permissions=("ADMINISTER",))
    if status == 404 and method == "POST" and path.endswith("/attachments"):
        text = "The file is larger than Jira's limit, or the issue does not exist or is not visible."
        return Explanation("attachment_refused", text, "Compare with GET /rest/api/2/attachment/meta.")
    return None


def _permission(answer: JirasAnswer) -> Explanation | None:
    """A status by which Jira refuses this very action."""
    action = action_of(answer.method, answer.path)
    if action is None or answer.status not in action.denied:
        return None
    keys = " or ".join(action.any_of)
    if action.slug == "see_issue" and answer.status == 404:
        text = "There is no such issue; Cloud says the same of an issue that the account may not see."
        return Explanation("missing_or_invisible", text, permissions=action.permissions, need=action.slug)
    if answer.method in {"GET", "HEAD"} and answer.status == 404:
        text = "It does not exist, or the account may not see it: Jira does not tell these apart here."
        return Explanation("missing_or_invisible", text, permissions=action.permissions, need=action.slug)
    if action.slug == "see_issue":
        text = "The issue exists, but the account may not see it: its project, or its security level."
        return Explanation("issue_invisible", text, permissions=action.permissions, need=action.slug)
    if answer.status == 400:
        text = f"The account lacks {keys}, or Jira objects to a field: only the body of its answer tells."
        also = (action.conditions,) if action.conditions else ()
        return Explanation("permission_or_field", text, "", also, action.permissions, action.slug)
    text = f"“{action.title}” takes {keys}, which the account does not hold here."
    also = ("the issue itself is not visible to the account",) if action.scope.value == "issue" else ()
    return Explanation("permission_missing", text, "", also, action.permissions, action.slug)


_Words = tuple[str, str, str]
_STATUSES: Final[dict[int, _Words]] = {
    400: ("bad_request", "Jira objects to the request itself: a field, the JQL, or the JSON.", "Read errorMessages."),
    401: ("not_permitted", "Jira knows the account and refuses this: it says 401 for some missing permissions.", ""),
    403: ("not_permitted", "Jira knows the account and refuses this.", ""),
    404: (
        "missing_or_invisible",
        "It does not exist, the account may not see it, or this version has no such path.",
        "",
    ),
    405: ("wrong_method", "This resource does not know the method.", "Check the method and the path."),
    409: ("conflict", "Somebody has changed it meanwhile, or it exists already.", "Read it again, then repeat."),
    410: ("gone", "Cloud has removed this resource.", "Use its successor, for /search that is /search/jql."),
    413: ("too_large", "A proxy in front of Jira, or Jira, finds the body too large.", "Raise the proxy's limit."),
    415: ("media_type", "Jira does not take this Content-Type here.", "Send application/json."),
    429: ("rate_limited", "Jira limits how often this account may ask.", "Wait as long as Retry-After says."),
    500: ("jira_error", "Jira failed; its log has the reason.", ""),
    502: ("proxy_error", "A proxy in front of Jira got no answer from it.", "See whether Jira runs."),
    503: ("jira_unavailable", "Jira is starting, in maintenance or reindexing.", "Wait, see GET /status."),
    504: ("proxy_timeout", "A proxy in front of Jira gave up waiting.", "Ask for less, or raise the proxy's limit."),
}


def _by_status(answer: JirasAnswer) -> Explanation:
    cause, text, action = _STATUSES.get(answer.status, ("other", f"Jira answered {answer.status}.", ""))
    return Explanation(cause, text, action)
