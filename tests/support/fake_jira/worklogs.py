"""Resources of worklogs."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.issues import require, visible_issue
from tests.support.fake_jira.people import User
from tests.support.fake_jira.permissions import may
from tests.support.fake_jira.routing import JiraError, Routes, json_object, page_numbers
from tests.support.fake_jira.store import Issue, Worklog
from tests.support.fake_jira.views import parse_stamp

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
DEFAULT_PAGE = 1_048_576  # what Jira echoes when nobody asks for a page
UNITS = {"m": 60, "h": 3600, "d": 28800, "w": 144000}


@routes.add("GET", "/rest/api/2/issue/{key}/worklog", anonymous=True)
async def worklogs(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    start, count = page_numbers(request, DEFAULT_PAGE, DEFAULT_PAGE)
    page = [jira.views.worklog(issue, worklog) for worklog in issue.worklogs[start : start + count]]
    return Answer.json({"startAt": start, "maxResults": count, "total": len(issue.worklogs), "worklogs": page})


@routes.add("POST", "/rest/api/2/issue/{key}/worklog")
async def add(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    body = await json_object(request)
    require(request.user, "WORK_ON_ISSUES", issue, "comment-denied")
    seconds = _seconds(body)
    if seconds is None:
        raise JiraError(400, errors={"timeLogged": "Invalid time duration entered."})
    worklog = jira.add_worklog(issue, request.user, seconds, body.get("comment", ""), _started(body))
    return Answer.json(jira.views.worklog(issue, worklog), 201)


@routes.add("GET", "/rest/api/2/issue/{key}/worklog/{number}", anonymous=True)
async def read(jira: "FakeJira", request: Request, key: str, number: str) -> Answer:
    issue = visible_issue(jira, request, key)
    return Answer.json(jira.views.worklog(issue, _find(issue, number)))


@routes.add("PUT", "/rest/api/2/issue/{key}/worklog/{number}")
async def edit(jira: "FakeJira", request: Request, key: str, number: str) -> Answer:
    issue = visible_issue(jira, request, key)
    body = await json_object(request)
    worklog = _find(issue, number)
    _check_right(request.user, issue, worklog, "EDIT")
    jira.edit_worklog(
        issue, worklog, request.user, seconds=_seconds(body), comment=body.get("comment"), started=_started(body)
    )
    return Answer.json(jira.views.worklog(issue, worklog))


@routes.add("DELETE", "/rest/api/2/issue/{key}/worklog/{number}")
async def delete(jira: "FakeJira", request: Request, key: str, number: str) -> Answer:
    issue = visible_issue(jira, request, key)
    worklog = _find(issue, number)
    _check_right(request.user, issue, worklog, "DELETE")
    jira.delete_worklog(issue, worklog, request.user)
    return Answer.empty()


def _seconds(body: dict[str, Any]) -> int | None:
    """Of timeSpentSeconds or timeSpent; None when neither is there."""
    try:
        if body.get("timeSpentSeconds") is not None:
            return int(body["timeSpentSeconds"])
        if body.get("timeSpent") is None:
            return None
        return sum(int(part[:-1]) * UNITS[part[-1]] for part in str(body["timeSpent"]).split())
    except (KeyError, TypeError, ValueError, IndexError):
        raise JiraError(400, errors={"timeLogged": "Invalid time duration entered."}) from None


def _started(body: dict[str, Any]) -> datetime | None:
    try:
        return parse_stamp(str(body["started"])) if body.get("started") else None
    except ValueError:
        raise JiraError(400, errors={"started": "The date is not in the format yyyy-MM-dd'T'HH:mm:ss.SSSZ"}) from None


def _find(issue: Issue, number: str) -> Worklog:
    worklog = next((worklog for worklog in issue.worklogs if str(worklog.id) == number), None)
    if worklog is None:
        raise JiraError(404, f"Cannot find worklog with id: '{number}'.")
    return worklog


def _check_right(user: User, issue: Issue, worklog: Worklog, verb: str) -> None:
    own = worklog.author is user and may(user, f"{verb}_OWN_WORKLOGS", issue.project)
    if not own and not may(user, f"{verb}_ALL_WORKLOGS", issue.project):
        action = "edit" if verb == "EDIT" else "delete"
        raise JiraError(400, f"You do not have the permission to {action} this worklog.")
