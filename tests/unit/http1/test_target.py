"""The canonicaliser: what it reads, what it refuses, and why."""

import pytest

from http1.target import AmbiguousTarget, Target, parse_target
from tests.support.targets import legitimate_targets


def test_a_plain_target_is_read_without_changing_a_byte():
    target = parse_target(b"/rest/api/2/search?jql=a%20b&x=[1]")
    assert target == Target(
        raw=b"/rest/api/2/search?jql=a%20b&x=[1]",
        raw_path=b"/rest/api/2/search",
        path="/rest/api/2/search",
        segments=("rest", "api", "2", "search"),
        query=b"jql=a%20b&x=[1]",
    )


def test_escapes_are_decoded_once_and_only_for_comparison():
    target = parse_target(b"/secure/attachment/1/caf%C3%A9%20%26%20co%3F.txt")
    assert target.segments[-1] == "café & co?.txt"
    assert target.raw_path == b"/secure/attachment/1/caf%C3%A9%20%26%20co%3F.txt"


def test_one_trailing_slash_adds_no_segment():
    assert parse_target(b"/rest/api/2/").segments == ("rest", "api", "2")
    assert parse_target(b"/a%20b/").segments == ("a b",)
    assert parse_target(b"/a%20b/").path == "/a b/"
    assert parse_target(b"/").segments == ()


def test_an_empty_query_and_none_are_the_same():
    assert parse_target(b"/a?").query == parse_target(b"/a").query == b""
    assert parse_target(b"/a?").raw == b"/a?"


@pytest.mark.parametrize("raw", [b"/a?\"<>[]{}|\\^`'", b"/a?b?c/d//e/../f", b"/a?%zz%", b"/a?%00%0d%0a"])
def test_raw_jql_in_the_query_is_jiras_business(raw):
    assert parse_target(raw).raw == raw


@pytest.mark.parametrize(
    "name", [b"...", b"..x", b"x..", b".x", b"a:b", b"[1]", b"a|b", b"100%25", b"5%25%20off", b"~"]
)
def test_unusual_names_pass(name):
    assert parse_target(b"/a/" + name).raw_path == b"/a/" + name


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the path does not begin with a slash"),
        (b"*", "the path does not begin with a slash"),
        (b"http://jira/x", "the path does not begin with a slash"),
        (b"//x", "an empty path segment"),
        (b"/x//", "an empty path segment"),
        (b"/a/../b", "a dot segment"),
        (b"/a/.", "a dot segment"),
        (b"/a/%2e%2E/b", "a dot segment"),
        (b"/a/..%20/b", "a dot segment"),
        (b"/a/..;/b", "a path parameter (;)"),
        (b"/a\\b", "a backslash"),
        (b"/a#b", "a fragment (#)"),
        (b"/a b", "a raw byte in the path that must be percent-encoded"),
        (b"/a\x00", "a raw byte in the path that must be percent-encoded"),
        (b"/a\x7f", "a raw byte in the path that must be percent-encoded"),
        (b"/caf\xc3\xa9", "a raw byte in the path that must be percent-encoded"),
        (b"/a\n", "a raw byte in the path that must be percent-encoded"),
        (b"/a%2", "a percent sign without two hex digits"),
        (b"/a%zz", "a percent sign without two hex digits"),
        (b"/a%u002e", "a percent sign without two hex digits"),
        (b"/a{b}", "a character in the path that must be percent-encoded"),
        (b"/a%c0%ae", "an escape that is not valid UTF-8"),
        (b"/a%ed%a0%80", "an escape that is not valid UTF-8"),
        (b"/a%00", "an encoded control character"),
        (b"/a%c2%85", "an encoded control character"),
        (b"/a%2fb", "an encoded slash, backslash or semicolon"),
        (b"/a%5cb", "an encoded slash, backslash or semicolon"),
        (b"/a%3bb", "an encoded slash, backslash or semicolon"),
        (b"/a%252e", "a doubly encoded escape"),
        (b"/a?b#c", "a raw character in the query that must be percent-encoded"),
        (b"/a?b c", "a raw character in the query that must be percent-encoded"),
        (b"/a?\xff", "a raw character in the query that must be percent-encoded"),
        (b"/a?b\n", "a raw character in the query that must be percent-encoded"),
        (b"/a%20b?c\r\nHost: x", "a raw character in the query that must be percent-encoded"),
    ],
)
def test_ambiguous_targets_are_refused_with_the_reason(raw, reason):
    with pytest.raises(AmbiguousTarget) as refusal:
        parse_target(raw)
    assert refusal.value.reason == reason


def test_every_legitimate_target_passes_unchanged():
    targets = legitimate_targets()
    assert len(targets) >= 300
    for raw in targets:
        target = parse_target(raw)
        assert target.raw == raw
        assert (target.raw_path + b"?" + target.query).rstrip(b"?") == raw.rstrip(b"?")
