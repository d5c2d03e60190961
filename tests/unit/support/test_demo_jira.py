"""Which Jira and which login the demo takes from its environment."""

import json

import pytest

from tests.support.demo import telling_lines
from tests.support.demo_account import StepFailed
from tests.support.demo_jira import real_jira


def test_without_an_address_the_stand_in_is_used():
    assert real_jira({"JIRA_PROJECT": "OPS"}) is None


def test_secrets_are_taken_out_of_the_environment():
    environ = {"JIRA_URL": "https://jira.corp.local/jira/", "JIRA_USERNAME": "bot", "JIRA_PASSWORD": "p", "HOME": "/"}
    target = real_jira(environ)
    assert environ == {"HOME": "/"}
    assert target.url == "https://jira.corp.local/jira"
    assert target.login == {"JIRA_AGENT_JIRA_USERNAME": "bot", "JIRA_AGENT_JIRA_PASSWORD": "p"}
    assert "p" not in target.description.split()


@pytest.mark.parametrize(("project", "profile"), [("", "read-only"), ("OPS", "issues")])
def test_it_is_read_only_unless_a_project_is_named(project, profile):
    target = real_jira({"JIRA_URL": "http://jira", "JIRA_TOKEN": "t", "JIRA_PROJECT": project})
    assert (target.project, target.policy_profile) == (project or None, profile)


def test_a_token_is_a_bearer_token_on_premise_and_a_password_on_cloud():
    on_premise = {"JIRA_URL": "https://jira.corp.local", "JIRA_USERNAME": "bot", "JIRA_TOKEN": "t"}
    cloud = {"JIRA_URL": "https://corp.atlassian.net", "JIRA_USERNAME": "bot@corp.example", "JIRA_TOKEN": "t"}
    assert real_jira(on_premise).login == {"JIRA_AGENT_JIRA_TOKEN": "t"}
    assert real_jira(cloud).login == {
        "JIRA_AGENT_JIRA_USERNAME": "bot@corp.example",
        "JIRA_AGENT_JIRA_PASSWORD": "t",
    }


@pytest.mark.parametrize(
    "environ",
    [
        {"JIRA_URL": "jira.corp.local", "JIRA_TOKEN": "t"},
        {"JIRA_URL": "https://jira.corp.local"},
        {"JIRA_URL": "https://jira.corp.local", "JIRA_USERNAME": "bot"},
        {"JIRA_URL": "https://jira.corp.local", "JIRA_TOKEN": "t", "JIRA_PROJECT": 'OPS" OR 1=1'},
    ],
    ids=["no scheme", "no login", "no password", "no key"],
)
def test_what_cannot_work_is_said_before_anything_is_started(environ):
    with pytest.raises(StepFailed):
        real_jira(environ)


def test_of_a_log_only_warnings_errors_and_crashes_are_shown():
    calm = json.dumps({"event": "gateway_ready", "level": "info"})
    worse = json.dumps({"event": "jira_not_found", "level": "warning", "reason": "refused", "timestamp": "2026"})
    assert telling_lines(f"{calm}\n{worse}\nTraceback\n") == ["event=jira_not_found, reason=refused", "Traceback"]
