"""Resources about who asks: myself, users, permissions, permission schemes, sessions."""

from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.instance import visible_project
from tests.support.fake_jira.issues import visible_issue
from tests.support.fake_jira.people import User
from tests.support.fake_jira.permissions import MODERN, holds, may_globally
from tests.support.fake_jira.profiles import fixture
from tests.support.fake_jira.routing import JiraError, Routes, Situation, json_object

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()


@routes.add("GET", "/rest/api/2/myself")
async def myself(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json(jira.views.myself(request.user, request.parameter("expand")))


@routes.add("GET", "/rest/api/2/user")
async def user(jira: "FakeJira", request: Request) -> Answer:
    name = request.parameter("accountId") or request.parameter("username") or request.parameter("key")
    found = jira.people.find(name)
    if found is None:
        raise JiraError(404, f"The user named '{name}' does not exist")
    return Answer.json(jira.views.myself(found, request.parameter("expand")))


@routes.add("GET", "/rest/api/2/user/search")
async def user_search(jira: "FakeJira", request: Request) -> Answer:
    if not may_globally(request.user, "USER_PICKER"):
        return Answer.json([])
    wanted = (request.parameter("query") or request.parameter("username")).lower()
    return Answer.json([jira.views.user(u) for u in jira.people.users.values() if _matches(u, wanted)])


@routes.add("GET", "/rest/api/2/user/assignable/search")
async def assignable(jira: "FakeJira", request: Request) -> Answer:
    key = request.parameter("project") or request.parameter("issueKey").rpartition("-")[0]
    project = jira.store.projects.get(key)
    if project is None:
        raise JiraError(400, "Either the project or the issueKey must be given")
    wanted = (request.parameter("query") or request.parameter("username")).lower()
    holders = project.grants.get("ASSIGNABLE_USER", set())
    found = [u for u in jira.people.users.values() if _matches(u, wanted) and u.groups & holders]
    return Answer.json([jira.views.user(u) for u in found])


def _matches(person: User, wanted: str) -> bool:
    return any(wanted in text.lower() for text in (person.name, person.display_name, person.email))


# -- permissions


@routes.add("GET", "/rest/api/2/mypermissions", anonymous=True)
async def my_permissions(jira: "FakeJira", request: Request) -> Answer:
    wanted = {key for key in request.parameter("permissions").split(",") if key}
    if jira.profile.is_cloud and not wanted:
        raise JiraError(400, "The 'permissions' query parameter is required.")
    projects, issue = list(jira.store.projects.values()), None
    issue_key = request.parameter("issueKey") or request.parameter("issueId")
    project_key = request.parameter("projectKey") or request.parameter("projectId")
    if issue_key:
        issue = visible_issue(jira, request, issue_key)
        projects = [issue.project]
    elif project_key:
        projects = [visible_project(jira, request, project_key)]
    listed: dict[str, Any] = fixture("mypermissions-server-admin", jira.base_url)["permissions"]
    if jira.profile.is_cloud:
        listed = {key: row for key, row in listed.items() if key in wanted and key not in MODERN}
    rows = {key: {**row, "havePermission": holds(request.user, key, projects, issue)} for key, row in listed.items()}
    return Answer.json({"permissions": rows})


@routes.add("GET", "/rest/api/2/permissions")
async def all_permissions(jira: "FakeJira", request: Request) -> Answer:
    return _for_admins(jira, request, "permissions-all")


@routes.add("GET", "/rest/api/2/permissionscheme")
async def permission_schemes(jira: "FakeJira", request: Request) -> Answer:
    return _for_admins(jira, request, "permissionschemes")


@routes.add("GET", "/rest/api/2/permissionscheme/{number}")
@routes.add("GET", "/rest/api/2/project/{key}/permissionscheme")
async def permission_scheme(jira: "FakeJira", request: Request, number: str = "", key: str = "") -> Answer:
    if key:
        visible_project(jira, request, key)
    return _for_admins(jira, request, "permissionscheme")


@routes.add("GET", "/rest/api/2/issuesecurityschemes")
async def security_schemes(jira: "FakeJira", request: Request) -> Answer:
    return _for_admins(jira, request, "issuesecurityschemes")


@routes.add("GET", "/rest/api/2/issuesecurityschemes/{number}")
@routes.add("GET", "/rest/api/2/project/{key}/issuesecuritylevelscheme")
async def security_scheme(jira: "FakeJira", request: Request, number: str = "", key: str = "") -> Answer:
    if key:
        visible_project(jira, request, key)
    return _for_admins(jira, request, "issuesecurityscheme-detail")


def _for_admins(jira: "FakeJira", request: Request, name: str) -> Answer:
    if not may_globally(request.user, "ADMINISTER"):
        raise Situation("permissionscheme-not-admin")
    return Answer.json(fixture(name, jira.base_url))


# -- sessions


@routes.add("POST", "/rest/auth/1/session", anonymous=True)
async def login(jira: "FakeJira", request: Request) -> Answer:
    body = await json_object(request)
    login = jira.people.check_password(str(body.get("username")), str(body.get("password")))
    if login.user is None:
        reason = [("X-Seraph-LoginReason", login.reason or "AUTHENTICATED_FAILED")]
        if login.refusal == "captcha-required":
            challenge = f"CAPTCHA_CHALLENGE; login-url={jira.base_url}/login.jsp"
            reason.append(("X-Authentication-Denied-Reason", challenge))
            return Answer.json({"errorMessages": ["Login denied"], "errors": {}}, 403, reason)
        return Answer.json({"errorMessages": ["Login failed"], "errors": {}}, 401, reason)
    value = jira.people.open_session(login.user)
    session = {"name": "JSESSIONID", "value": value}
    return Answer.json({"session": session, "loginInfo": _login_info(login.user)}, 200, [jira.session_cookie(value)])


@routes.add("GET", "/rest/auth/1/session")
async def current_session(jira: "FakeJira", request: Request) -> Answer:
    link = f"{jira.base_url}/rest/auth/1/session"
    return Answer.json({"self": link, "name": request.user.name, "loginInfo": _login_info(request.user)})


@routes.add("DELETE", "/rest/auth/1/session")
async def logout(jira: "FakeJira", request: Request) -> Answer:
    for value in [value for value, owner in jira.people.sessions.items() if owner is request.user]:
        del jira.people.sessions[value]
    return Answer.empty()


@routes.add("DELETE", "/rest/auth/1/websudo")
async def drop_websudo(jira: "FakeJira", request: Request) -> Answer:
    return Answer.empty()


def _login_info(person: User) -> dict[str, Any]:
    return {
        "failedLoginCount": person.failed_logins,
        "loginCount": person.login_count,
        "lastFailedLoginTime": "2026-02-27T08:01:12.450+0100",
        "previousLoginTime": "2026-03-03T08:58:40.118+0100",
    }
