"""The agent's policy: where it comes from, how a bad one is refused, what it says about itself."""

import pytest

from agent.policy import Policy, PolicyError
from http1.target import parse_target
from jira_api.decisions import Allow, Deny


def write(folder, text):
    path = folder / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def decide(policy, method, raw, credentials="agent"):
    return policy.decide(method, parse_target(raw), credentials)


def test_a_file_allows_exactly_what_it_says(tmp_path):
    policy = Policy.from_file(
        write(
            tmp_path,
            """
        [[allow]]
        id = "read-issues"
        methods = ["GET"]
        path = "/rest/api/2/issue/*"
        query = {maxResults = "0..100"}
    """,
        )
    )
    assert decide(policy, b"GET", b"/rest/api/2/issue/OPS-1") == Allow("read-issues")
    assert decide(policy, b"HEAD", b"/rest/api/2/issue/OPS-1/") == Allow("read-issues")
    assert decide(policy, b"GET", b"/rest/api/2/issue/OPS-1?maxResults=100") == Allow("read-issues")
    assert decide(policy, b"GET", b"/rest/api/2/issue/OPS-1?maxResults=101") == Deny(
        "the query parameter maxResults is outside what rule read-issues allows", "read-issues"
    )
    assert isinstance(decide(policy, b"PUT", b"/rest/api/2/issue/OPS-1"), Deny)
    assert isinstance(decide(policy, b"GET", b"/rest/api/2/issue/OPS-1/comment"), Deny)


@pytest.mark.parametrize("text", ["", "profiles = []", "allow = []", "# nothing"])
def test_an_empty_file_allows_nothing(tmp_path, text):
    policy = Policy.from_file(write(tmp_path, text))
    assert decide(policy, b"GET", b"/rest/api/2/myself") == Deny("no rule allows this method on this path")


def test_a_file_may_name_profiles_and_allow_more_than_they_do(tmp_path):
    policy = Policy.from_file(
        write(
            tmp_path,
            """
        profiles = ["read-only"]
        [[allow]]
        id = "tokens"
        methods = ["GET", "DELETE"]
        path = "/rest/pat/**"
    """,
        )
    )
    assert decide(policy, b"DELETE", b"/rest/pat/latest/tokens/1") == Allow("tokens")
    assert decide(policy, b"GET", b"/rest/api/2/myself") == Allow("read-api")
    assert isinstance(decide(policy, b"POST", b"/rest/pat/latest/tokens"), Deny)


def test_an_own_rule_for_a_password_works_beside_a_profile_that_never_allows_it(tmp_path):
    policy = Policy.from_file(
        write(
            tmp_path,
            """
        profiles = ["full-rest"]
        [[allow]]
        id = "own-password"
        methods = ["PUT"]
        path = "/rest/api/2/my/password"
    """,
        )
    )
    assert decide(policy, b"PUT", b"/rest/api/2/my/password") == Allow("own-password")
    assert decide(policy, b"PUT", b"/rest/api/2/user/password") == Deny(
        "no built-in profile allows **/password", "never-password"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"\xff", "is not UTF-8 text"),
        ("allow = [", "is no TOML: Invalid value (at end of document)"),
        ("alow = []", "the file has the unknown key 'alow'"),
        ("profiles = 'read-only'", "profiles is no list of names"),
        ("profiles = ['readonly']", "there is no profile 'readonly'"),
        ("allow = 1", "allow is no array of tables"),
        ("[allow]\nid='x'", "allow is no array of tables"),
        ("[[allow]]\nmethods=['GET']\npath='/a'", "rule number 1 has no id"),
        ("[[allow]]\nid='x'\npath='/a'", "rule 'x' has no list of methods"),
        ("[[allow]]\nid='x'\nmethods='GET'\npath='/a'", "rule 'x' has no list of methods"),
        ("[[allow]]\nid='x'\nmethods=['GET']", "rule 'x' has no path"),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='/a'\nhost='b'", "rule 'x' has the unknown key 'host'"),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='/a'\nquery={a=1}", "rule 'x' has a malformed query"),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='/a'\nquery={a='9..1'}", "rule 'x', query: a = '9..1' is an empty range"),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='a'", "rule 'x', path: 'a' must begin with a slash"),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='/a*'", "rule 'x', path: '/a*': 'a*' is no literal, *, ** or {a,b}"),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='/a//b'", "rule 'x', path: '/a//b': '' is no literal, *, ** or {a,b}"),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='/a/../b'", "rule 'x', path: '/a/../b': '..' is no literal, *, ** or {a,b}"),
        (
            "[[allow]]\nid='x'\nmethods=['GET']\npath='/a/**/b'",
            "rule 'x', path: '/a/**/b': ** may only be the first or the last segment",
        ),
        (
            "[[allow]]\nid='x'\nmethods=['get']\npath='/a'",
            "rule 'x', methods: must be one or more of DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        ),
        ("[[allow]]\nid='x'\nmethods=['GET']\npath='/a'\n" * 2, "two rules have the id 'x'"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_problem_and_a_fix(tmp_path, text, problem):
    path = write(tmp_path, text)
    with pytest.raises(PolicyError) as refusal:
        Policy.from_file(path)
    assert refusal.value.problem == problem
    assert refusal.value.source == str(path)
    assert refusal.value.fix
    assert str(refusal.value) == f"{path}: {problem}; {refusal.value.fix}"


def test_a_missing_or_oversized_file_is_refused(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        Policy.from_file(tmp_path / "absent.toml")
    with pytest.raises(PolicyError, match="is larger than"):
        Policy.from_file(write(tmp_path, "#" * (1024 * 1024 + 1)))


def test_profiles_combine_and_unknown_ones_are_refused():
    policy = Policy.from_profiles(["read-only", "webhooks"])
    assert decide(policy, b"POST", b"/rest/webhooks/1.0/webhook") == Allow("webhook-register", needs_body_check=True)
    assert decide(policy, b"GET", b"/rest/agile/1.0/board") == Allow("read-agile")
    assert repr(policy).startswith("<Policy read-only, webhooks: ")
    with pytest.raises(PolicyError) as refusal:
        Policy.from_profiles(["write"])
    assert refusal.value.fix == "use read-only, issues, webhooks, full-rest"


def test_describe_lists_every_rule_in_order(tmp_path):
    policy = Policy.from_file(write(tmp_path, "[[allow]]\nid='x'\nmethods=['PUT','GET']\npath='/a'\nquery={n='1..2'}"))
    assert policy.describe() == [
        {
            "id": "x",
            "methods": ["GET", "PUT"],
            "path": "/a",
            "query": {"n": "1..2"},
            "built_in": False,
            "caller_credentials_only": False,
            "webhook_target_checked": False,
        }
    ]
