"""Policies on arbitrary requests: nothing outside the written rules, whatever the spelling."""

import re
from urllib.parse import unquote_plus

from hypothesis import given
from hypothesis import strategies as st

from agent.policy import Policy
from http1.target import AmbiguousTarget, parse_target
from jira_api.decisions import Allow, Deny
from jira_api.profiles import PROFILES
from jira_api.rules import METHODS, Rule, RuleSet, evaluate

POLICIES = {name: Policy.from_profiles([name]) for name in PROFILES}
EMPTY = RuleSet(())

segments = st.lists(
    st.sampled_from([
        "rest", "api", "2", "latest", "agile", "1.0", "secure", "attachment", "user", "password", "pat", "auth", "1",
        "session", "websudo", "plugins", "issue", "search", "jql", "Rest", "webhooks", "webhook", "x",
    ]),
    max_size=6,
)  # fmt: skip
methods = st.sampled_from([*(method.encode() for method in sorted(METHODS)), b"TRACE", b"get", b""])
logins = st.sampled_from(["agent", "gateway", "caller"])


def target_of(parts):
    return parse_target(b"/" + "/".join(parts).encode())


@given(methods, segments, logins)
def test_an_empty_policy_allows_nothing(method, parts, login):
    assert isinstance(evaluate(EMPTY, method, target_of(parts), credentials=login), Deny)


@given(st.sampled_from(sorted(PROFILES)), methods, segments, logins)
def test_no_profile_reaches_beyond_its_prefixes_or_into_the_never_list(profile, method, parts, login):
    decision = POLICIES[profile].decide(method, target_of(parts), login)
    if not isinstance(decision, Allow):
        return
    prefix = "/" + "/".join(parts) + "/"
    assert prefix.startswith((
        "/rest/api/2/", "/rest/api/latest/", "/rest/agile/1.0/", "/secure/attachment/", "/rest/auth/1/session/",
        "/rest/webhooks/1.0/webhook/",
    ))  # fmt: skip
    assert parts[-1] != "password"
    assert "/pat/" not in prefix or not prefix.startswith("/rest/pat/")
    if prefix.startswith("/rest/auth/"):
        assert login == "caller"
        assert prefix == "/rest/auth/1/session/"
    if profile == "read-only":
        assert method in {b"GET", b"HEAD", b"OPTIONS"} or (method == b"POST" and "search" in parts)


@given(st.sampled_from(sorted(PROFILES)), segments, logins)
def test_head_follows_get(profile, parts, login):
    get = POLICIES[profile].decide(b"GET", target_of(parts), login)
    head = POLICIES[profile].decide(b"HEAD", target_of(parts), login)
    assert isinstance(get, Allow) == isinstance(head, Allow)


@given(methods, segments, logins)
def test_every_profile_allows_what_read_only_allows(method, parts, login):
    if isinstance(POLICIES["read-only"].decide(method, target_of(parts), login), Allow):
        assert all(isinstance(policy.decide(method, target_of(parts), login), Allow) for policy in POLICIES.values())


def reference_match(pattern: list[str], parts: list[str]) -> bool:
    """The meaning of a pattern, written as a recursion."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(reference_match(pattern[1:], parts[cut:]) for cut in range(len(parts) + 1))
    return bool(parts) and pattern[0] in {"*", parts[0]} and reference_match(pattern[1:], parts[1:])


middle = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4)
patterns = st.builds(
    lambda first, inner, last: [*first, *inner, *last],
    st.sampled_from([[], ["**"]]),
    middle,
    st.sampled_from([[], ["**"]]),
)


@given(patterns, st.lists(st.sampled_from(["a", "b", "A", "c"]), max_size=6))
def test_patterns_match_what_they_say(pattern, parts):
    rules = RuleSet([Rule("one", frozenset({"GET"}), "/" + "/".join(pattern))])
    decision = evaluate(rules, b"GET", target_of(parts), credentials="agent")
    assert isinstance(decision, Allow) == reference_match(pattern, parts)


@given(st.integers(-5, 300), st.integers(-5, 300), st.text("0123456789+-. %", max_size=4))
def test_a_query_range_admits_only_integers_inside_it(low, high, text):
    low, high = sorted((low, high))
    rules = RuleSet([Rule("one", frozenset({"GET"}), "/a", {"maxResults": f"{low}..{high}"})])
    raw = b"/a?maxResults=" + text.replace(" ", "+").encode()
    try:
        decision = evaluate(rules, b"GET", parse_target(raw), credentials="agent")
    except AmbiguousTarget:
        return
    value = unquote_plus(raw.partition(b"=")[2].decode())
    inside = re.fullmatch("-?[0-9]+", value) is not None and low <= int(value) <= high
    assert isinstance(decision, Allow) == inside
