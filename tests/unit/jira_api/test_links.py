"""Link rewriting by example; tests/properties/test_links.py has the general statement."""

import json

import pytest

from jira_api.links import LinkRewriter

JIRA = b"https://jira.corp.example/jira"
REWRITER = LinkRewriter([JIRA, b"http://10.0.0.7:8080/jira"], b"https://gw.example/jira/ops")


def rewrite(text, path=""):
    stream = REWRITER.stream(b"", path)
    return (stream.feed(text.encode()) + stream.finish()).decode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"https://jira.corp.example/jira/login.jsp?a=b", b"https://gw.example/jira/ops/login.jsp?a=b"),
        (b"HTTPS://JIRA.corp.example:443/jira", b"https://gw.example/jira/ops"),
        (b"http://10.0.0.7:8080/jira?x", b"https://gw.example/jira/ops?x"),
        (b"https://jira.corp.example/jirax", b"https://jira.corp.example/jirax"),
        (b"https://jira.corp.example/", b"https://jira.corp.example/"),
        (b"https://jira.corp.example:8443/jira", b"https://jira.corp.example:8443/jira"),
        (b"https://jira.corp.example@evil/jira", b"https://jira.corp.example@evil/jira"),
        (
            b"https://idp.example/?r=https://jira.corp.example/jira",
            b"https://idp.example/?r=https://jira.corp.example/jira",
        ),
        (b"/jira/login.jsp", b"https://gw.example/jira/ops/login.jsp"),
        (b"/other", b"/other"),
        (b"//evil.example/jira", b"//evil.example/jira"),
        (b"login.jsp", b"login.jsp"),
        (b"", b""),
    ],
)
def test_locations(value, expected):
    assert REWRITER.rewrite_location(value) == expected


def test_a_jira_without_context_path_keeps_its_whole_path():
    rewriter = LinkRewriter([b"https://jira.example"], b"https://gw.example/jira/ops/")
    assert rewriter.rewrite_location(b"/login.jsp") == b"https://gw.example/jira/ops/login.jsp"
    assert rewriter.rewrite_location(b"//evil") == b"//evil"
    assert rewriter.rewrite_location(b"/\\evil") == b"/\\evil"
    assert rewriter.rewrite_location(b"https://jira.example.evil/") == b"https://jira.example.evil/"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"self":"https://jira.corp.example/jira/x"}', '{"self":"https://gw.example/jira/ops/x"}'),
        ('{"self": "http://10.0.0.7:8080/jira?x"}', '{"self": "https://gw.example/jira/ops?x"}'),
        ('{"baseUrl" : "https://Jira.corp.example:443/jira"}', '{"baseUrl" : "https://gw.example/jira/ops"}'),
        ('{"48x48":"https:\\/\\/jira.corp.example\\/jira\\/a"}', '{"48x48":"https://gw.example/jira/ops\\/a"}'),
    ],
)
def test_link_keys_are_rewritten(text, expected):
    assert rewrite(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"url":"https://jira.corp.example/jira/x"}',
        '{"description":"https://jira.corp.example/jira/x"}',
        '{"body":"see {\\"self\\":\\"https://jira.corp.example/jira/x\\"}"}',
        '{"body":" \\"self\\":\\"https://jira.corp.example/jira/x"}',
        '{"a\\"self":"https://jira.corp.example/jira/x"}',
        '{"self":"https://jira.corp.example/jirax"}',
        '{"self":"https://jira.corp.example/"}',
        '{"self":" https://jira.corp.example/jira/"}',
        '["self","https://jira.corp.example/jira/x"]',
        '{"self":["https://jira.corp.example/jira/x"]}',
    ],
)
def test_everything_else_is_not(text):
    assert rewrite(text) == text


def test_role_links_are_rewritten_in_answers_about_a_project_only():
    text = (
        '{"Administrators":"https://jira.corp.example/jira/rest/api/2/project/10100/role/10002",'
        '"a \\"b\\"":"https://jira.corp.example/jira/rest/api/2/project/OPS/role/7",'
        '"description":"https://jira.corp.example/jira/rest/api/2/project/10100/role/10002",'
        '"other":"https://jira.corp.example/jira/rest/api/2/project/10100"}'
    )
    rewritten = json.loads(rewrite(text, "/rest/api/2/project/OPS/role"))
    assert rewritten["Administrators"] == "https://gw.example/jira/ops/rest/api/2/project/10100/role/10002"
    assert rewritten['a "b"'] == "https://gw.example/jira/ops/rest/api/2/project/OPS/role/7"
    assert rewritten["description"].startswith("https://jira.corp.example/")
    assert rewritten["other"].startswith("https://jira.corp.example/")
    assert rewrite(text, "/rest/api/2/project/OPS/") != text
    assert rewrite(text, "/rest/api/2/search") == text


def test_role_links_survive_every_cut():
    link = b'":"https://jira.corp.example/jira/rest/api/2/project/10100/role/10002","'
    body = b'{"R' + link + b"description" + link + b'x":"' + b"y" * 600 + b'"}'
    whole = REWRITER.stream(b"", "/rest/api/2/project/OPS/role")
    expected = whole.feed(body) + whole.finish()
    assert expected.count(b"gw.example") == expected.count(b"corp.example") == 1
    for cut in range(len(body)):
        stream = REWRITER.stream(b"", "/rest/api/2/project/OPS/role")
        assert stream.feed(body[:cut]) + stream.feed(body[cut:]) + stream.finish() == expected


def test_what_is_held_back_is_bounded():
    stream = REWRITER.stream(b"")
    sent = sum(len(stream.feed(b'"' * 1000)) for _ in range(50))
    assert 50_000 - sent < 400


def test_a_long_hostile_body_takes_linear_time():
    for filler in (b'"http', b'"self":"http', b'{"self":"https://jira.corp.example/jir', b'"', b" ", b'":"http'):
        stream = REWRITER.stream(b"", "/rest/api/2/project/OPS")
        body = filler * (2_000_000 // len(filler))
        assert len(stream.feed(body) + stream.finish()) == len(body)


@pytest.mark.parametrize("replacement", [b"", b"/jira", b"https://", b'https://a"b', b"https://a b", b"https://a\\b"])
def test_a_replacement_must_be_a_url_that_needs_no_escaping(replacement):
    with pytest.raises(ValueError, match="no base URL"):
        LinkRewriter([JIRA], replacement)


@pytest.mark.parametrize("origins", [[], [b""], [b"jira.corp.example"], [b"https://a\nb", b"https://[", b"\xff"]])
def test_without_a_usable_origin_nothing_is_rewritten(origins):
    stream = LinkRewriter(origins, b"https://gw.example").stream(b"")
    body = b'{"self":"https://jira.corp.example/jira/x"}'
    assert stream.feed(body) + stream.finish() == body
