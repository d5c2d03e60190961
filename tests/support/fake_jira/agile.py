"""Resources of Jira Software (boards, sprints, ranking) and the little of Service Management that clients ask."""

from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.permissions import may
from tests.support.fake_jira.routing import JiraError, Routes, json_object, page_numbers
from tests.support.fake_jira.searching import find_issues

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
BOARD = 3
RANK_FIELD = "customfield_10005"


def first_sprints() -> dict[int, dict[str, Any]]:
    """The sprints that a new stand-in has."""
    active = {
        "id": 7,
        "state": "active",
        "name": "Plant week 10",
        "startDate": "2026-03-02T08:00:00.000+01:00",
        "endDate": "2026-03-09T08:00:00.000+01:00",
        "originBoardId": BOARD,
        "goal": "Hall 3 back in service",
    }
    return {7: active, 8: {"id": 8, "state": "future", "name": "Plant week 11", "originBoardId": BOARD}}


def _page(request: Request, values: list[Any]) -> Answer:
    start, count = page_numbers(request)
    page = values[start : start + count]
    last = start + len(page) >= len(values)
    return Answer.json({"maxResults": count, "startAt": start, "total": len(values), "isLast": last, "values": page})


def _sprint_view(jira: "FakeJira", sprint: dict[str, Any]) -> dict[str, Any]:
    return {**sprint, "self": f"{jira.base_url}/rest/agile/1.0/sprint/{sprint['id']}"}


@routes.add("GET", "/rest/agile/1.0/board", anonymous=True)
async def boards(jira: "FakeJira", request: Request) -> Answer:
    project = jira.store.projects["OPS"]
    if not may(request.user, "BROWSE_PROJECTS", project) or request.parameter("projectKeyOrId", "OPS") not in {
        "OPS",
        "10100",
    }:
        return _page(request, [])
    return _page(request, [_board(jira)])


def _board(jira: "FakeJira") -> dict[str, Any]:
    return {
        "id": BOARD,
        "self": f"{jira.base_url}/rest/agile/1.0/board/{BOARD}",
        "name": "Plant board",
        "type": "scrum",
    }


@routes.add("GET", "/rest/agile/1.0/board/{number}")
async def board(jira: "FakeJira", request: Request, number: str) -> Answer:
    _check_board(number)
    return Answer.json(_board(jira))


def _check_board(number: str) -> None:
    if number != str(BOARD):
        raise JiraError(
            404,
            "The requested board cannot be viewed because it either does not exist or you do not have permission to view it.",
        )


@routes.add("GET", "/rest/agile/1.0/board/{number}/sprint")
async def board_sprints(jira: "FakeJira", request: Request, number: str) -> Answer:
    _check_board(number)
    states = {state for state in request.parameter("state").split(",") if state}
    listed = [s for s in jira.sprints.values() if not states or s["state"] in states]
    return _page(request, [_sprint_view(jira, sprint) for sprint in listed])


@routes.add("GET", "/rest/agile/1.0/board/{number}/issue")
async def board_issues(jira: "FakeJira", request: Request, number: str) -> Answer:
    _check_board(number)
    start, count = page_numbers(request)
    found = find_issues(jira, request.user, "project = OPS ORDER BY key ASC")
    page = [jira.views.issue(issue, request.user, "*navigable") for issue in found[start : start + count]]
    return Answer.json({"startAt": start, "maxResults": count, "total": len(found), "issues": page})


@routes.add("POST", "/rest/agile/1.0/sprint")
async def create_sprint(jira: "FakeJira", request: Request) -> Answer:
    body = await json_object(request)
    _check_right(jira, request)
    if not body.get("name") or body.get("originBoardId") != BOARD:
        raise JiraError(400, errors={"originBoardId": "The board does not exist"})
    number = max(jira.sprints) + 1
    jira.sprints[number] = {**body, "id": number, "state": "future"}
    payload = {"sprint": _sprint_view(jira, jira.sprints[number])}
    jira.emit("sprint_created", request.user, payload=payload)
    return Answer.json(payload["sprint"], 201)


@routes.add("GET POST PUT DELETE", "/rest/agile/1.0/sprint/{number}")
async def sprint(jira: "FakeJira", request: Request, number: str) -> Answer:
    found = jira.sprints.get(int(number) if number.isdigit() else 0)
    if found is None:
        raise JiraError(404, "Sprint does not exist")
    if request.method in {"GET", "HEAD"}:
        return Answer.json(_sprint_view(jira, found))
    _check_right(jira, request)
    if request.method == "DELETE":
        del jira.sprints[found["id"]]
        jira.emit("sprint_deleted", request.user, payload={"sprint": _sprint_view(jira, found)})
        return Answer.empty()
    body = await json_object(request)
    _change_state(found, body)
    kept = found if request.method == "POST" else {"originBoardId": found["originBoardId"]}
    jira.sprints[found["id"]] = {**kept, **body, "id": found["id"], "state": body.get("state", found["state"])}
    changed = _sprint_view(jira, jira.sprints[found["id"]])
    started = body.get("state") == "active" and found["state"] == "future"
    event = "sprint_started" if started else "sprint_closed" if body.get("state") == "closed" else "sprint_updated"
    jira.emit(event, request.user, payload={"sprint": changed})
    return Answer.json(changed)


def _change_state(sprint: dict[str, Any], body: dict[str, Any]) -> None:
    step = (sprint["state"], body.get("state", sprint["state"]))
    if sprint["state"] == "closed" or step not in {
        ("future", "future"), ("future", "active"), ("active", "active"), ("active", "closed"),
    }:  # fmt: skip
        raise JiraError(400, errors={"state": f"Cannot change a sprint from {step[0]} to {step[1]}"})
    dates = {**sprint, **body}
    if step == ("future", "active") and not (dates.get("startDate") and dates.get("endDate")):
        raise JiraError(400, errors={"startDate": "Start and end date must be set"})


@routes.add("POST", "/rest/agile/1.0/sprint/{number}/issue")
async def move_to_sprint(jira: "FakeJira", request: Request, number: str) -> Answer:
    keys = (await json_object(request)).get("issues") or []
    found = jira.sprints.get(int(number) if number.isdigit() else 0)
    if found is None:
        raise JiraError(404, "Sprint does not exist")
    if len(keys) > 50:
        raise JiraError(400, errors={"issues": "The maximum number of issues is 50"})
    for key in keys:
        issue = jira.store.find_issue(str(key))
        if issue is None:
            raise JiraError(404, f"Issue {key} does not exist")
        sprint_text = f"com.atlassian.greenhopper.service.sprint.Sprint@1[id={number},name={found['name']}]"
        jira.edit_issue(issue, request.user, {RANK_FIELD: [sprint_text]})
    return Answer.empty()


@routes.add("PUT", "/rest/agile/1.0/issue/rank")
@routes.add("POST", "/rest/agile/1.0/backlog/issue")
async def rank(jira: "FakeJira", request: Request) -> Answer:
    await json_object(request)
    return Answer.empty()


def _check_right(jira: "FakeJira", request: Request) -> None:
    if not may(request.user, "MANAGE_SPRINTS_PERMISSION", jira.store.projects["OPS"]):
        raise JiraError(403, "You do not have permission to manage sprints")


@routes.add("GET", "/rest/servicedeskapi/info", anonymous=True)
async def service_desk_info(jira: "FakeJira", request: Request) -> Answer:
    info = {
        "version": "5.12.5",
        "platformVersion": jira.profile.version,
        "buildDate": {"iso8601": "2024-02-20T00:00:00+0000"},
    }
    return Answer.json(
        {**info, "isLicensedForUse": True, "_links": {"self": f"{jira.base_url}/rest/servicedeskapi/info"}}
    )


@routes.add("GET", "/rest/servicedeskapi/servicedesk")
async def service_desks(jira: "FakeJira", request: Request) -> Answer:
    links = {"base": jira.base_url, "context": jira.context, "self": f"{jira.base_url}/rest/servicedeskapi/servicedesk"}
    return Answer.json({"size": 0, "start": 0, "limit": 50, "isLastPage": True, "_links": links, "values": []})
