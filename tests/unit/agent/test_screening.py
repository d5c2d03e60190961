"""What is decided before a byte goes to Jira."""

import pytest
from pydantic import SecretStr

from agent.credentials import jira_credentials
from agent.policy import Policy
from agent.screening import Cleared, Refused, Screening
from agent.settings import AgentSettings
from tunnel.errors import ErrorCode
from tunnel.heads import NO_BODY, RequestHead

TARGETS = ("https://agent.corp/hooks/",)
HOOKS = b"/rest/webhooks/1.0/webhook"


def screening(*profiles, token="s3cret", context=b"/jira"):
    settings = AgentSettings(jira_token=SecretStr(token) if token else None)
    policy = Policy.from_profiles(profiles or ("read-only",))
    return Screening(policy, jira_credentials(settings), context, TARGETS, b"jira-agent/1")


def request(method=b"GET", target=b"/rest/api/2/myself", headers=(), login=b"agent", body=NO_BODY):
    meta = {} if login is None else {b"credentials": login}
    return RequestHead(method, target, list(headers), body, 1000, meta)


def cleared(head, **options):
    verdict = screening(**options).screen(head)
    assert isinstance(verdict, Cleared)
    return verdict


def refused(head, *profiles, **options):
    verdict = screening(*profiles, **options).screen(head)
    assert isinstance(verdict, Refused)
    return verdict


def test_the_raw_target_follows_the_context_path_unchanged():
    target = b"/rest/api/2/search?jql=summary%20~%20%22a%2Bb%22&fields=%5Bx%5D"

    assert cleared(request(target=target)).head.target == b"/jira" + target
    assert cleared(request(target=target), context=b"").head.target == target


def test_the_login_of_the_agent_is_the_last_header():
    head = cleared(request(headers=[(b"Accept", b"*/*"), (b"Authorization", b"Bearer stolen")])).head

    assert head.headers == [
        (b"Accept", b"*/*"),
        (b"User-Agent", b"jira-agent/1"),
        (b"Via", b"1.1 jira-tunnel"),
        (b"Authorization", b"Bearer s3cret"),
    ]
    assert head.host == b""


@pytest.mark.parametrize(
    "name",
    [
        b"Cookie",
        b"X-Forwarded-For",
        b"Remote-User",
        b"Origin",
        b"Referer",
        b"X-HTTP-Method-Override",
        b"Sec-Fetch-Site",
    ],
)
def test_headers_off_the_list_do_not_pass(name):
    names = {header[0] for header in cleared(request(headers=[(name, b"x")])).head.headers}

    assert name not in names


def test_a_login_stored_at_the_gateway_passes_and_the_agents_own_does_not():
    headers = [(b"Cookie", b"JSESSIONID=1"), (b"authorization", b"Basic Z3c=")]

    verdict = cleared(request(headers=headers, login=b"gateway"))

    assert (b"authorization", b"Basic Z3c=") in verdict.head.headers
    assert not any(value == b"Bearer s3cret" for _, value in verdict.head.headers)
    assert not any(name == b"Cookie" for name, _ in verdict.head.headers)
    assert not verdict.keeps_cookies


def test_the_callers_login_and_cookies_pass_only_with_callers_credentials():
    headers = [(b"Cookie", b"JSESSIONID=1"), (b"Authorization", b"Basic Z3c=")]

    verdict = cleared(request(headers=headers, login=b"caller"))

    assert verdict.head.headers[:2] == headers
    assert not any(value == b"Bearer s3cret" for _, value in verdict.head.headers)
    assert verdict.keeps_cookies


@pytest.mark.parametrize("login", [None, b"", b"root", b"AGENT"])
def test_an_unknown_kind_of_credentials_is_refused(login):
    assert refused(request(login=login)).code is ErrorCode.BAD_REQUEST


def test_a_gateway_login_that_is_missing_is_refused():
    assert refused(request(login=b"gateway")).code is ErrorCode.BAD_REQUEST


def test_without_a_login_of_its_own_the_agent_refuses_rather_than_ask_anonymously():
    verdict = refused(request(), token=None)

    assert verdict.code is ErrorCode.JIRA_LOGIN_REJECTED
    assert "JIRA_AGENT_JIRA_TOKEN" in verdict.detail


def test_the_policy_refuses_by_default():
    verdict = refused(request(b"DELETE", b"/rest/api/2/issue/OPS-1"))

    assert verdict.code is ErrorCode.POLICY_DENIED
    assert "policy" in verdict.detail


def test_a_refusal_names_its_rule():
    verdict = refused(request(b"GET", b"/rest/auth/1/session"))

    assert verdict.rule == "session-read"
    assert "session-read" in verdict.detail


@pytest.mark.parametrize("target", [b"/rest/api/2/..;/..;/secure/admin", b"//evil/x", b"/rest/%2e%2e/x", b"http://x/"])
def test_an_ambiguous_target_is_refused_before_the_policy(target):
    assert refused(request(target=target), "full-rest").code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "head",
    [
        request(headers=[(b"Authorization", b'OAuth oauth_signature="x"')], login=b"caller"),
        request(target=b"/rest/api/2/myself?oauth_signature=x", login=b"caller"),
    ],
)
def test_a_signature_over_the_url_is_refused_with_the_way_out(head):
    verdict = refused(head)

    assert verdict.code is ErrorCode.BAD_REQUEST
    assert "OAuth 1.0a" in verdict.detail


JSON = [(b"Content-Type", b"application/json; charset=UTF-8")]


def test_a_webhook_registration_is_cleared_only_for_a_check_of_its_body():
    head = request(b"POST", HOOKS, JSON, body=10)
    verdict = screening("webhooks").screen(head)

    assert isinstance(verdict, Cleared)
    assert verdict.needs_body_check


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"Content-Type", b"text/plain")],
        [(b"Content-Type", b"application/json;charset=utf-16")],
        [*JSON, (b"Content-Encoding", b"gzip")],
        [(b"Content-Type", b"application/xml"), *JSON],
        [*JSON, (b"content-type", b"application/xml")],
    ],
)
def test_a_registration_that_jira_might_read_otherwise_is_refused(headers):
    assert refused(request(b"POST", HOOKS, headers, body=10), "webhooks").code is ErrorCode.POLICY_DENIED


@pytest.mark.parametrize(
    ("method", "body", "may_pass"),
    [
        (b"POST", b'{"name":"n","url":"https://agent.corp/hooks/1"}', True),
        (b"PUT", b'{"url":"https://agent.corp/hooks/1"}', True),
        (b"PUT", b'{"enabled":false}', True),
        (b"POST", b'{"name":"n"}', False),
        (b"POST", b'{"url":"https://evil.example/hooks/"}', False),
        (b"POST", b'{"url":"https://agent.corp/hooks/../x"}', False),
        (b"POST", b'{"url":"https://agent.corp/hooks/1","url":"https://evil.example/"}', False),
        (b"POST", b"not json", False),
        (b"POST", b"", False),
    ],
)
def test_a_registration_may_only_name_the_administrators_targets(method, body, may_pass):
    verdict = screening("webhooks").check_registration(method, body)

    assert (verdict is None) is may_pass
