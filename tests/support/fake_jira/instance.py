"""Resources of the instance: status, serverInfo, projects, fields, admin pages."""

from typing import TYPE_CHECKING

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.permissions import may_globally, sees_project
from tests.support.fake_jira.profiles import fixture, server_info
from tests.support.fake_jira.routing import JiraError, Routes
from tests.support.fake_jira.store import ISSUE_TYPES, PRIORITIES, SECURITY_LEVELS, STATUSES, Project

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
STATUS_CODES = {"MAINTENANCE": 503, "ERROR": 500}


@routes.add("GET", "/status", anonymous=True)
async def status(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json({"state": jira.state}, STATUS_CODES.get(jira.state, 200))


@routes.add("GET", "/rest/api/2/serverInfo", anonymous=True)
async def info(jira: "FakeJira", request: Request) -> Answer:
    answer = server_info(jira.profile, jira.base_url, jira.views.stamp(jira.store.now()))
    if request.parameter("doHealthCheck") == "true" and may_globally(request.user, "ADMINISTER"):
        answer["healthChecks"] = [{"name": "Database", "description": "Works", "passed": True}]
    return Answer.json(answer)


# -- projects and configuration


def visible_project(jira: "FakeJira", request: Request, key: str) -> Project:
    """Missing and invisible look the same."""
    project = next((p for p in jira.store.projects.values() if key in {p.key, str(p.id)}), None)
    if project is None or not sees_project(request.user, project):
        raise JiraError(404, f"No project could be found with key '{key}'.")
    return project


def _visible_projects(jira: "FakeJira", request: Request) -> list[Project]:
    return [project for project in jira.store.projects.values() if sees_project(request.user, project)]


@routes.add("GET", "/rest/api/2/project", anonymous=True)
async def projects(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json([jira.views.project(project) for project in _visible_projects(jira, request)])


@routes.add("GET", "/rest/api/2/project/search", anonymous=True)
async def project_search(jira: "FakeJira", request: Request) -> Answer:
    if not jira.profile.is_cloud:
        raise JiraError(404, "No project could be found with key 'search'.")
    values = [jira.views.project(project) for project in _visible_projects(jira, request)]
    return Answer.json({"maxResults": 50, "startAt": 0, "total": len(values), "isLast": True, "values": values})


@routes.add("GET", "/rest/api/2/project/{key}", anonymous=True)
async def project(jira: "FakeJira", request: Request, key: str) -> Answer:
    return Answer.json(jira.views.project(visible_project(jira, request, key), full=True))


@routes.add("GET", "/rest/api/2/project/{key}/components", anonymous=True)
@routes.add("GET", "/rest/api/2/project/{key}/versions", anonymous=True)
async def project_parts(jira: "FakeJira", request: Request, key: str) -> Answer:
    visible_project(jira, request, key)
    return Answer.json([])


@routes.add("GET", "/rest/api/2/project/{key}/statuses", anonymous=True)
async def project_statuses(jira: "FakeJira", request: Request, key: str) -> Answer:
    visible_project(jira, request, key)
    statuses = [jira.views.status(number) for number in STATUSES]
    return Answer.json([{**jira.views.issue_type(number), "statuses": statuses} for number in ISSUE_TYPES])


@routes.add("GET", "/rest/api/2/project/{key}/role", anonymous=True)
async def roles(jira: "FakeJira", request: Request, key: str) -> Answer:
    return Answer.json(jira.views.roles(visible_project(jira, request, key)))


@routes.add("GET", "/rest/api/2/project/{key}/role/{number}")
async def role(jira: "FakeJira", request: Request, key: str, number: str) -> Answer:
    project = visible_project(jira, request, key)
    link = jira.views.rest(f"project/{project.id}/role/{number}")
    name = next((n for n, url in jira.views.roles(project).items() if url == link), None)
    if name is None:
        raise JiraError(404, f"Can not find a project role with id '{number}'.")
    actor = {"id": 10222, "displayName": "developers", "type": "atlassian-group-role-actor", "name": "developers"}
    return Answer.json({"self": link, "name": name, "id": int(number), "description": "", "actors": [actor]})


@routes.add("GET", "/rest/api/2/project/{key}/securitylevel")
async def security_levels(jira: "FakeJira", request: Request, key: str) -> Answer:
    project = visible_project(jira, request, key)
    members = project.security_members
    mine = [number for number in SECURITY_LEVELS if members.get(number, set()) & request.user.groups]
    allowed = bool(project.grants.get("SET_ISSUE_SECURITY", set()) & request.user.groups)
    levels = [
        {"self": jira.views.rest(f"securitylevel/{n}"), "id": n, "description": "", "name": SECURITY_LEVELS[n]}
        for n in mine
    ]
    return Answer.json({"levels": levels if allowed else []})


@routes.add("GET", "/rest/api/2/field", anonymous=True)
async def fields(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json(fixture("fields", jira.base_url))


@routes.add("GET", "/rest/api/2/issuetype", anonymous=True)
async def issue_types(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json([jira.views.issue_type(number) for number in ISSUE_TYPES])


@routes.add("GET", "/rest/api/2/priority", anonymous=True)
async def priorities(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json([jira.views.priority(number) for number in PRIORITIES])


@routes.add("GET", "/rest/api/2/status", anonymous=True)
async def statuses(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json([jira.views.status(number) for number in STATUSES])


@routes.add("GET", "/rest/api/2/resolution", anonymous=True)
async def resolutions(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json([{"self": jira.views.rest("resolution/10000"), "id": "10000", "name": "Done"}])


# -- pages that no policy of ours allows, and pages that every Jira has


@routes.add("GET POST", "/secure/admin", anonymous=True)
@routes.add("GET POST", "/secure/admin/{rest*}", anonymous=True)
@routes.add("GET POST", "/secure/x", anonymous=True)
async def admin_page(jira: "FakeJira", request: Request, rest: str = "") -> Answer:
    """Open to everybody on purpose: whoever gets here has passed the policy."""
    return Answer.text("ADMIN")


@routes.add("GET", "/login.jsp", anonymous=True)
async def login_page(jira: "FakeJira", request: Request) -> Answer:
    return Answer.text("<!DOCTYPE html><html><head><title>Log in</title></head><body>Log in</body></html>")


@routes.add("GET", "/secure/useravatar", anonymous=True)
@routes.add("GET", "/secure/projectavatar", anonymous=True)
@routes.add("GET", "/secure/viewavatar", anonymous=True)
async def avatar(jira: "FakeJira", request: Request) -> Answer:
    body = b'<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48"><circle cx="24" cy="24" r="20"/></svg>'
    tag = '"avatar-10340"'
    if request.header("If-None-Match") == tag:
        return Answer(304, [("ETag", tag)])
    return Answer(200, [("Content-Type", "image/svg+xml"), ("ETag", tag)], body, len(body))
