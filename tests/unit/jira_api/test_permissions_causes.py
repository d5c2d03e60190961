"""The most likely cause of an answer, from method, path, status and login headers alone."""

import pytest

from jira_api.logins import LoginVerdict
from jira_api.permissions.actions import ACTIONS
from jira_api.permissions.causes import JirasAnswer, action_of, likely_cause, subject_of
from jira_api.permissions.inquiry import Subject

API = "/rest/api/2"
OK = LoginVerdict.OK


@pytest.mark.parametrize(
    ("method", "path", "slug"),
    [
        ("GET", f"{API}/issue/OPS-1", "see_issue"),
        ("GET", f"{API}/issue/OPS-1/watchers", "see_watchers"),
        ("POST", f"{API}/issue", "create"),
        ("POST", f"{API}/issue/bulk", "create"),
        ("PUT", "/rest/api/latest/issue/OPS-1", "edit"),
        ("PUT", f"{API}/issue/OPS-1/assignee", "assign"),
        ("POST", f"{API}/issue/OPS-1/transitions", "transition"),
        ("POST", f"{API}/issue/OPS-1/comment", "comment"),
        ("DELETE", f"{API}/issue/OPS-1/comment/1", "delete_comment"),
        ("POST", f"{API}/issue/OPS-1/attachments", "attach"),
        ("GET", "/secure/attachment/1/a.csv", "download"),
        ("DELETE", f"{API}/attachment/1", "delete_attachment"),
        ("PUT", f"{API}/issue/OPS-1/worklog/1", "edit_worklog"),
        ("POST", "/rest/agile/1.0/sprint/1/issue", "sprints"),
        ("PUT", "/rest/agile/1.0/issue/rank", "rank"),
        ("POST", "/rest/webhooks/1.0/webhook", "webhooks"),
        ("POST", "/rest/jira-webhook/1.0/webhooks", "webhooks"),
        ("GET", f"{API}/project/OPS", "see_project"),
        ("GET", f"{API}/project/OPS/permissionscheme", "read_schemes"),
        ("GET", f"{API}/user/search", "find_users"),
        ("GET", f"{API}/serverInfo", None),
        ("BREW", f"{API}/issue", None),
    ],
)
def test_a_request_is_known_as_its_action(method, path, slug):
    found = action_of(method, path)
    assert (found.slug if found else None) == slug


def cause(method, path, status, login=OK, content_type="application/json", location=""):
    return likely_cause(JirasAnswer(method, path, status, login, content_type, location))


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.calls], ids=lambda action: action.slug)
def test_each_denial_of_the_table_leads_to_its_permission(action):
    method, path = action.calls[0].split()[0], action.calls[0].split()[-1]
    path = path.replace("{2,3,latest}", "2").replace("{attachment,thumbnail,attachmentzip}", "attachment")
    path = path.replace("/**", "/1").replace("*", "OPS-1")
    for status in action.denied:
        found = cause(method, path, status, location="https://jira/login.jsp")
        assert found.text
        if found.need:
            assert found.need == action.slug
            assert set(found.permissions) == set(action.permissions)


@pytest.mark.parametrize(
    ("answer", "slug"),
    [
        (("GET", f"{API}/issue/OPS-1", 403), "issue_invisible"),
        (("GET", f"{API}/issue/OPS-1", 404), "missing_or_invisible"),
        (("GET", f"{API}/project/HID", 404), "missing_or_invisible"),
        (("PUT", f"{API}/issue/OPS-1/assignee", 401), "permission_missing"),
        (("POST", f"{API}/issue", 400), "permission_or_field"),
        (("DELETE", f"{API}/issue/OPS-1", 400), "bad_request"),
        (("POST", f"{API}/issue/OPS-1/attachments", 404), "attachment_refused"),
        (("GET", f"{API}/issue/createmeta", 404), "createmeta_removed"),
        (("POST", "/rest/webhooks/1.0/webhook", 404), "webhook_path"),
        (("POST", "/rest/webhooks/1.0/webhook", 403), "permission_missing"),
        (("POST", f"{API}/issue/OPS-1/attachments", 403, OK, "text/plain;charset=UTF-8"), "xsrf"),
        (("GET", "/rest/api/3/myself", 302, OK, "", "https://jira/login.jsp"), "no_such_resource"),
        (("GET", "/secure/attachment/1/a", 302, OK, "", "https://jira/login.jsp?x"), "file_login_page"),
        (("GET", "/x", 302, OK, "", "https://jira/y"), "redirected"),
        (("GET", f"{API}/search", 410), "gone"),
        (("GET", f"{API}/search", 429), "rate_limited"),
        (("GET", f"{API}/search", 503, None), "jira_unavailable"),
        (("GET", f"{API}/search", 418), "other"),
        (("GET", f"{API}/search", 200), "fine"),
        (("GET", f"{API}/project", 200, LoginVerdict.ANONYMOUS), "login_anonymous"),
        (("GET", f"{API}/issue/OPS-1", 401, LoginVerdict.LOGIN_REQUIRED), "login_login_required"),
        (("POST", f"{API}/issue", 403, LoginVerdict.CAPTCHA), "login_captcha"),
        (("GET", f"{API}/issue/OPS-1", 401, LoginVerdict.TOKEN_EXPIRED), "login_token_expired"),
    ],
)
def test_the_likely_cause(answer, slug):
    assert cause(*answer).cause == slug


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        (f"{API}/issue/OPS-1/comment", Subject("OPS", "OPS-1")),
        (f"{API}/issue/10042", Subject(None, "10042")),
        (f"{API}/project/HID/role", Subject("HID")),
        (f"{API}/issue/createmeta", Subject()),
        (f"{API}/issue", Subject()),
        ("/secure/attachment/1/a", Subject()),
    ],
)
def test_the_subject_of_a_path(path, subject):
    assert subject_of(path) == subject
