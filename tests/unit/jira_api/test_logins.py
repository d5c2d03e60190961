"""What became of a login: every situation of the fixtures, and the ones that must not be mistaken for it."""

import pytest

from jira_api.logins import ADVICE, BY_SLUG, LoginVerdict, classify_login
from tests.support.fake_jira.profiles import fixture

ISSUE = "/rest/api/2/issue/OPS-42"
HTML = (b"Content-Type", b"text/html;charset=UTF-8")
JSON = (b"Content-Type", b"application/json;charset=UTF-8")
ME = (b"X-AUSERNAME", b"svc.bridge")
NOBODY = (b"X-AUSERNAME", b"anonymous")
CHALLENGE = (b"WWW-Authenticate", b'OAuth realm="https%3A%2F%2Fjira"')


def situation(name, *more):
    entry = fixture("errors", "https://jira.corp.example/jira")[name]
    headers = [(key.encode(), value.encode()) for key, value in entry["headers"].items()]
    return entry["status"], [*headers, *more]


@pytest.mark.parametrize(
    ("name", "more", "scheme", "verdict"),
    [
        ("wrong-password", (), b"basic", LoginVerdict.WRONG_PASSWORD),
        ("captcha-required", (), b"basic", LoginVerdict.CAPTCHA),
        ("failed-login-served-as-anonymous", (), b"basic", LoginVerdict.REFUSED_BUT_SERVED),
        ("no-application-access", (NOBODY,), b"basic", LoginVerdict.NO_APPLICATION_ACCESS),
        ("basic-disabled", (NOBODY,), b"basic", LoginVerdict.BASIC_DISABLED),
        ("basic-disabled", (NOBODY,), None, LoginVerdict.BASIC_DISABLED),
        ("anonymous-needs-login", (), b"bearer", LoginVerdict.TOKEN_EXPIRED),
        ("anonymous-needs-login", (NOBODY,), b"bearer", LoginVerdict.TOKEN_EXPIRED),
        ("anonymous-needs-login", (), b"", LoginVerdict.LOGIN_REQUIRED),
        ("anonymous-needs-login", (), None, LoginVerdict.LOGIN_REQUIRED),
        ("sso-login-page", (), None, LoginVerdict.SSO_PAGE),
        ("issue-invisible-anonymous", (NOBODY,), b"", LoginVerdict.LOGIN_REQUIRED),
    ],
)
def test_every_way_a_login_can_fail_is_told(name, more, scheme, verdict):
    status, headers = situation(name, *more)
    assert classify_login(status, headers, ISSUE, scheme) is verdict


@pytest.mark.parametrize(
    "name",
    ["assign-denied", "link-denied", "watcher-denied", "issue-invisible-server", "xsrf-missing-token", "issue-missing",
     "attach-denied", "permissionscheme-not-admin", "rate-limited", "starting-up"],
)  # fmt: skip
def test_a_missing_permission_is_no_failed_login(name):
    status, headers = situation(name, ME)
    assert classify_login(status, headers, ISSUE, b"basic") is LoginVerdict.OK


def test_unknown_paths_of_jira_9_are_no_failed_login():
    status, headers = situation("unknown-rest-path-9")
    assert classify_login(status, headers, "/rest/api/3/myself", b"basic") is LoginVerdict.OK


def test_a_file_behind_the_login_page_wants_a_login():
    status, headers = situation("pat-on-attachment-download")
    assert classify_login(status, headers, "/secure/attachment/1/a.csv", b"bearer") is LoginVerdict.LOGIN_REQUIRED


@pytest.mark.parametrize("name", [b"X-AUSERNAME", b"x-ausername", b"X-AAccountId"])
def test_whom_jira_names_has_logged_in(name):
    assert classify_login(200, [JSON, (name, b"svc.bridge")], ISSUE) is LoginVerdict.OK
    assert classify_login(200, [(b"X-Seraph-LoginReason", b"OK")], ISSUE) is LoginVerdict.OK


def test_nobody_is_anonymous_whatever_the_status_says():
    assert classify_login(200, [JSON, NOBODY], "/rest/api/2/project") is LoginVerdict.ANONYMOUS
    assert classify_login(404, [JSON, NOBODY], ISSUE) is LoginVerdict.ANONYMOUS
    assert classify_login(503, [HTML, NOBODY], ISSUE) is None


def test_an_answer_without_a_sign_says_nothing():
    assert classify_login(200, [JSON], ISSUE) is None
    assert classify_login(403, [JSON], ISSUE) is None
    assert classify_login(502, [HTML], ISSUE) is None
    assert classify_login(401, [(b"X-AREQUESTID", b"1x2x3")], ISSUE) is None


def test_the_page_of_a_failed_login_is_known_without_its_reason():
    assert classify_login(401, [HTML, CHALLENGE], ISSUE, b"basic") is LoginVerdict.WRONG_PASSWORD


def test_a_user_who_came_in_by_another_filter_was_not_refused():
    headers = [(b"X-Seraph-LoginReason", b"AUTHENTICATED_FAILED"), ME]
    assert classify_login(200, headers, ISSUE) is LoginVerdict.OK


@pytest.mark.parametrize(
    ("status", "headers", "path", "verdict"),
    [
        (302, [(b"Location", b"https://sso.corp.example/saml?x=1")], ISSUE, LoginVerdict.SSO_PAGE),
        (302, [(b"Location", b"https://sso.corp.example/login")], ISSUE, LoginVerdict.SSO_PAGE),
        (303, [(b"Location", b"https://media.example/f")], "/rest/api/3/attachment/content/1", None),
        (302, [(b"Location", b"https://x/y"), (b"X-AREQUESTID", b"1")], ISSUE, None),
        (304, [(b"ETag", b'"1"')], ISSUE, None),
        (200, [HTML], "/secure/attachment/1/page.html", None),
        (200, [HTML, ME], "/rest/gadgets/1.0/g", LoginVerdict.OK),
    ],
)
def test_a_front_door_is_told_from_jira(status, headers, path, verdict):
    assert classify_login(status, headers, path) is verdict


def test_what_must_not_be_tried_again_is_marked():
    refusals = {verdict for verdict in LoginVerdict if verdict.is_refusal}
    assert refusals == {
        LoginVerdict.WRONG_PASSWORD, LoginVerdict.CAPTCHA, LoginVerdict.REFUSED_BUT_SERVED, LoginVerdict.TOKEN_EXPIRED,
    }  # fmt: skip


def test_every_verdict_has_advice_and_comes_back_from_its_slug():
    for verdict in LoginVerdict:
        assert ADVICE[verdict].meaning
        assert BY_SLUG[verdict.slug].slug == verdict.slug
    assert BY_SLUG["anonymous"] is LoginVerdict.ANONYMOUS
