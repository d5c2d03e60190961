"""The grammar of rules and the order of their evaluation."""

from typing import NamedTuple

import pytest

from jira_api.decisions import Allow, Deny
from jira_api.rules import InvalidRule, Rule, RuleSet, evaluate, path_expression

GET = frozenset({"GET"})


class Asked(NamedTuple):
    segments: tuple[str, ...]
    query: bytes = b""


def ask(rules, path, query=b"", method=b"GET", never=(), credentials="agent"):
    asked = Asked(tuple(path.strip("/").split("/")) if path.strip("/") else (), query)
    return evaluate(RuleSet(rules, never), method, asked, credentials=credentials)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("/a/*", ["/a/b"], ["/a", "/a/b/c", "/A/b"]),
        ("/a/**", ["/a", "/a/b", "/a/b/c"], ["/ab", "/b/a"]),
        ("**/z", ["/z", "/a/z", "/a/b/z"], ["/az", "/z/a"]),
        ("/**", ["/", "/a", "/a/b"], []),
        ("/", ["/"], ["/a"]),
        ("/{a,b}/c", ["/a/c", "/b/c"], ["/{a,b}/c", "/ab/c"]),
        ("/a.b/", ["/a.b"], ["/axb"]),
        ("/*/b", ["/x/b"], ["/b"]),
        ("/a", ["/a"], ["/", "/a/b"]),
    ],
)
def test_patterns(pattern, matching, other):
    rule = Rule("r", GET, pattern)
    assert [path for path in matching if not isinstance(ask([rule], path), Allow)] == []
    assert [path for path in other if isinstance(ask([rule], path), Allow)] == []


@pytest.mark.parametrize(
    "pattern",
    ["", "a", "a/*", "/a*", "/a/**/b", "/a//b", "/./a", "/a?b", "/a#", "/a;b", "/a\\b", "/{a", "/{,a}", "/{}", "/a b"],
)
def test_patterns_outside_the_grammar_are_refused(pattern):
    with pytest.raises(InvalidRule) as refusal:
        path_expression(pattern)
    assert refusal.value.key == "path"


@pytest.mark.parametrize("methods", [frozenset(), frozenset({"get"}), frozenset({"TRACE"})])
def test_methods_outside_the_list_are_refused(methods):
    with pytest.raises(InvalidRule) as refusal:
        RuleSet([Rule("r", methods, "/a")])
    assert refusal.value.key == "methods"


def test_a_parameter_without_a_name_cannot_be_constrained():
    with pytest.raises(InvalidRule):
        RuleSet([Rule("r", GET, "/a", {"": "x"})])


def test_the_first_rule_that_admits_wins_and_a_refusal_of_one_does_not_stop_the_next():
    narrow = Rule("narrow", GET, "/a/*", {"n": "1..2"})
    wide = Rule("wide", GET, "/*/b")
    assert ask([narrow, wide], "/a/b", b"n=1") == Allow("narrow")
    assert ask([narrow, wide], "/a/b", b"n=3") == Allow("wide")
    assert ask([narrow], "/a/b", b"n=3") == Deny("the query parameter n is outside what rule narrow allows", "narrow")


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        (b"", False),
        (b"f=a", True),
        (b"f=b", False),
        (b"f=a&f=b", False),
        (b"f=a&n=5", True),
        (b"f=a&n=11", False),
        (b"f=a&%6e=11", False),
        (b"f=a&n=5&n=11", False),
        (b"f=a&n=", False),
        (b"f=a&n=0x5", False),
        (b"f=a&n=%D9%A5", False),
        (b"f=a&N=11", True),
    ],
)
def test_an_exact_value_must_be_there_and_a_range_limits_what_is(query, allowed):
    rule = Rule("r", GET, "/a", {"f": "a", "n": "0..10"})
    assert isinstance(ask([rule], "/a", query), Allow) == allowed


def test_overriding_parameters_are_refused_before_any_rule():
    assert ask([Rule("r", GET, "/**")], "/a", b"_method=PUT") == Deny("the query parameter _method is never allowed")


def test_guarded_rules_yield_to_the_never_list_in_any_case_and_others_do_not():
    never = [Rule("never", GET, "**/secret")]
    guarded = Rule("guarded", GET, "/a/**", guarded=True)
    assert ask([guarded], "/a/SECRET", never=never) == Deny("no built-in profile allows **/secret", "never")
    assert ask([guarded, Rule("own", GET, "/a/secret")], "/a/secret", never=never) == Allow("own")
    assert ask([guarded], "/a/secrets", never=never) == Allow("guarded")


def test_the_never_list_holds_below_a_prefix_in_any_case():
    never = [Rule("never", GET, "/a/b/**"), Rule("other", GET, "**/z")]
    guarded = Rule("guarded", GET, "/**", guarded=True)
    assert ask([guarded], "/A/B/c", never=never) == Deny("no built-in profile allows /a/b/**", "never")
    assert ask([guarded], "/a/c", never=never) == Allow("guarded")


def test_rules_that_begin_with_a_wildcard_count_below_every_prefix():
    rules = [Rule("narrow", GET, "/a/b/c"), Rule("wide", GET, "/*/b/d"), Rule("last", GET, "**/z")]
    assert ask(rules, "/a/b/d") == Allow("wide")
    assert ask(rules, "/a/b/z") == Allow("last")
    assert ask(rules, "/x/y/z") == Allow("last")


def test_a_caller_only_rule_asks_for_the_callers_login():
    rule = Rule("r", GET, "/a", caller_only=True)
    assert ask([rule], "/a", credentials="caller") == Allow("r")
    assert isinstance(ask([rule], "/a", credentials="gateway"), Deny)


def test_methods_are_exact_tokens():
    rule = Rule("r", GET, "/a")
    assert ask([rule], "/a", method=b"HEAD") == Allow("r")
    assert ask([rule], "/a", method=b"OPTIONS") == Deny("no rule allows this method on this path")
    assert ask([rule], "/a", method=b"get") == Deny("no rule can allow this method")
