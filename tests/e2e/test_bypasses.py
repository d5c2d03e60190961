"""No ambiguous path reaches anything that the policy does not allow, and what real clients send arrives byte for byte.

Sent raw through both programs, judged by what the stand-in Jira (with Tomcat's own mapping) says it served.
"""

import pytest

from tests.support.callers import all_at_once, ask, basic, bearer, say
from tests.support.targets import bypass_requests, legitimate_targets

ALLOWED = (
    "/rest/api/2", "/rest/api/3", "/rest/api/latest", "/rest/agile/1.0", "/rest/servicedeskapi", "/secure/attachment",
    "/secure/thumbnail", "/secure/attachmentzip", "/secure/useravatar",
)  # fmt: skip
FORBIDDEN = ("/rest/pat", "/rest/plugins", "/rest/scriptrunner", "/rest/oauth2", "/rest/auth")


def is_within_policy(path):
    """Whether what Jira mapped a request to is something that full-rest allows."""
    allowed = any(path == prefix or path.startswith(prefix + "/") for prefix in ALLOWED)
    never = any(path.startswith(prefix) for prefix in FORBIDDEN) or path.rstrip("/").endswith("/password")
    return allowed and not never and ".." not in path


def send_raw(site, method, target, prefix=b"/jira/hq", host=b"localhost"):
    head = b"%b %b%b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\nConnection: close\r\n\r\n"
    return say(site.stack.api_port, head % (method, prefix, target, host, site.token.encode()))


def test_the_lists_are_as_long_as_promised():
    assert len(legitimate_targets()) >= 300
    assert len(bypass_requests()) >= 200


@pytest.mark.parametrize("addressing", ["path", "host"])
def test_no_bypass_reaches_anything_outside_the_policy(fresh, addressing):
    prefix, host = (b"/jira/hq", b"localhost") if addressing == "path" else (b"/jira", b"hq.localhost")
    requests = bypass_requests()

    answers = all_at_once(lambda pair: send_raw(fresh, *pair, prefix=prefix, host=host), requests, 8)

    for request, replies in zip(requests, answers, strict=True):
        assert replies, f"{request} was not answered"
        for reply in replies:
            assert reply.error or reply.status == 404, f"{request} was answered by Jira: {reply}"
            assert reply.status in {400, 403, 404, 405}, f"{request}: {reply}"
    reached = [seen["mapped_path"] or seen["raw_head"] for seen in fresh.jira.requests()]
    assert [path for path in reached if not is_within_policy(path)] == []
    assert fresh.all_run()


def test_no_bypass_by_host_without_the_context_path_either(fresh):
    requests = bypass_requests()

    all_at_once(lambda pair: send_raw(fresh, *pair, prefix=b"", host=b"hq.localhost"), requests, 8)

    reached = [seen["mapped_path"] or seen["raw_head"] for seen in fresh.jira.requests()]
    assert [path for path in reached if not is_within_policy(path)] == []


def test_300_legitimate_targets_arrive_byte_for_byte(fresh):
    targets = legitimate_targets()
    wanted = sorted(b"/jira" + target for target in targets)

    def send(target):
        reply = fresh.ask("GET", target)
        assert not reply.error, f"{target!r}: {reply}"
        assert reply.whole, f"{target!r}: {reply}"

    all_at_once(send, targets, 8)

    assert sorted(seen["target"].encode("latin-1") for seen in fresh.jira.requests()) == wanted


def test_legitimate_targets_by_host_with_the_context_path_arrive_byte_for_byte(fresh):
    targets = legitimate_targets()
    url = f"{fresh.stack.url}/jira"
    headers = [("Host", f"hq.localhost:{fresh.stack.api_port}"), bearer(fresh.token)]

    replies = all_at_once(lambda target: ask(url, "GET", target, None, headers), targets, 8)

    assert [reply.error for reply in replies if reply.error] == []
    seen = sorted(seen["target"].encode("latin-1") for seen in fresh.jira.requests())
    assert seen == sorted(b"/jira" + target for target in targets)


def test_a_header_never_changes_where_a_request_goes(fresh):
    headers = [
        ("X-Original-URL", "/secure/admin"), ("X-Rewrite-URL", "/secure/admin"), ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/secure"), ("X-HTTP-Method-Override", "DELETE"), ("Forwarded", "host=evil.example"),
    ]  # fmt: skip

    reply = fresh.ask("GET", "/rest/api/2/test/echo", headers=headers)

    assert reply.status == 200
    sent = {name.lower() for name, _ in reply.json()["headers"]}
    assert not sent & {"x-original-url", "x-rewrite-url", "x-http-method-override", "x-forwarded-host", "forwarded"}


def test_basic_with_the_token_as_password_reaches_jira_as_the_service_account(fresh):
    reply = ask(fresh.url, "GET", "/rest/api/2/myself", None, [basic("anyone", fresh.token)])

    assert reply.json()["name"] == "svc.bridge"
    [seen] = fresh.jira.requests("/rest/api/2/myself")
    assert fresh.token not in seen["raw_head"]
