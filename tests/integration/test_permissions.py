"""The permission report and the explanations, through the real gateway and a real agent, against every Jira."""

import asyncio
import json
import os
import sys

import pytest

from gateway.explain import NotRemembered, explain
from gateway.permissions import ReportImpossible, permission_report
from gateway.probe import JiraProbe
from jira_api.permissions.inquiry import read_subject
from runtime.control import call
from runtime.exits import DENIED, OK, UNAVAILABLE, USAGE, CommandFailed
from tests.support.fake_jira import ON_PREMISE, Canned, FakeJira, RawAnswer
from tests.support.in_process import running_gateway

ALL = (*ON_PREMISE, "cloud")


async def report(stack, project=None, issue=None, needs=(), name="hq"):
    connection = stack.gateway.directory.connection(name)
    probe = JiraProbe(connection, stack.gateway.registry, stack.gateway.direct.pick)
    return await permission_report(probe, read_subject(project, issue), needs)


def rows(result):
    return {row["action"]: row for row in result["actions"]}


def login_of(jira, user):
    found = jira.users[user]
    if jira.profile.is_cloud:
        return {"jira_username": found.email, "jira_password": found.token, "jira_token": None}
    return {"jira_username": user, "jira_password": found.password, "jira_token": None}


class Setting:
    """A Jira of one version, and an agent with the login of one user."""

    def __init__(self, stack, jira):
        self.stack = stack
        self.jira = jira

    async def use(self, user, **options):
        await self.stack.enroll("hq", self.jira, links=1, **{**login_of(self.jira, user), **options})
        await self.stack.connect("hq")


@pytest.fixture
async def setting(tmp_path, request):
    profile = getattr(request, "param", "9.12")
    async with (
        FakeJira(profile, context="" if profile == "cloud" else "/jira") as jira,
        running_gateway(tmp_path) as stack,
    ):
        yield Setting(stack, jira)


def versions(*names):
    return pytest.mark.parametrize("setting", names, indirect=True)


@versions(*ALL)
async def test_a_member_may_work_in_its_project_and_not_administer(setting):
    await setting.use("svc.bridge")
    result = await report(setting.stack, issue="OPS-42", needs=["CREATE_ISSUES", "transition"])

    found = {slug: row["state"] for slug, row in rows(result).items()}
    allowed = ("see_project", "see_issue", "create", "edit", "assign", "transition", "close", "delete", "link")
    assert {slug: found[slug] for slug in allowed} == dict.fromkeys(allowed, "allowed")
    assert {found[slug] for slug in ("comment", "attach", "watchers", "log_work", "sprints", "find_users")} == {
        "allowed"
    }
    assert {found[slug] for slug in ("reporter", "security", "webhooks")} == {"denied"}
    assert rows(result)["webhooks"]["cause"] == "global_permission"
    assert rows(result)["reporter"]["cause"] == "scheme_grant_missing"
    assert "Global permissions" in rows(result)["webhooks"]["grant"]
    assert (result["ok"], result["missing"]) == (True, [])
    assert result["account"]["name"]
    assert result["jira"]["version"] == setting.jira.profile.version


@versions("7.13", "9.12", "10.3", "cloud")
async def test_a_reader_is_told_which_grant_it_lacks(setting):
    await setting.use("readonly")
    result = await report(setting.stack, project="OPS", needs=["BROWSE_PROJECTS", "CREATE_ISSUES", "comment"])

    found = rows(result)
    assert found["see_project"]["state"] == "allowed"
    assert (found["create"]["state"], found["create"]["cause"]) == ("denied", "scheme_grant_missing")
    assert "OPS > Permissions" in found["create"]["grant"]
    assert (result["ok"], result["missing"]) == (False, ["CREATE_ISSUES", "comment"])


@versions("7.13", "8.20", "10.3", "cloud")
async def test_who_sees_no_project_is_told_so(setting):
    await setting.use("outsider")
    result = await report(setting.stack, issue="OPS-42")

    found = rows(result)
    assert {found[slug]["cause"] for slug in ("see_project", "see_issue", "create", "comment")} == {"no_browse"}
    assert found["find_users"]["state"] == "allowed"
    assert result["project"]["sight"] == "missing_or_hidden"


@versions("7.13", "9.12", "cloud")
async def test_an_issue_behind_a_security_level_is_told_from_a_hidden_project(setting):
    await setting.use("svc.bridge")
    result = await report(setting.stack, issue="OPS-13", needs=["ADD_COMMENTS", "CREATE_ISSUES"])

    found = rows(result)
    assert (found["see_issue"]["state"], found["see_issue"]["cause"]) == ("denied", "security_level")
    assert "security level" in found["comment"]["why"]
    assert "Issue security" in found["comment"]["grant"]
    assert found["create"]["state"] == "allowed"
    assert result["missing"] == ["ADD_COMMENTS"]


@versions("8.5", "9.12")
async def test_a_missing_issue_is_no_missing_right(setting):
    await setting.use("svc.bridge")
    found = rows(await report(setting.stack, issue="OPS-9999"))
    assert (found["edit"]["state"], found["edit"]["cause"]) == ("unknown", "issue_missing")


@versions("7.13", "10.3", "cloud")
async def test_an_administrator_may_do_everything_that_jira_offers(setting):
    await setting.use("admin")
    result = await report(setting.stack, issue="OPS-42")
    assert {row["state"] for row in result["actions"]} == {"allowed"}


@versions("9.12")
async def test_an_administrator_is_told_who_is_granted_what_is_missing(setting):
    jira = setting.jira
    jira.store.projects["OPS"].grants["CLOSE_ISSUES"] = set()
    jira.store.projects["OPS"].grants["CREATE_ISSUES"] = set()
    await setting.use("admin")
    found = rows(await report(setting.stack, project="OPS"))

    assert "project role" in found["create"]["why"]
    assert "developers" in found["create"]["why"]
    assert "Plant software scheme" in found["create"]["grant"]


@versions("9.12")
async def test_without_a_subject_the_question_is_about_any_project(setting):
    await setting.use("svc.bridge")
    found = rows(await report(setting.stack))
    assert (found["create"]["state"], found["create"]["why"]) == ("allowed", "Granted in at least one project.")
    assert found["webhooks"]["state"] == "denied"


@versions("7.13", "8.20", "10.3")
async def test_legacy_keys_are_named_where_jira_lists_them(setting):
    await setting.use("svc.bridge")
    found = rows(await report(setting.stack, project="OPS"))
    create = {"key": "CREATE_ISSUES", "legacy": "CREATE_ISSUE", "name": "Create Issues", "held": True}
    assert found["create"]["permissions"][0] == create
    assert found["sprints"]["permissions"][0]["key"] == "MANAGE_SPRINTS_PERMISSION"


@versions("7.13", "9.12", "10.3")
@pytest.mark.parametrize(
    ("user", "verdict", "state"),
    [("no.access", "no_application_access", "denied"), ("locked", "captcha", "unknown")],
)
async def test_a_refused_login_is_tried_once_and_explained(setting, user, verdict, state):
    await setting.use(user)
    before = len(setting.jira.matching("/rest"))
    result = await report(setting.stack, project="OPS", needs=["BROWSE_PROJECTS"])

    assert result["login"]["verdict"] == verdict
    assert result["login"]["action"]
    assert {row["state"] for row in result["actions"]} == {state}
    assert not result["ok"]
    tried = [record for record in setting.jira.matching("/rest")[before:] if record.header("Authorization")]
    assert len(tried) <= 1


@versions("9.12")
async def test_a_wrong_password_costs_one_failed_login(setting):
    await setting.use("svc.bridge", jira_password="wrong")
    failed = setting.jira.users["svc.bridge"].failed_logins
    result = await report(setting.stack, project="OPS")
    assert result["login"]["verdict"] == "wrong_password"
    assert setting.jira.users["svc.bridge"].failed_logins - failed <= 1


@versions("9.12")
async def test_a_login_page_in_front_of_jira_is_told(setting):
    await setting.use("svc.bridge")
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\nSign in"
    setting.jira.misbehave("/rest", RawAnswer(page))
    result = await report(setting.stack, project="OPS")
    assert result["login"]["verdict"] == "sso_page"
    assert {row["state"] for row in result["actions"]} == {"unknown"}


@versions("9.12")
async def test_what_jira_does_not_answer_is_unknown(setting):
    await setting.use("svc.bridge")
    setting.jira.misbehave("/rest/api/2/mypermissions", Canned("rate-limited"))
    result = await report(setting.stack, project="OPS", needs=["CREATE_ISSUES"])
    assert rows(result)["create"]["state"] == "unknown"
    assert result["missing"] == ["CREATE_ISSUES"]
    assert {"request": "/rest/api/2/mypermissions", "status": 429, "problem": ""} in result["steps"]


async def test_nothing_can_be_said_without_an_agent_or_an_account(tmp_path):
    async with FakeJira() as jira, running_gateway(tmp_path) as stack:
        agent = await stack.enroll("hq", jira, links=1)
        await stack.connect("hq")
        await stack.connect("theirs", via="hq", credentials="caller")
        with pytest.raises(ReportImpossible) as impossible:
            await report(stack, name="theirs")
        assert impossible.value.problem is None
        await agent.stop()
        with pytest.raises(ReportImpossible) as impossible:
            await report(stack)
        assert impossible.value.problem is not None


# -- explanations


async def ask(setting, method, path, body=None):
    caller = await setting.stack.caller("hq")
    headers = [("Content-Type", "application/json")] if body is not None else []
    answer = await caller.send(method, f"/jira/hq{path}", headers, body)
    return answer, answer.header("X-Request-ID")


def explained(setting, request_id):
    return explain(setting.stack.gateway.outcomes.recent, "hq", request_id)


@versions("8.20", "9.12")
async def test_a_hidden_issue_is_explained_from_what_was_recorded(setting):
    await setting.use("svc.bridge")
    answer, request_id = await ask(setting, "GET", "/rest/api/2/issue/OPS-13?fields=canary")
    assert answer.status == 403

    result = explained(setting, request_id)
    assert (result["cause"], result["answered_by"]) == ("issue_invisible", "jira")
    assert "BROWSE_PROJECTS" in result["permissions"]
    assert result["next"] == "jira-gateway connections permissions hq --issue OPS-13 --need see_issue"
    assert "X-AUSERNAME: svc.bridge" in result["evidence"]
    assert "canary" not in str(result)


@versions("9.12")
async def test_denied_writes_name_the_permission(setting):
    await setting.use("readonly")
    _, request_id = await ask(setting, "PUT", "/rest/api/2/issue/OPS-42/assignee", b'{"name":"readonly"}')
    assert explained(setting, request_id)["permissions"] == ["ASSIGN_ISSUES"]
    _, request_id = await ask(setting, "DELETE", "/rest/api/2/issue/OPS-42")
    assert explained(setting, request_id)["permissions"] == ["DELETE_ISSUES"]


@versions("9.12")
async def test_a_refused_login_is_the_cause_whatever_was_asked(setting):
    await setting.use("locked")
    answer, request_id = await ask(setting, "GET", "/rest/api/2/project")
    assert answer.status == 403
    assert explained(setting, request_id)["cause"] == "login_captcha"


@versions("9.12")
async def test_our_own_refusals_are_explained_too(setting):
    await setting.use("svc.bridge", policy_profile="read-only")
    answer, request_id = await ask(setting, "DELETE", "/rest/api/2/issue/OPS-42")
    assert answer.header("Tunnel-Error") == "policy_denied"
    result = explained(setting, request_id)
    assert (result["cause"], result["answered_by"]) == ("policy_denied", "agent")


@versions("9.12")
async def test_a_success_and_another_connections_request_are_not_remembered(setting):
    await setting.use("svc.bridge")
    _, request_id = await ask(setting, "GET", "/rest/api/2/myself")
    with pytest.raises(NotRemembered):
        explained(setting, request_id)
    _, request_id = await ask(setting, "GET", "/rest/api/2/issue/OPS-9999")
    with pytest.raises(NotRemembered):
        explain(setting.stack.gateway.outcomes.recent, "other", request_id)


# -- the control socket


async def test_both_commands_are_served_on_the_control_socket(setting):
    await setting.use("svc.bridge")
    _, request_id = await ask(setting, "GET", "/rest/api/2/issue/OPS-13")
    state = setting.stack.folder / "gateway"

    result = await asyncio.to_thread(call, state, "permissions", {"name": "hq", "project": "OPS", "need": "ADMINISTER"})
    assert result["missing"] == ["ADMINISTER"]
    result = await asyncio.to_thread(call, state, "explain", {"name": "hq", "request_id": request_id})
    assert result["cause"] == "issue_invisible"
    for command, arguments, status in (
        ("permissions", {"name": "nowhere"}, DENIED),
        ("permissions", {"name": "hq", "project": "../x"}, USAGE),
        ("permissions", {"name": "hq", "need": "a b"}, USAGE),
        ("explain", {"name": "hq", "request_id": "none"}, DENIED),
    ):
        with pytest.raises(CommandFailed) as failed:
            await asyncio.to_thread(call, state, command, arguments)
        assert failed.value.status == status
    for agent in setting.stack.agents:
        await agent.stop()
    with pytest.raises(CommandFailed) as failed:
        await asyncio.to_thread(call, state, "permissions", {"name": "hq"})
    assert failed.value.status == UNAVAILABLE


# -- the commands as people type them


async def command(setting, *words):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JIRA_")}
    ours = {
        "JIRA_GATEWAY_STATE_DIR": str(setting.stack.folder / "gateway"),
        "JIRA_GATEWAY_TUNNEL_URL": "wss://gateway.example.com:8443",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "connections", *words),
        env=inherited | ours,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_deployment_is_gated_by_the_exit_status(setting):
    await setting.use("readonly")
    status, out, _ = await command(
        setting, "permissions", "hq", "--project", "OPS", "--need", "BROWSE_PROJECTS", "--json"
    )
    assert status == OK
    assert json.loads(out)["ok"] is True
    status, out, err = await command(
        setting, "permissions", "hq", "--issue", "OPS-42", "--need", "BROWSE,CREATE_ISSUES"
    )
    assert status == DENIED
    assert "lacks CREATE_ISSUES" in err
    assert "Create issue" in out
    assert out.count("Project settings of OPS > Permissions") == 1
    status, _, err = await command(setting, "permissions", "hq", "--project", "O/PS")
    assert status == USAGE
    assert "no project key" in err


async def test_an_explanation_is_prose_with_evidence(setting):
    await setting.use("svc.bridge")
    _, request_id = await ask(setting, "GET", "/rest/api/2/issue/OPS-13")
    status, out, _ = await command(setting, "explain", "hq", request_id)
    assert status == OK
    assert "--issue OPS-13 --need see_issue" in out
    assert "- X-AUSERNAME: svc.bridge" in out
    status, out, _ = await command(setting, "explain", "hq", request_id, "--json")
    assert json.loads(out)["status"] == 403
