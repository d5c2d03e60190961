"""Findings in words, and the report as JSON."""

import json

import pytest

from jira_api.logins import LoginVerdict
from jira_api.permissions.account import Account, Grant, JiraUser, Permission, Permissions, Role, Scheme, Sight
from jira_api.permissions.inquiry import KEYS, Subject
from jira_api.permissions.judgement import Cause, Finding, State
from jira_api.permissions.report import Step, report
from jira_api.permissions.wording import holder, screen, why
from jira_api.server_info import ServerInfo

ISSUE = Subject("OPS", "OPS-42")
USER = JiraUser("svc.bridge", "Bridge", frozenset({"b", "a"}), None)
SERVER = ServerInfo("https://jira", "9.12.5", (9, 12, 5), "Server", "")
CLOUD = ServerInfo("https://x.atlassian.net", "1001", (1001,), "Cloud", "")


ON_ISSUES = {Cause.SECURITY_LEVEL, Cause.ISSUE_MISSING, Cause.ISSUE_DEPENDENT}


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("subject", [Subject(), Subject("OPS"), ISSUE, Subject(None, "10042")])
def test_every_cause_has_its_words(cause, subject):
    subject = ISSUE if cause in ON_ISSUES else subject
    finding = Finding(State.ALLOWED if cause is Cause.GRANTED else State.DENIED, cause, ("MANAGE_SPRINTS_PERMISSION",))
    for server in (None, SERVER, CLOUD):
        text = why(finding, Account(server=server, login=LoginVerdict.CAPTCHA), subject)
        assert text.endswith((".", "”"))
        assert "None" not in text
        where = screen(finding, Account(server=server, login=LoginVerdict.CAPTCHA), subject)
        assert "{" not in text + where
        assert bool(where) == (cause not in {Cause.GRANTED, Cause.ISSUE_MISSING, Cause.NOT_TOLD})


def test_who_is_granted_it_is_named_with_role_members():
    grants = (
        Grant("CREATE_ISSUES", "projectRole", "10110"),
        Grant("CREATE_ISSUE", "applicationRole", ""),
        Grant("CREATE_ISSUES", "group", "qa-team"),
        Grant("CREATE_ISSUES", "reporterWithCreatePermission", ""),
    )
    account = Account(scheme=Scheme("Plant {x}", grants), roles={"10110": Role("QA", ("Omar", "group qa"))})
    finding = Finding(State.DENIED, Cause.NO_GRANT, ("CREATE_ISSUES",))
    text = why(finding, account, Subject("OPS"))
    assert "project role QA (Omar, group qa), any logged-in user, group qa-team, reporterWithCreatePermission" in text
    assert screen(finding, account, Subject("OPS")).endswith("Permission schemes > Plant {x}.")
    account.scheme = Scheme("Plant", ())
    assert "grants it to: nobody" in why(finding, account, Subject("OPS"))


def test_a_role_is_named_as_far_as_it_is_known():
    grant = Grant("X", "projectRole", "10110")
    assert holder(grant, Account()) == "project role 10110"
    assert holder(grant, Account(roles={"10110": Role("QA", None)})) == "project role QA"
    assert holder(grant, Account(roles={"10110": Role("QA", ())})) == "project role QA (nobody)"


def test_cloud_doubts_what_on_premise_knows():
    finding = Finding(State.DENIED, Cause.SECURITY_LEVEL)
    assert "no such issue" in why(finding, Account(server=CLOUD, project=Sight.VISIBLE), ISSUE)
    assert "no such issue" not in why(finding, Account(server=SERVER, project=Sight.VISIBLE), ISSUE)
    account = Account(server=SERVER, project_levels=("Internal", "Top secret"))
    assert "Internal, Top secret" in why(finding, account, ISSUE)


def test_the_report_is_json_with_every_part():
    rows = Permissions({key: Permission(key, key.title(), key != "EDIT_ISSUES") for key in KEYS})
    account = Account(
        login=LoginVerdict.OK, server=SERVER, user=USER, in_project=rows, in_issue=rows, project=Sight.VISIBLE,
        issue=Sight.VISIBLE,
    )  # fmt: skip
    steps = [Step("/rest/api/2/myself", 200)]
    result = json.loads(json.dumps(report(account, ISSUE, ["EDIT_ISSUE", "comment"], steps)))

    assert result["account"] == {
        "name": "svc.bridge", "display_name": "Bridge", "groups": ["a", "b"], "applications": None,
    }  # fmt: skip
    assert result["jira"] == {"version": "9.12.5", "deployment": "Server", "base_url": "https://jira"}
    assert (result["login"]["verdict"], result["project"]["sight"]) == ("ok", "visible")
    assert (result["ok"], result["missing"]) == (False, ["EDIT_ISSUE"])
    edit = next(row for row in result["actions"] if row["action"] == "edit")
    assert edit["state"] == "denied"
    assert edit["permissions"] == [{"key": "EDIT_ISSUES", "legacy": None, "name": "Edit_Issues", "held": False}]
    assert result["steps"] == [{"request": "/rest/api/2/myself", "status": 200, "problem": ""}]


def test_a_report_about_nothing_known_is_still_a_report():
    result = report(Account(), Subject(), [], [])
    assert (result["jira"], result["account"], result["login"], result["project"]) == (None, None, None, None)
    assert result["ok"]
    assert {row["state"] for row in result["actions"]} == {"unknown"}
