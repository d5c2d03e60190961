"""Lexical rules."""

import pytest

from http1.grammar import is_hopeless, is_host, skip_empty_lines, split_absolute_form


@pytest.mark.parametrize(
    "host", [b"a", b"jira.corp.local:8443", b"10.0.0.1", b"[::1]:80", b"[fe80::1]", b"a_b-c.d", b"A." * 3 + b"de"]
)
def test_hosts(host):
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    [b"", b":80", b"a:", b"a:b", b"a:123456", b"u@a", b"a/b", b"a?b", b"a,b", b"a b", b"a\tb", b"[::1", b"::1", b"[g]", b"-a", b".a",
     b"\xe4", b"a%20b", b"a\r\nb", b"a\0", b"a" * 300, b"a\n"],
)  # fmt: skip
def test_not_hosts(host):
    assert not is_host(host)


def test_absolute_forms_are_split():
    assert split_absolute_form(b"http://a:1/x?y") == (b"a:1", b"/x?y")
    assert split_absolute_form(b"HTTPS://a?y") == (b"a", b"/?y")
    assert split_absolute_form(b"ftp://a/") is None
    assert split_absolute_form(b"a:80") is None


@pytest.mark.parametrize("head", [b"", b"\r", b"G", b"GET ", b"GET /x", b"GET / HTTP/1.1\r\nHost: a\r", b"UNKNOWN"])
def test_unfinished_heads_with_hope(head):
    assert not is_hopeless(head, 0)


@pytest.mark.parametrize(
    "head", [b"\x16\x03", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nA\0", b" GET", b"GET/\r\n", b"G" * 40, b"\n"]
)
def test_unfinished_heads_without_hope(head):
    assert is_hopeless(head, 0)


def test_only_whole_empty_lines_are_skipped():
    assert skip_empty_lines(b"\r\n\r\nG") == 4
    assert skip_empty_lines(b"\n\r\n") == 0
    assert skip_empty_lines(b"\r") == 0
