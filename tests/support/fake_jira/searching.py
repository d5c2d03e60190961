"""Resources of search: GET and POST on-premise, token paging on Cloud."""

import base64
import binascii
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.jql import Context, JqlError, Query, parse_jql
from tests.support.fake_jira.people import User
from tests.support.fake_jira.permissions import sees_issue, sees_project
from tests.support.fake_jira.routing import JiraError, Routes, json_object
from tests.support.fake_jira.store import Issue

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
PAGE_CAP = 1000


def parse(jira: "FakeJira", user: User | None, jql: str) -> Query:
    """As this user means it: their projects, their time zone. Raises JqlError."""
    visible = [project for project in jira.store.projects.values() if sees_project(user, project)]
    names = {name for project in visible for name in (project.key, project.name, str(project.id))}
    people = {name for u in jira.people.users.values() for name in (u.name, f"JIRAUSER{u.number}", u.account_id)}
    zone = ZoneInfo(user.time_zone if user else jira.time_zone)
    return parse_jql(jql, Context(user, jira.store.now(), frozenset(names), frozenset(people), zone))


def find_issues(jira: "FakeJira", user: User | None, jql: str) -> list[Issue]:
    """The visible issues that match, in order. Raises JqlError."""
    query = parse(jira, user, jql)
    return query.run([issue for issue in jira.store.issues.values() if sees_issue(user, issue)])


@routes.add("GET POST", "/rest/api/2/search", anonymous=True)
async def search(jira: "FakeJira", request: Request) -> Answer:
    if jira.profile.is_cloud:
        raise JiraError(410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.")
    wanted = await _arguments(request)
    try:
        start, count = max(0, int(wanted.get("startAt") or 0)), int(wanted.get("maxResults", 50))
    except (TypeError, ValueError):
        raise JiraError(400, "startAt and maxResults must be integers") from None
    count = PAGE_CAP if count < 0 else min(PAGE_CAP, count)
    warnings: list[str] = []
    try:
        found = find_issues(jira, request.user, str(wanted.get("jql") or ""))
    except JqlError as error:
        if str(wanted.get("validateQuery", "true")).lower() not in {"false", "none", "warn"}:
            raise JiraError(400, error.message) from None
        found, warnings = [], [error.message]
    page = _page(jira, request.user, found[start : start + count], wanted, "*navigable")
    answer = {"expand": "names,schema", "startAt": start, "maxResults": count, "total": len(found), "issues": page}
    return Answer.json({**answer, **({"warningMessages": warnings} if warnings else {})})


@routes.add("GET POST", "/rest/api/2/search/jql", anonymous=True)
async def search_by_token(jira: "FakeJira", request: Request) -> Answer:
    if not jira.profile.is_cloud:
        return jira.not_found(request)
    wanted = await _arguments(request)
    jql = str(wanted.get("jql") or "")
    if not jql.strip() or jql.strip().lower().startswith("order by"):
        raise JiraError(
            400, "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
        )
    try:
        found = find_issues(jira, request.user, jql)
        start = _position(wanted.get("nextPageToken"))
        count = min(100, int(wanted.get("maxResults") or 50))
    except JqlError as error:
        raise JiraError(400, error.message) from None
    except ValueError:
        raise JiraError(400, "The nextPageToken or maxResults is invalid.") from None
    page = _page(jira, request.user, found[start : start + count], wanted, "id")
    end = start + count
    last = end >= len(found)
    token = {} if last else {"nextPageToken": base64.urlsafe_b64encode(b"after:%d" % end).decode()}
    return Answer.json({"issues": page, **token, "isLast": last})


def _position(token: Any) -> int:
    """Where the page begins that a token stands for; tokens mean nothing to clients. Raises ValueError."""
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(str(token))
    except binascii.Error:
        raise ValueError(token) from None
    return int(text.removeprefix(b"after:"))


async def _arguments(request: Request) -> dict[str, Any]:
    if request.method == "POST":
        return await json_object(request, {"fields": (list, str), "expand": (list, str), "jql": str})
    arguments: dict[str, Any] = dict(reversed(request.query))
    fields = [value for name, value in request.query if name == "fields"]
    return {**arguments, **({"fields": fields} if fields else {})}


def _page(jira: "FakeJira", user: User | None, issues: list[Issue], wanted: dict[str, Any], default: str) -> list[Any]:
    fields = wanted.get("fields") or default
    expand = wanted.get("expand") or ""
    text = fields if isinstance(fields, str) else ",".join(fields)
    return [
        jira.views.issue(issue, user, text, expand if isinstance(expand, str) else ",".join(expand)) for issue in issues
    ]
