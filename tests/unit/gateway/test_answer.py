"""Jira's answer on its way to the caller: headers, links, cookies, times."""

import gzip
from types import SimpleNamespace

import pytest

from gateway.admission import Admission
from gateway.answer import AnswerRules
from gateway.directory import ConnectionEntry, TokenGrant
from gateway.registry import Registry
from gateway.store import Credentials
from http1.target import parse_target
from tests.support.fake_link import agent_link
from tunnel.heads import NO_BODY, STREAMED, ResponseHead

JSON = (b"Content-Type", b"application/json;charset=UTF-8")
BASE = "https://jira.corp.example/jira"
GRANT = TokenGrant("ci", frozenset({"hq"}), frozenset(), False, None, None)


def make(
    credentials=Credentials.AGENT, *, by_host=False, rewrite=True, path=b"/rest/api/2/issue/A-1", headers=(), link=None
):
    """Return the rules and one answered request."""
    registry = Registry()
    if link is None:
        link = agent_link(jira_url=b"http://10.0.0.5:8080/jira", jira_base_url=BASE.encode(), context_path=b"/jira")
    registry.add(link)
    rules = AnswerRules(registry, b"https://gw.example:8443", b"gw.example")
    route = ConnectionEntry("hq", "hq", None, credentials, None, rewrite, 60.0)
    admission = Admission(route, GRANT, parse_target(path), list(headers), 60.0, by_host)
    request = SimpleNamespace(admission=admission, request_id="r-1", started_at=10.0, answered_at=10.5, link=link)
    return rules, request


def begin(head, **options):
    rules, request = make(**options)
    return rules.begin(request, head)


def rewritten(answer, body):
    return answer.links.feed(body) + answer.links.finish()


@pytest.mark.parametrize(
    ("by_host", "public"), [(False, b"https://gw.example:8443/jira/hq"), (True, b"https://hq.gw.example:8443/jira")]
)
@pytest.mark.parametrize("origin", [BASE.encode(), b"http://10.0.0.5:8080/jira"])
def test_both_addresses_of_jira_become_ours(by_host, public, origin):
    answer = begin(ResponseHead(200, [JSON, (b"Location", origin + b"/x")], 100), by_host=by_host)

    assert (b"Location", public + b"/x") in answer.headers
    assert rewritten(answer, b'{"self":"%b/rest/x"}' % origin) == b'{"self":"%b/rest/x"}' % public
    assert answer.body == STREAMED


def test_a_gzip_coded_body_is_read_and_coded_again():
    answer = begin(ResponseHead(200, [JSON, (b"Content-Encoding", b"gzip")], 100))
    body = gzip.compress(b'{"self":"%b/x"}' % BASE.encode())
    assert gzip.decompress(rewritten(answer, body)) == b'{"self":"https://gw.example:8443/jira/hq/x"}'


@pytest.mark.parametrize(
    ("status", "headers", "path"),
    [
        (200, [(b"Content-Type", b"text/html")], b"/rest/x"),
        (200, [], b"/rest/x"),
        (200, [JSON, (b"Content-Encoding", b"br")], b"/rest/x"),
        (206, [JSON], b"/rest/x"),
        (304, [JSON], b"/rest/x"),
        (200, [JSON], b"/secure/attachment/1/a.json"),
    ],
)
def test_other_bodies_pass_as_they_are(status, headers, path):
    answer = begin(ResponseHead(status, headers, 100), path=path)
    assert (answer.links, answer.body) == (None, 100)


@pytest.mark.parametrize("body", [NO_BODY, 0])
def test_an_answer_without_a_body_keeps_its_framing(body):
    assert begin(ResponseHead(200, [JSON], body)).body == body


def test_a_connection_that_leaves_links_alone_changes_neither_body_nor_location():
    answer = begin(ResponseHead(302, [JSON, (b"Location", BASE.encode())], 7), rewrite=False)
    assert (answer.links, answer.body) == (None, 7)
    assert (b"Location", BASE.encode()) in answer.headers


def test_an_agent_that_has_announced_nothing_gets_its_links_left_alone():
    answer = begin(ResponseHead(200, [JSON], 7), link=agent_link())
    assert (answer.links, answer.body) == (None, 7)


@pytest.mark.parametrize("credentials", [Credentials.AGENT, Credentials.GATEWAY])
def test_cookies_pass_only_with_the_callers_own_login(credentials):
    head = ResponseHead(200, [(b"Set-Cookie", b"a=b; Path=/jira")], 0)
    assert b"Set-Cookie" not in dict(begin(head, credentials=credentials).headers)


@pytest.mark.parametrize("rewrite", [True, False])
@pytest.mark.parametrize(("by_host", "path"), [(False, b"/jira/hq"), (True, b"/jira")])
def test_the_callers_cookies_are_those_of_our_address(rewrite, by_host, path):
    head = ResponseHead(200, [(b"Set-Cookie", b"a=b; Path=/jira; Domain=corp.example; HttpOnly")], 0)
    answer = begin(head, credentials=Credentials.CALLER, rewrite=rewrite, by_host=by_host)
    assert dict(answer.headers)[b"Set-Cookie"] == b"a=b; Path=" + path + b"; HttpOnly"


def test_jira_cannot_forge_our_headers():
    forged = [(name, b"x") for name in (b"Tunnel-Error", b"tunnel-processed", b"X-Request-Id", b"Server-Timing")]
    headers = begin(ResponseHead(200, forged, 0)).headers
    assert [name for name, _ in headers] == [b"X-Request-ID", b"Server-Timing"]
    assert headers[0] == (b"X-Request-ID", b"r-1")


@pytest.mark.parametrize(
    ("meta", "tunnel", "jira"),
    [
        ({b"jira-us": b"300000"}, b"200.00", b"300.00"),
        ({}, b"500.00", b"0.00"),
        ({b"jira-us": b"x"}, b"500.00", b"0.00"),
        ({b"jira-us": b"9" * 40}, b"500.00", b"0.00"),
        ({b"jira-us": b"900000"}, b"0.00", b"900.00"),
        ({b"jira-us": b"-5"}, b"500.00", b"0.00"),
    ],
)
def test_server_timing_says_where_the_time_went(meta, tunnel, jira):
    value = dict(begin(ResponseHead(200, [], 0, meta)).headers)[b"Server-Timing"]
    assert value.endswith(b"tunnel;dur=%b, jira;dur=%b" % (tunnel, jira))


def test_a_request_asks_only_for_what_can_be_rewritten():
    headers = [(b"Accept-Encoding", b"br, gzip"), (b"If-Match", b'W/"1"'), (b"Accept", b"a")]
    rules, request = make(headers=headers)
    assert rules.request_headers(request.admission) == [
        (b"Accept-Encoding", b"gzip"),
        (b"If-Match", b'"1"'),
        (b"Accept", b"a"),
    ]


def test_without_rewriting_the_request_asks_for_what_the_caller_did():
    headers = [(b"Accept-Encoding", b"br")]
    rules, request = make(headers=headers, rewrite=False)
    assert rules.request_headers(request.admission) == headers


def test_news_of_the_agent_count_for_the_next_answer():
    rules, request = make()
    head = ResponseHead(302, [(b"Location", b"https://new.example/x")], 0)
    assert (b"Location", b"https://new.example/x") in rules.begin(request, head).headers
    request.link.announce({b"jira-base-url": b"https://new.example"})
    assert (b"Location", b"https://gw.example:8443/jira/hq/x") in rules.begin(request, head).headers


@pytest.mark.parametrize(
    ("meta", "shown"),
    [
        ({b"jira-login": b"wrong_password"}, [b"wrong_password"]),
        ({b"jira-login": b"made up\r\nX: y"}, []),
        ({}, []),
    ],
)
def test_the_verdict_on_the_login_is_told_and_jiras_own_word_for_it_is_not(meta, shown):
    answer = begin(ResponseHead(401, [(b"Tunnel-Jira-Login", b"ok")], 0, meta))

    assert [value for name, value in answer.headers if name.lower() == b"tunnel-jira-login"] == shown
