"""Resources that say what a new issue needs: the old form (up to 8) and the paged form (from 8.4)."""

from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.issues import visible_issue
from tests.support.fake_jira.people import User
from tests.support.fake_jira.permissions import may, sees_project
from tests.support.fake_jira.routing import Routes, Situation, page_numbers
from tests.support.fake_jira.store import ISSUE_TYPES, PRIORITIES, Project

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()


def _creatable(jira: "FakeJira", user: User | None) -> list[Project]:
    return [p for p in jira.store.projects.values() if sees_project(user, p) and may(user, "CREATE_ISSUES", p)]


def _create_fields(jira: "FakeJira") -> list[dict[str, Any]]:
    priorities = [jira.views.priority(number) for number in PRIORITIES]
    return [
        {"required": True, "schema": {"type": "string", "system": "summary"}, "name": "Summary", "fieldId": "summary",
         "hasDefaultValue": False, "operations": ["set"]},
        {"required": False, "schema": {"type": "string", "system": "description"}, "name": "Description",
         "fieldId": "description", "hasDefaultValue": False, "operations": ["set"]},
        {"required": False, "schema": {"type": "priority", "system": "priority"}, "name": "Priority",
         "fieldId": "priority", "hasDefaultValue": True, "operations": ["set"], "allowedValues": priorities},
        {"required": False, "schema": {"type": "user", "system": "assignee"}, "name": "Assignee", "fieldId": "assignee",
         "autoCompleteUrl": jira.views.rest("user/assignable/search?issueKey=null&username="),
         "hasDefaultValue": False, "operations": ["set"]},
    ]  # fmt: skip


@routes.add("GET", "/rest/api/2/issue/createmeta", anonymous=True)
async def createmeta(jira: "FakeJira", request: Request) -> Answer:
    if not jira.profile.createmeta_legacy:
        raise Situation("createmeta-removed-9")
    keys = {key for key in request.parameter("projectKeys").split(",") if key}
    with_fields = "projects.issuetypes.fields" in request.parameter("expand")
    fields = {field["fieldId"]: field for field in _create_fields(jira)}
    projects = []
    for project in _creatable(jira, request.user):
        if keys and project.key not in keys:
            continue
        types = [
            {**jira.views.issue_type(number), **({"expand": "fields", "fields": fields} if with_fields else {})}
            for number in ISSUE_TYPES
        ]
        projects.append({**jira.views.project(project), "expand": "issuetypes", "issuetypes": types})
    return Answer.json({"expand": "projects", "projects": projects})


@routes.add("GET", "/rest/api/2/issue/createmeta/{project}/issuetypes")
@routes.add("GET", "/rest/api/2/issue/createmeta/{project}/issuetypes/{kind}")
async def createmeta_paged(jira: "FakeJira", request: Request, project: str, kind: str = "") -> Answer:
    found = next((p for p in _creatable(jira, request.user) if project in {p.key, str(p.id)}), None)
    if not jira.profile.createmeta_paged or found is None:
        raise Situation("issue-missing")
    values = _create_fields(jira) if kind else [jira.views.issue_type(number) for number in ISSUE_TYPES]
    name = ("fields" if kind else "issueTypes") if jira.profile.is_cloud else "values"
    start, count = page_numbers(request)
    page = values[start : start + count]
    last = start + len(page) >= len(values)
    return Answer.json({"maxResults": count, "startAt": start, "total": len(values), "isLast": last, name: page})


@routes.add("GET", "/rest/api/2/issue/{key}/editmeta", anonymous=True)
async def editmeta(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    editable = may(request.user, "EDIT_ISSUES", issue.project)
    return Answer.json({"fields": {f["fieldId"]: f for f in _create_fields(jira)} if editable else {}})
