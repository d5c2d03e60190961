"""Webhook registrations: one url, read strictly, below an allowed prefix."""

import json

import pytest

from jira_api.webhook_registration import (
    MAX_REGISTRATION_BYTES,
    RegistrationRefused,
    is_target_prefix,
    registration_url,
    target_allowed,
)

PREFIXES = ("https://gw.example/hooks/", "http://10.0.0.5:9090/intake")


def test_the_top_level_url_is_found():
    assert registration_url(b'{"name":"n","url":"https://a/b","filters":{"url":"https://x"}}') == "https://a/b"
    assert registration_url(b'{"\\u0075rl":"https://a/b"}') == "https://a/b"
    assert registration_url(b'{"name":"n"}') is None
    assert registration_url(b'{"url":null}') is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"url"',
        b"{",
        b'{"url":1}',
        b'{"url":["https://a"]}',
        b'{"url":"https://a","url":"https://b"}',
        b'{"url":"https://a","URL":"https://b"}',
        b'{"url":"https://a","\\u0075rl":"https://b"}',
        b'{"a":{"b":1,"b":2},"url":"https://a"}',
        b'{"url":"https://a"} {"url":"https://b"}',
        b'{"url":"https://a","n":NaN}',
        b'{"url":"https://a","n":-Infinity}',
        b'\xef\xbb\xbf{"url":"https://a"}',
        b'{"url":"https://a\xff"}',
        '{"url":"https://a"}'.encode("utf-16"),
        '{"url":"https://a"}'.encode("utf-16-le"),
        b"url=https://a",
        b'{"url":"https://a",}',
        b"{'url':'https://a'}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"url":"https://a","x":"' + b"x" * MAX_REGISTRATION_BYTES + b'"}',
    ],
)
def test_bodies_that_two_parsers_could_read_differently_are_refused(body):
    with pytest.raises(RegistrationRefused) as refusal:
        registration_url(body)
    assert refusal.value.reason.startswith("a webhook registration ")


@pytest.mark.parametrize(
    "url",
    [
        "https://gw.example/hooks/abc",
        "https://GW.example:443/hooks/abc?x=${issue.key}",
        "https://gw.example/hooks/",
        "http://10.0.0.5:9090/intake",
        "http://10.0.0.5:9090/intake/x",
        "http://10.0.0.5:9090/intake?x=1",
    ],
)
def test_urls_below_a_prefix_are_allowed(url):
    assert target_allowed(url, PREFIXES)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gw.example/hooks/x",
        "http://gw.example/hooks/x",
        "https://gw.example:8443/hooks/x",
        "https://gw.example/hooks",
        "https://gw.example/hooksx/",
        "https://gw.example/Hooks/x",
        "https://gw.example.evil/hooks/x",
        "https://gw.example@evil/hooks/x",
        "https://evil@gw.example/hooks/x",
        "https://gw.example:443@evil/hooks/x",
        "https://gw.example\\@evil/hooks/x",
        "https://evil\\gw.example/hooks/x",
        "https://gw.example/hooks/../admin",
        "https://gw.example/hooks/..",
        "https://gw.example/hooks/%2e%2e/admin",
        "https://gw.example/hooks/.%2E/admin",
        "https://gw.example/hooks/..;/admin",
        "https://gw.example/hooks/..%2fadmin",
        "https://gw.example/hooks/%5c..",
        "https://gw.example/hooks/%252e%252e/admin",
        "https://gw.example/hooks//x",
        "https://gw.example/hooks/x#y",
        "https://gw.example/hooks/x y",
        "https://gw.example/hooks/x\n",
        "https://gw.example/hooks/é",
        "https://gw.example./hooks/x",
        "https://\uff47w.example/hooks/x",
        "https://gw.example/x?/hooks/",
        "https:gw.example/hooks/x",
        "https:///gw.example/hooks/x",
        "//gw.example/hooks/x",
        "javascript://gw.example/hooks/x",
        "http://10.0.0.5:9090/intakes",
        "http://10.0.0.5:99999/intake",
        "http://10.0.0.5:0/intake",
        "http://10.0.0.5/intake",
        "http://167772165:9090/intake",
        " https://gw.example/hooks/x",
        "${issue.key}https://gw.example/hooks/x",
    ],
)
def test_other_urls_are_not(url):
    assert not target_allowed(url, PREFIXES)


def test_a_prefix_must_be_a_plain_url_and_none_allows_nothing():
    assert is_target_prefix("https://gw.example/hooks/")
    assert not any(
        map(is_target_prefix, ["", "*", "https://", "https://a/b?c", "https://u@a/", "https://a/../b", "ftp://a"])
    )
    assert not target_allowed("https://gw.example/hooks/x", ["*", "https://gw.example/hooks/?"])
    assert not target_allowed("https://gw.example/hooks/x", [])


def test_a_registration_as_jira_documents_it_passes_both_steps():
    body = json.dumps(
        {"name": "x", "url": "https://gw.example/hooks/1?a={issue.key}", "events": ["jira:issue_updated"]}
    )
    url = registration_url(body.encode())
    assert url is not None
    assert target_allowed(url, PREFIXES)
