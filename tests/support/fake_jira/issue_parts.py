"""Resources around an issue: watchers, votes, links."""

from typing import TYPE_CHECKING

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.fields import by_name
from tests.support.fake_jira.issues import visible_issue
from tests.support.fake_jira.permissions import may, sees_issue
from tests.support.fake_jira.routing import JiraError, Routes, json_body, json_object
from tests.support.fake_jira.store import LINK_TYPES

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()


@routes.add("GET", "/rest/api/2/issue/{key}/watchers", anonymous=True)
async def watchers(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    shown = may(request.user, "VIEW_VOTERS_AND_WATCHERS", issue.project)
    return Answer.json(jira.views.watchers(issue, request.user, with_names=shown))


@routes.add("POST DELETE", "/rest/api/2/issue/{key}/watchers")
async def change_watchers(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    if request.method == "POST":
        name = await json_body(request) or request.user.name
    else:
        name = request.parameter("username") or request.parameter("accountId")
    user = jira.people.find(str(name))
    if user is None:
        raise JiraError(404, f"The user '{name}' does not exist")
    if user is not request.user and not may(request.user, "MANAGE_WATCHERS", issue.project):
        raise JiraError(401, f"User '{request.user.name}' is not allowed to add watchers to issue '{issue.key}'")
    if request.method == "POST" and user not in issue.watchers:
        issue.watchers.append(user)
    elif request.method == "DELETE" and user in issue.watchers:
        issue.watchers.remove(user)
    return Answer.empty()


@routes.add("GET", "/rest/api/2/issue/{key}/votes")
async def votes(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    return Answer.json({**jira.views.votes(issue, request.user), "voters": [jira.views.user(u) for u in issue.voters]})


@routes.add("POST DELETE", "/rest/api/2/issue/{key}/votes")
async def vote(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    if issue.reporter is request.user:
        raise JiraError(404, "You cannot vote for an issue you have reported.")
    if request.method == "POST" and request.user not in issue.voters:
        issue.voters.append(request.user)
    elif request.method == "DELETE" and request.user in issue.voters:
        issue.voters.remove(request.user)
    return Answer.empty()


# -- links


@routes.add("GET", "/rest/api/2/issueLinkType", anonymous=True)
async def link_types(jira: "FakeJira", request: Request) -> Answer:
    types = [
        {
            "id": number,
            "name": name,
            "inward": inward,
            "outward": outward,
            "self": jira.views.rest(f"issueLinkType/{number}"),
        }
        for number, (name, inward, outward) in LINK_TYPES.items()
    ]
    return Answer.json({"issueLinkTypes": types})


@routes.add("POST", "/rest/api/2/issueLink", anonymous=True)
async def link(jira: "FakeJira", request: Request) -> Answer:
    body = await json_object(request)
    kind = by_name(LINK_TYPES, body.get("type"))
    if kind is None:
        raise JiraError(404, f"No issue link type with name '{(body.get('type') or {}).get('name')}' found.")
    ends = []
    for name in ("inwardIssue", "outwardIssue"):
        issue = jira.store.find_issue(str((body.get(name) or {}).get("key") or (body.get(name) or {}).get("id")))
        if issue is None or not sees_issue(request.user, issue):
            raise JiraError(404 if request.user else 401, "Issue Does Not Exist")
        ends.append(issue)
    if not may(request.user, "LINK_ISSUES", ends[0].project):
        raise JiraError(401, f"No Link Issue Permission for issue '{ends[0].key}'")
    jira.add_link(ends[0], ends[1], request.user, kind)
    if body.get("comment"):
        jira.add_comment(ends[0], request.user, body["comment"].get("body", ""))
    return Answer.empty(201)


@routes.add("GET", "/rest/api/2/issueLink/{number}")
async def read_link(jira: "FakeJira", request: Request, number: str) -> Answer:
    record = jira.store.links.get(int(number) if number.isdigit() else 0)
    if record is None:
        raise JiraError(404, f"No issue link with id '{number}' exists.")
    kind = jira.views.link(record, record.inward)
    return Answer.json({**kind, "inwardIssue": jira.views.issue_stub(record.inward)})


@routes.add("DELETE", "/rest/api/2/issueLink/{number}")
async def delete_link(jira: "FakeJira", request: Request, number: str) -> Answer:
    record = jira.store.links.get(int(number) if number.isdigit() else 0)
    if record is None:
        raise JiraError(404, f"No issue link with id '{number}' exists.")
    jira.delete_link(record, request.user)
    return Answer.empty()
