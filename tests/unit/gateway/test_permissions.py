"""The interview: its order, what it stops at, and that one refused login is the last request."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from pydantic import SecretBytes

from gateway.errors import AGENT_OFFLINE, POLICY_DENIED, Problem
from gateway.permissions import Interview, ReportImpossible, permission_report
from gateway.probe import ProbeAnswer
from gateway.store import Credentials
from jira_api.permissions.account import Sight
from jira_api.permissions.inquiry import KEYS, Subject

INFO = {"baseUrl": "https://jira/jira", "version": "9.12.5", "versionNumbers": [9, 12, 5], "deploymentType": "Server"}
CLOUD = {"baseUrl": "https://x.atlassian.net", "version": "1001", "versionNumbers": [1001], "deploymentType": "Cloud"}
JSON = (b"Content-Type", b"application/json;charset=UTF-8")
ME, NOBODY = (b"X-AUSERNAME", b"svc.bridge"), (b"X-AUSERNAME", b"anonymous")


def answer(value, status=200, *headers, login=b""):
    return ProbeAnswer(status, [JSON, *(headers or (ME,))], json.dumps(value).encode(), login)


def held(*missing, keys=KEYS):
    return answer({"permissions": {key: {"name": key, "havePermission": key not in missing} for key in keys}})


def denied(status=403):
    return answer({"errorMessages": ["no"]}, status)


ANSWERS = {
    "serverInfo": answer(INFO),
    "myself": answer({"name": "svc.bridge"}),
    "project/OPS": answer({"key": "OPS", "roles": {"QA": "https://jira/project/1/role/7"}}),
    "mypermissions": held(),
    "issue/createmeta/OPS/issuetypes": answer({"values": [{}]}),
    "project/OPS/securitylevel": answer({"levels": [{"name": "Internal"}]}),
    "attachment/meta": answer({"enabled": True}),
    "issue/OPS-1": answer({"fields": {"status": {"statusCategory": {"key": "new"}}}}),
    "issue/OPS-1/transitions": answer({"transitions": [{"id": "1", "to": {"statusCategory": {"key": "done"}}}]}),
    "issue/OPS-1/editmeta": answer({"fields": {"summary": {}, "reporter": {}, "duedate": {}}}),
}


class Jira:
    """Answers from a table, and keeps what it was asked; a list is answered one after the other."""

    def __init__(self, *, credentials=Credentials.AGENT, authorization=None, **answers):
        self.connection = SimpleNamespace(name="hq", credentials=credentials, authorization=authorization)
        self.answers = {**ANSWERS, **{name.replace("__", "/"): value for name, value in answers.items()}}
        self.asked = []

    async def get(self, target, seconds=0.0):
        assert seconds > 0
        path, _, query = target.decode().removeprefix("/rest/api/2/").partition("?")
        self.asked.append(path)
        found = self.answers.get(path, denied(404))
        found = found.pop(0) if isinstance(found, list) else found
        return found(query) if callable(found) else found


async def interviewed(jira, subject=Subject("OPS", "OPS-1"), needs=()):  # noqa: B008 - frozen
    interview = Interview(jira, subject, needs)
    await interview.run()
    return interview.account, interview.steps


async def test_everything_is_asked_once_and_in_order():
    jira = Jira()
    account, steps = await interviewed(jira)
    assert jira.asked == [
        "serverInfo", "myself", "project/OPS", "mypermissions", "issue/createmeta/OPS/issuetypes",
        "project/OPS/securitylevel", "attachment/meta", "issue/OPS-1", "mypermissions", "issue/OPS-1/transitions",
        "issue/OPS-1/editmeta",
    ]  # fmt: skip
    assert [step.status for step in steps] == [200] * len(steps)
    assert (account.project, account.issue, account.create_types) == (Sight.VISIBLE, Sight.VISIBLE, 1)
    assert (account.levels, account.has_attachments, account.is_done) == (("Internal",), True, False)


async def test_the_question_of_the_schemes_is_only_put_by_administrators_who_lack_something():
    grants = [{"permission": "CREATE_ISSUES", "holder": {"type": "projectRole", "parameter": "7"}}]
    scheme = answer({"name": "Plant", "permissions": grants})
    role = answer({"name": "QA", "actors": [{"name": "omar"}]})
    more = {"project__OPS__permissionscheme": scheme, "project__OPS__role__7": role}

    jira = Jira(mypermissions=held("CREATE_ISSUES"), **more)
    account, _ = await interviewed(jira, Subject("OPS"))
    assert jira.asked[-2:] == ["project/OPS/permissionscheme", "project/OPS/role/7"]
    assert account.roles["7"].actors == ("omar",)
    jira = Jira(mypermissions=held("CREATE_ISSUES", "ADMINISTER", "SYSTEM_ADMIN", "ADMINISTER_PROJECTS"), **more)
    await interviewed(jira, Subject("OPS"))
    assert "project/OPS/permissionscheme" not in jira.asked


async def test_an_administrator_learns_the_levels_of_a_hidden_issue():
    levels = answer({"levels": [{"name": "Top secret"}]})
    jira = Jira(project__OPS__issuesecuritylevelscheme=levels)
    jira.answers["issue/OPS-1"] = denied()
    account, _ = await interviewed(jira)
    assert (account.issue, account.project_levels) == (Sight.HIDDEN, ("Top secret",))
    assert "issue/OPS-1/transitions" not in jira.asked


@pytest.mark.parametrize(("info", "sight"), [(INFO, Sight.MISSING), (CLOUD, Sight.GONE)])
async def test_404_on_an_issue_means_different_things_by_version(info, sight):
    jira = Jira(serverInfo=answer(info))
    jira.answers["issue/OPS-1"] = denied(404)
    account, _ = await interviewed(jira)
    assert account.issue is sight


async def test_of_a_project_that_does_not_show_nothing_more_is_asked():
    jira = Jira()
    jira.answers["project/OPS"] = denied(404)
    account, _ = await interviewed(jira)
    assert jira.asked == ["serverInfo", "myself", "project/OPS", "mypermissions"]
    assert account.in_project is None
    assert account.anywhere is not None


async def test_cloud_is_asked_again_without_the_permissions_of_apps():
    def picky(query):
        return denied(400) if "MANAGE_SPRINTS_PERMISSION" in query else held()

    jira = Jira(serverInfo=answer(CLOUD), mypermissions=picky)
    account, _ = await interviewed(jira, needs=["NO_SUCH_KEY"])
    assert account.in_project is not None
    assert jira.asked.count("mypermissions") == 3, "twice for the project, once for the issue"


@pytest.mark.parametrize(
    ("refusal", "slug"),
    [
        (answer({}, 401, NOBODY, (b"X-Seraph-LoginReason", b"AUTHENTICATED_FAILED")), "wrong_password"),
        (answer({}, 403, NOBODY, (b"X-Authentication-Denied-Reason", b"CAPTCHA_CHALLENGE; x")), "captcha"),
        (answer({}, 403, NOBODY, (b"X-Seraph-LoginReason", b"AUTHORISATION_FAILED")), "no_application_access"),
        (answer([], 200, NOBODY, (b"X-Seraph-LoginReason", b"AUTHENTICATED_FAILED")), "anonymous"),
        (answer({}, 401, NOBODY), "token_expired"),
        (answer({}, 401, login=b"captcha"), "captcha"),
    ],
)
@pytest.mark.parametrize("step", ["serverInfo", "myself"])
async def test_after_the_first_refused_login_nothing_more_is_sent(refusal, slug, step):
    jira = Jira(authorization=SecretBytes(b"Bearer canary"), **{step: refusal})
    result = await permission_report(jira, Subject("OPS"), ["CREATE_ISSUES"])
    assert jira.asked[-1] == step
    assert result["login"]["verdict"] == slug
    assert not result["ok"]
    assert "canary" not in str(result)


async def test_who_stays_anonymous_is_reported_as_nobody():
    jira = Jira(serverInfo=answer(INFO, 200, NOBODY), myself=answer({}, 401, NOBODY))
    result = await permission_report(jira, Subject("OPS"))
    assert result["login"]["verdict"] == "login_required"
    assert jira.asked == ["serverInfo", "myself"]


async def test_a_step_that_the_policy_denies_leaves_only_its_part_unknown():
    jira = Jira(attachment__meta=ProbeAnswer(problem=Problem(POLICY_DENIED, "no")))
    account, steps = await interviewed(jira)
    assert account.has_attachments is None
    assert account.in_issue is not None
    assert [step.problem for step in steps if step.status == 0] == ["policy_denied"]


async def test_without_the_first_answer_there_is_no_report():
    gone = Problem(AGENT_OFFLINE, "the agent has gone")
    with pytest.raises(ReportImpossible) as impossible:
        await permission_report(Jira(serverInfo=ProbeAnswer(problem=gone)), Subject())
    assert impossible.value.problem is gone
    with pytest.raises(ReportImpossible) as impossible:
        await permission_report(Jira(credentials=Credentials.CALLER), Subject())
    assert impossible.value.problem is None


async def test_an_unreadable_server_info_does_not_end_it():
    account, _ = await interviewed(Jira(serverInfo=answer([])))
    assert account.server is None
    assert account.is_logged_in


async def test_when_time_is_up_the_report_is_of_what_is_known(monkeypatch):
    class Slow(Jira):
        async def get(self, target, seconds=0.0):
            if b"project/OPS" in target:
                await asyncio.Event().wait()
            return await super().get(target, seconds)

    monkeypatch.setattr("gateway.permissions.REPORT_SECONDS", 0.01)
    result = await permission_report(Slow(), Subject("OPS"))
    assert result["account"]["name"] == "svc.bridge"
    assert {row["state"] for row in result["actions"]} == {"unknown"}
    assert "not everything" in result["steps"][-1]["problem"]
