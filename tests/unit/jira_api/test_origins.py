"""Base URLs: how they parse and under which spellings links use them."""

import re

import pytest

from jira_api.origins import Origin, origin_pattern, origin_variants, parse_origin


def test_scheme_and_host_lose_their_case_and_a_default_port_goes_without_saying():
    assert parse_origin(b"HTTPS://Jira.Corp.example:443/Jira/") == Origin(
        b"https", b"jira.corp.example", None, b"/Jira"
    )
    assert parse_origin(b"http://[fe80::1]:8080") == Origin(b"http", b"[fe80::1]", b"8080", b"")


@pytest.mark.parametrize("url", [b"", b"jira", b"ftp://jira", b"https://u@jira", b"https://jira?x", b"https://jira#x"])
def test_what_is_no_base_url_is_refused(url):
    with pytest.raises(ValueError, match="no base URL"):
        parse_origin(url)


def test_variants_are_the_spellings_that_mean_the_same():
    assert origin_variants(b"https://Jira.example/jira/") == (
        b"https://Jira.example/jira",
        b"https://jira.example/jira",
        b"https://jira.example:443/jira",
    )
    assert origin_variants(b"http://jira:8080") == (b"http://jira:8080",)


def test_the_pattern_matches_every_variant_and_escaped_slashes():
    pattern = re.compile(b"http" + origin_pattern(parse_origin(b"https://jira.example/a/b")))
    for variant in origin_variants(b"https://jira.example/a/b"):
        assert pattern.fullmatch(variant)
        assert pattern.fullmatch(variant.replace(b"/", b"\\/"))
    assert not pattern.fullmatch(b"https://jiraXexample/a/b")
    assert not pattern.fullmatch(b"https://jira.example/A/b")
