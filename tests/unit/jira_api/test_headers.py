"""Which headers pass, in which direction, with whose login."""

import pytest

from jira_api.headers import is_oauth1, request_headers, response_headers, rewrite_set_cookie


def test_only_listed_request_headers_reach_jira_with_case_order_and_repeats_kept():
    sent = [
        (b"ACCEPT", b"*/*"), (b"Accept", b"text/html"), (b"X-Atlassian-Token", b"no-check"), (b"If-Match", b'"1"'),
        (b"Content-Type", b"application/json"), (b"traceparent", b"00-1-2-01"),
    ]  # fmt: skip
    refused = [
        b"User-Agent", b"Origin", b"Referer", b"Sec-Fetch-Mode", b"X-Forwarded-For", b"X-Forwarded-User", b"Forwarded",
        b"Remote-User", b"REMOTE_USER", b"X-Original-URL", b"X-Rewrite-URL", b"X-HTTP-Method-Override", b"X-HTTP-Method",
        b"X-Method-Override", b"Host", b"Connection", b"Transfer-Encoding", b"Content-Length", b"Content_Type", b"TE",
        b"Tunnel-Timeout", b"Tunnel-Authorization", b"X-Request-ID", b"Via", b"Expect", b"Upgrade", b"Proxy-Authorization",
        b"Authorization", b"Cookie", b"X-SSO-User", b"Seraph-User",
    ]  # fmt: skip
    mixed = [(name, b"x") for name in refused[:15]] + sent + [(name, b"x") for name in refused[15:]]
    assert request_headers(mixed, caller_credentials=False) == sent


def test_the_callers_login_passes_only_when_the_connection_says_so():
    headers = [(b"Authorization", b"Basic x"), (b"cookie", b"JSESSIONID=1")]
    assert request_headers(headers, caller_credentials=True) == headers
    assert request_headers(headers, caller_credentials=False) == []


def test_answers_keep_everything_but_hop_headers_and_forgeries_of_ours():
    kept = [
        (b"X-AUSERNAME", b"bot"), (b"X-Seraph-LoginReason", b"OK"), (b"ETag", b'"1"'), (b"Retry-After", b"0"),
        (b"Content-Type", b"application/json;charset=UTF-8"), (b"Vary", b"User-Agent"), (b"Date", b"today"),
        (b"WWW-Authenticate", b'OAuth realm="x"'), (b"Content-Disposition", b"attachment"),
    ]  # fmt: skip
    refused = [
        b"Connection", b"Keep-Alive", b"Transfer-Encoding", b"Content-Length", b"Upgrade", b"Trailer", b"Tunnel-Error",
        b"TUNNEL-Anything", b"X-Request-Id", b"Server-Timing", b"Alt-Svc", b"Set-Cookie", b"Set-Cookie2",
    ]  # fmt: skip
    answer = [(name, b"x") for name in refused] + kept
    assert response_headers(answer, caller_credentials=False) == kept
    assert response_headers(answer, caller_credentials=True) == [(b"Set-Cookie", b"x"), (b"Set-Cookie2", b"x"), *kept]


@pytest.mark.parametrize(
    ("authorization", "query", "signed"),
    [
        (b'OAuth oauth_consumer_key="k"', b"", True),
        (b"oauth\tx", b"", True),
        (b" OAUTH", b"", True),
        (b"Bearer OAuth", b"", False),
        (b"OAuth2 x", b"", False),
        (None, b"a=1&oauth_signature=x%3D", True),
        (None, b"jql=oauth_signature=1", False),
        (None, b"", False),
    ],
)
def test_oauth1_signatures_are_recognised(authorization, query, signed):
    assert is_oauth1(authorization, query) is signed


@pytest.mark.parametrize(
    ("value", "context", "public", "expected"),
    [
        (b"JSESSIONID=A; Path=/jira; HttpOnly", b"/jira", b"/jira/ops", b"JSESSIONID=A; Path=/jira/ops; HttpOnly"),
        (b"a=b; path=/jira/secure", b"/jira", b"", b"a=b; path=/secure"),
        (b"a=b; Path=/jira", b"/jira", b"", b"a=b; Path=/"),
        (b"a=b; Path=/; Secure", b"", b"/jira/ops", b"a=b; Path=/jira/ops/; Secure"),
        (b"a=b; Path=/; Secure", b"/jira", b"/jira/ops", b"a=b; Path=/jira/ops; Secure"),
        (b"a=b; Path=/", b"/jira", b"", b"a=b; Path=/"),
        (b"a=b; Path=/jirax", b"/jira", b"/jira/ops", b"a=b"),
        (b"a=b; Domain=.corp.example; DOMAIN=x", b"/jira", b"", b"a=b"),
        (b'a="x Path=/jira"; Max-Age=1;SameSite=Lax', b"/jira", b"/p", b'a="x Path=/jira"; Max-Age=1;SameSite=Lax'),
        (b"a=b; Path", b"/jira", b"/p", b"a=b; Path"),
    ],
)
def test_cookies_move_to_our_address(value, context, public, expected):
    assert rewrite_set_cookie(value, context, public) == expected
