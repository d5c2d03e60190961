"""Resources of issues: create, read, edit, assign, transition, delete."""

import json
from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.fields import apply_fields, by_name, find_user
from tests.support.fake_jira.people import User
from tests.support.fake_jira.permissions import may, sees_issue, sees_project
from tests.support.fake_jira.routing import JiraError, Routes, Situation, json_object
from tests.support.fake_jira.store import ISSUE_TYPES, TRANSITIONS, Issue

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()


def visible_issue(jira: "FakeJira", request: Request, key: str) -> Issue:
    """The issue, or the refusal that this version gives (docs/facts.md J9)."""
    issue = jira.store.find_issue(key)
    if issue is None and not jira.profile.is_cloud:
        raise Situation("issue-missing")
    if issue is None or not sees_issue(request.user, issue):
        if jira.profile.is_cloud:
            raise Situation("issue-invisible-cloud")
        raise Situation("issue-invisible-server" if request.user else "issue-invisible-anonymous")
    return issue


def require(user: User | None, permission: str, issue: Issue, situation: str) -> None:
    """Raise the situation unless the project grants the permission."""
    if not may(user, permission, issue.project):
        raise Situation(situation)


@routes.add("POST", "/rest/api/2/issue", anonymous=True)
async def create(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json(_create(jira, request.user, await json_object(request)), 201)


@routes.add("POST", "/rest/api/2/issue/bulk")
async def create_bulk(jira: "FakeJira", request: Request) -> Answer:
    issues, errors = [], []
    for number, item in enumerate((await json_object(request)).get("issueUpdates", [])):
        try:
            issues.append(_create(jira, request.user, item))
        except (JiraError, Situation) as error:
            body = error.answer.body if isinstance(error, JiraError) else b"{}"
            errors.append(
                {
                    "status": 400,
                    "elementErrors": json.loads(body if isinstance(body, bytes) else b"{}"),
                    "failedElementNumber": number,
                }
            )
    return Answer.json({"issues": issues, "errors": errors}, 201 if issues or not errors else 400)


def _create(jira: "FakeJira", user: User | None, body: dict[str, Any]) -> dict[str, str]:
    fields = dict(body.get("fields") or {})
    wanted = fields.get("project") or {}
    if not isinstance(wanted, dict):
        raise JiraError(400, errors={"project": "data was not an object"})
    project = next(
        (p for p in jira.store.projects.values() if wanted.get("key") == p.key or str(wanted.get("id")) == str(p.id)),
        None,
    )
    if project is None or not sees_project(user, project):
        raise JiraError(400, errors={"project": "project is required" if not wanted else "valid project is required"})
    if user is None or not may(user, "CREATE_ISSUES", project):
        raise Situation("create-denied")
    if not str(fields.get("summary") or "").strip():
        raise Situation("create-missing-summary")
    if by_name(ISSUE_TYPES, fields.get("issuetype")) is None:
        raise JiraError(400, errors={"issuetype": "valid issue type is required"})
    probe = jira.store.add_issue(project, "", user)
    try:
        apply_fields(jira, probe, fields)
    except JiraError:
        jira.store.remove_issue(probe)
        raise
    jira.announce_issue(probe, user)
    return {"id": str(probe.id), "key": probe.key, "self": jira.views.rest(f"issue/{probe.id}")}


@routes.add("GET", "/rest/api/2/issue/{key}", anonymous=True)
async def read(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    fields = ",".join(value for name, value in request.query if name == "fields") or "*all"
    return Answer.json(jira.views.issue(issue, request.user, fields, request.parameter("expand")))


@routes.add("PUT", "/rest/api/2/issue/{key}", anonymous=True)
async def edit(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    body = await json_object(request)
    require(request.user, "EDIT_ISSUES", issue, "edit-denied")
    fields = dict(body.get("fields") or {})
    if "summary" in fields and not str(fields["summary"] or "").strip():
        raise Situation("create-missing-summary")
    comments: list[Any] = []
    for name, operations in (body.get("update") or {}).items():
        _apply_update(issue, fields, comments, name, operations)
    jira.edit_issue(issue, request.user, fields, comments=comments)
    return Answer.empty()


def _apply_update(
    issue: Issue, fields: dict[str, Any], comments: list[Any], name: str, operations: list[dict[str, Any]]
) -> None:
    if not all(isinstance(operation, dict) for operation in operations):
        raise JiraError(400, "Can not deserialize instance of FieldOperation out of VALUE_STRING token")
    for operation in operations:
        for verb, value in operation.items():
            if name == "labels" and verb in {"add", "remove"}:
                labels = fields.setdefault("labels", list(issue.labels))
                if verb == "add" and value not in labels:
                    labels.append(value)
                elif verb == "remove" and value in labels:
                    labels.remove(value)
            elif name == "comment" and verb == "add":
                comments.append(value.get("body", ""))
            elif name == "issuelinks" and verb == "add":
                continue
            elif verb == "set":
                fields[name] = value
            else:
                problem = f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
                raise JiraError(400, errors={name: problem})


@routes.add("DELETE", "/rest/api/2/issue/{key}", anonymous=True)
async def delete(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    if request.user is None:
        raise Situation("issue-invisible-anonymous")
    require(request.user, "DELETE_ISSUES", issue, "delete-denied")
    if issue.children and request.parameter("deleteSubtasks") != "true":
        message = (
            "has subtasks. You must specify the 'deleteSubtasks' parameter to delete this issue and all its subtasks."
        )
        raise JiraError(400, f"The issue '{issue.key}' {message}")
    jira.delete_issue(issue, request.user)
    return Answer.empty()


@routes.add("PUT", "/rest/api/2/issue/{key}/assignee")
async def assign(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    body = await json_object(request)
    require(request.user, "ASSIGN_ISSUES", issue, "assign-denied")
    name = body.get("accountId") if jira.profile.is_cloud else body.get("name")
    user = issue.project.lead if name == "-1" else find_user(jira, None if name is None else {"name": name}, "assignee")
    if user is not None and not may(user, "ASSIGNABLE_USER", issue.project):
        raise JiraError(400, errors={"assignee": f"User '{user.name}' cannot be assigned issues."})
    jira.assign_issue(issue, request.user, user)
    return Answer.empty()


def _open_transitions(issue: Issue, user: User | None) -> list[str]:
    if not may(user, "TRANSITION_ISSUES", issue.project):
        return []
    return [number for number, (_, target) in TRANSITIONS.items() if target != issue.status_id]


@routes.add("GET", "/rest/api/2/issue/{key}/transitions", anonymous=True)
async def transitions(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    wanted = request.parameter("transitionId")
    listed = [jira.views.transition(n) for n in _open_transitions(issue, request.user) if not wanted or n == wanted]
    if "transitions.fields" in request.parameter("expand"):
        listed = [{**transition, "fields": {}} for transition in listed]
    return Answer.json({"expand": "transitions", "transitions": listed})


@routes.add("POST", "/rest/api/2/issue/{key}/transitions")
async def transition(jira: "FakeJira", request: Request, key: str) -> Answer:
    issue = visible_issue(jira, request, key)
    body = await json_object(request)
    number = str((body.get("transition") or {}).get("id", ""))
    if not number.isdigit():
        raise Situation("transition-id-not-number")
    if number not in _open_transitions(issue, request.user):
        name = TRANSITIONS.get(number, (number,))[0]
        text = f"workflow operation ({name}) that is not valid for the current state of this issue ({issue.key})."
        raise JiraError(400, f"It seems that you have tried to perform a {text}")
    jira.transition_issue(issue, request.user, number, body.get("fields"))
    return Answer.empty()  # update.comment is dropped silently: the screen has no comment field (docs/facts.md J4)
