"""What Jira's answers mean to the doctor; above all that a login is never tried once too often."""

import json

import pytest

from agent.addresses import JiraAddress
from agent.credentials import CredentialKind, JiraCredentials, jira_credentials
from agent.doctor.check import Circumstances
from agent.doctor.jira import check_login, check_webhook_permission, judge_version
from agent.settings import AgentSettings
from http1.fetch import Fetched
from jira_api.server_info import parse_server_info

JIRA = JiraAddress.parse("https://jira.corp.local/jira")
WRONG = [(b"X-Seraph-LoginReason", b"AUTHENTICATED_FAILED"), (b"Content-Type", b"text/html")]
CAPTCHA = [(b"X-Authentication-Denied-Reason", b"CAPTCHA_CHALLENGE; login-url=x"), (b"X-AUSERNAME", b"anonymous")]
ME = json.dumps({"name": "svc", "displayName": "Bridge"}).encode()


def info(version="9.12.5", base="https://jira.corp.local/jira"):
    return parse_server_info(json.dumps({"baseUrl": base, "version": version}).encode())


class Desk:
    scheme = b"basic"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def ask_logged_in(self, target):
        self.asked.append(target.decode())
        return self.answers.pop(0)


def given(running=None, *, quick=False, **settings):
    values = {"jira_username": "svc", "jira_password": "hunter2", **settings}
    return Circumstances(AgentSettings(**values), running, lambda _: None, quick)


async def login(circumstances, *answers):
    desk = Desk(*answers)
    found, account = await check_login(circumstances, desk, JIRA, jira_credentials(circumstances.settings))
    return found, account, desk


async def test_a_login_that_works_names_the_account():
    found, account, _ = await login(given(), Fetched(200, [(b"X-AUSERNAME", b"svc")], ME))
    assert (found.result, found.detail, account.user.name) == ("pass", "as svc by basic", "svc")


@pytest.mark.parametrize(
    ("status", "headers", "words"), [(401, WRONG, "refused the user name"), (403, CAPTCHA, "CAPTCHA"), (502, [], "502")]
)
async def test_a_login_that_fails_is_tried_once_and_explained(status, headers, words):
    found, account, desk = await login(given(), Fetched(status, headers, b""))
    assert (found.result, words in found.detail, found.action != "") == ("fail", True, True)
    assert len(desk.asked) == 1
    assert (await check_webhook_permission(given(), desk, JIRA, account, info())).result == "skip"
    assert len(desk.asked) == 1


async def test_a_login_that_the_running_agent_was_refused_with_is_not_tried():
    refused = {"login": "agent", "verdict": "captcha", "since": "2027-01-01", "action": "log in with a browser"}
    found, _, desk = await login(given({"jira": {"refused_logins": [refused]}}))
    assert (found.result, "not tried" in found.detail, found.action) == ("fail", True, "log in with a browser")
    assert desk.asked == []
    callers = {"jira": {"refused_logins": [{**refused, "login": "gateway"}]}}
    assert (await login(given(callers), Fetched(200, [], ME)))[0].result == "pass"


async def test_quick_checks_and_agents_without_a_login_try_none():
    found, _, desk = await login(given(quick=True))
    assert (found.result, desk.asked) == ("skip", [])
    none = given(jira_username=None, jira_password=None)
    found, _ = await check_login(none, desk, JIRA, JiraCredentials(CredentialKind.NONE))
    assert found.result == "skip"
    elsewhere = given({"jira": {"credentials": "bearer"}}, jira_username=None, jira_password=None)
    found, _ = await check_login(elsewhere, desk, JIRA, JiraCredentials(CredentialKind.NONE))
    assert "running agent has one (bearer)" in found.detail
    assert desk.asked == []


def test_versions_and_base_urls_are_judged():
    assert judge_version(info(), JIRA, CredentialKind.BEARER).action == ""
    assert judge_version(info("8.13.9"), JIRA, CredentialKind.BEARER).result == "fail"
    assert judge_version(info("8.13.9"), JIRA, CredentialKind.BASIC).result == "pass"
    assert judge_version(info("6.4"), JIRA, CredentialKind.BASIC).result == "fail"
    assert judge_version(info(base="https://public.example"), JIRA, CredentialKind.BASIC).action


def permissions(held):
    rows = {key: {"key": key, "name": key, "havePermission": held} for key in ("ADMINISTER", "SYSTEM_ADMIN")}
    return Fetched(200, [], json.dumps({"permissions": rows}).encode())


@pytest.mark.parametrize(
    ("held", "listen", "profile", "result", "words"),
    [
        (True, "127.0.0.1:0", "webhooks", "pass", "lets that pass"),
        (True, "127.0.0.1:0", "read-only", "fail", "policy does not"),
        (False, "127.0.0.1:0", "webhooks", "fail", "ADMINISTER"),
        (False, None, "read-only", "skip", "Not needed"),
        (True, None, "read-only", "skip", "not needed"),
    ],
)
async def test_the_right_to_register_webhooks_matters_where_webhooks_are_taken(held, listen, profile, result, words):
    circumstances = given(webhook_listen=listen, policy_profile=profile)
    _, account, desk = await login(circumstances, Fetched(200, [], ME), permissions(held))
    found = await check_webhook_permission(circumstances, desk, JIRA, account, info())
    assert (found.result, words in found.detail, (found.action != "") == (result == "fail")) == (result, True, True)
