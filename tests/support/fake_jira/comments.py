"""Resources of comments."""

from typing import TYPE_CHECKING

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.issues import visible_issue
from tests.support.fake_jira.people import User
from tests.support.fake_jira.permissions import may
from tests.support.fake_jira.routing import JiraError, Routes, Situation, json_object, page_numbers
from tests.support.fake_jira.store import Comment, Issue

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
DEFAULT_PAGE = 1_048_576  # what Jira echoes when nobody asks for a page


@routes.add("GET", "/rest/api/2/issue/{key}/comment", anonymous=True)
async def comments(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    start, count = page_numbers(request, DEFAULT_PAGE, DEFAULT_PAGE)
    listed = list(issue.comments)
    if request.parameter("orderBy") == "-created":
        listed.reverse()
    page = [jira.views.comment(issue, comment) for comment in listed[start : start + count]]
    return Answer.json({"startAt": start, "maxResults": count, "total": len(listed), "comments": page})


@routes.add("POST", "/rest/api/2/issue/{key}/comment", anonymous=True)
async def add(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    body = await json_object(request)
    if not may(request.user, "ADD_COMMENTS", issue.project):
        raise Situation("comment-denied")
    if not body.get("body"):
        raise JiraError(400, errors={"comment": "Comment body can not be empty!"})
    visibility = body.get("visibility")
    if visibility and visibility.get("value") == "Administrators" and not request.user.is_admin:
        raise Situation("comment-visibility")
    comment = jira.add_comment(issue, request.user, body["body"], visibility)
    return Answer.json(jira.views.comment(issue, comment), 201)


@routes.add("GET", "/rest/api/2/issue/{key}/comment/{number}", anonymous=True)
async def read(jira: "FakeJira", request: Request, key: str, number: str) -> Answer:
    issue = visible_issue(jira, request, key)
    return Answer.json(jira.views.comment(issue, _find(issue, number)))


@routes.add("PUT", "/rest/api/2/issue/{key}/comment/{number}")
async def edit(jira: "FakeJira", request: Request, key: str, number: str) -> Answer:
    issue = visible_issue(jira, request, key)
    body = await json_object(request)
    comment = _find(issue, number)
    _check_right(request.user, issue, comment, "EDIT")
    jira.edit_comment(issue, comment, body.get("body", comment.body), request.user)
    return Answer.json(jira.views.comment(issue, comment))


@routes.add("DELETE", "/rest/api/2/issue/{key}/comment/{number}")
async def delete(jira: "FakeJira", request: Request, key: str, number: str) -> Answer:
    issue = visible_issue(jira, request, key)
    comment = _find(issue, number)
    _check_right(request.user, issue, comment, "DELETE")
    jira.delete_comment(issue, comment, request.user)
    return Answer.empty()


def _find(issue: Issue, number: str) -> Comment:
    comment = next((comment for comment in issue.comments if str(comment.id) == number), None)
    if comment is None:
        raise JiraError(404, f"Can not find a comment for the id: {number}.")
    return comment


def _check_right(user: User, issue: Issue, comment: Comment, verb: str) -> None:
    own = comment.author is user and may(user, f"{verb}_OWN_COMMENTS", issue.project)
    if not own and not may(user, f"{verb}_ALL_COMMENTS", issue.project):
        action = "edit" if verb == "EDIT" else "delete"
        raise JiraError(400, f"You do not have the permission to {action} this comment.")
