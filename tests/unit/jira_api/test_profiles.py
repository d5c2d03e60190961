"""The built-in profiles, by the list of what clients send and the list of what must not pass."""

import pytest

from http1.target import AmbiguousTarget, parse_target
from jira_api.decisions import Allow, Deny
from jira_api.profiles import NEVER, PROFILES, READ_ONLY, profile_rules
from jira_api.rules import RuleSet, evaluate
from tests.support.targets import bypass_requests, legitimate_targets

COMPILED = {name: RuleSet(rules, NEVER) for name, rules in PROFILES.items()}


def decide(profile, method, raw, credentials="agent"):
    return evaluate(COMPILED[profile], method.encode(), parse_target(raw.encode()), credentials=credentials)


def test_read_only_allows_every_legitimate_read():
    denied = [
        raw
        for raw in legitimate_targets()
        if not isinstance(evaluate(READ_ONLY, b"GET", parse_target(raw), credentials="gateway"), Allow)
    ]
    assert denied == []


def passes_somewhere(method, raw):
    try:
        target = parse_target(raw)
    except AmbiguousTarget:
        return False
    decisions = (evaluate(rules, method, target, credentials="agent") for rules in COMPILED.values())
    return any(isinstance(decision, Allow) for decision in decisions)


def test_no_bypass_passes_any_profile():
    requests = bypass_requests()
    assert len(requests) >= 150
    assert [request for request in requests if passes_somewhere(*request)] == []


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("POST", "/rest/api/2/issue"),
        ("POST", "/rest/api/latest/issue/bulk"),
        ("PUT", "/rest/api/2/issue/OPS-1"),
        ("DELETE", "/rest/api/3/issue/OPS-1?deleteSubtasks=true"),
        ("PUT", "/rest/api/latest/issue/OPS-1/assignee"),
        ("POST", "/rest/api/2/issue/OPS-1/transitions"),
        ("POST", "/rest/api/2/issue/OPS-1/comment"),
        ("PUT", "/rest/api/2/issue/OPS-1/comment/1"),
        ("DELETE", "/rest/api/2/issue/OPS-1/comment/1"),
        ("POST", "/rest/api/2/issue/OPS-1/attachments"),
        ("DELETE", "/rest/api/2/attachment/1"),
        ("POST", "/rest/api/2/issueLink"),
        ("DELETE", "/rest/api/2/issueLink/1"),
        ("POST", "/rest/api/2/issue/OPS-1/remotelink"),
        ("POST", "/rest/api/2/issue/OPS-1/worklog?adjustEstimate=auto"),
        ("PUT", "/rest/api/2/issue/OPS-1/worklog/1"),
        ("POST", "/rest/api/2/issue/OPS-1/watchers"),
        ("DELETE", "/rest/api/2/issue/OPS-1/watchers?username=x"),
        ("POST", "/rest/api/2/issue/OPS-1/votes"),
        ("POST", "/rest/agile/1.0/sprint"),
        ("POST", "/rest/agile/1.0/sprint/7/issue"),
        ("PUT", "/rest/agile/1.0/issue/rank"),
        ("POST", "/rest/api/2/version"),
        ("PUT", "/rest/api/2/version/1"),
        ("POST", "/rest/api/2/component"),
        ("DELETE", "/rest/api/2/component/1?moveIssuesTo=2"),
    ],
)
def test_issues_writes_what_belongs_to_issues_and_read_only_does_not(method, raw):
    assert isinstance(decide("issues", method, raw), Allow)
    assert isinstance(decide("full-rest", method, raw), Allow)
    assert isinstance(decide("read-only", method, raw), Deny)
    assert isinstance(decide("webhooks", method, raw), Deny)


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("POST", "/rest/api/2/project"),
        ("PUT", "/rest/api/2/project/OPS"),
        ("DELETE", "/rest/api/2/project/OPS"),
        ("POST", "/rest/api/2/user"),
        ("DELETE", "/rest/api/2/user?username=x"),
        ("POST", "/rest/api/2/group/user?groupname=jira-administrators"),
        ("PUT", "/rest/api/2/permissionscheme/0"),
        ("POST", "/rest/api/2/issue/OPS-1/notify"),
        ("POST", "/rest/api/2/reindex"),
        ("PATCH", "/rest/api/2/issue/OPS-1"),
    ],
)
def test_issues_does_not_administrate_and_full_rest_does(method, raw):
    assert isinstance(decide("issues", method, raw), Deny)
    assert isinstance(decide("full-rest", method, raw), Allow)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_searches_by_post(profile):
    for raw in ("/rest/api/2/search", "/rest/api/latest/search/", "/rest/api/3/search/jql"):
        assert decide(profile, "POST", raw) == Allow("search")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_session_resource_asks_for_the_callers_login(profile):
    assert decide(profile, "GET", "/rest/auth/1/session", "caller") == Allow("session-read")
    for credentials in ("agent", "gateway"):
        assert decide(profile, "GET", "/rest/auth/1/session", credentials) == Deny(
            "allowed only with the caller's own credentials", "session-read"
        )
    assert isinstance(decide(profile, "GET", "/rest/auth/1/websudo", "caller"), Deny)


def test_logging_in_is_a_write():
    assert isinstance(decide("issues", "POST", "/rest/auth/1/session", "caller"), Allow)
    assert isinstance(decide("read-only", "POST", "/rest/auth/1/session", "caller"), Deny)


@pytest.mark.parametrize("collection", ["/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhooks"])
def test_webhook_registrations_need_a_look_at_their_body(collection):
    for method, raw in (("POST", collection), ("PUT", f"{collection}/12")):
        assert decide("webhooks", method, raw) == Allow("webhook-register", needs_body_check=True)
    assert decide("webhooks", "PUT", f"{collection}/12/enabled") == Allow("webhook-switch")
    for method in ("GET", "DELETE", "HEAD"):
        assert decide("webhooks", method, f"{collection}/12") == Allow("webhook-read")
    for profile in ("read-only", "issues", "full-rest"):
        assert isinstance(decide(profile, "POST", collection), Deny)


def test_the_never_list_names_itself():
    assert decide("full-rest", "PUT", "/rest/api/2/user/password") == Deny(
        "no built-in profile allows **/password", "never-password"
    )


def test_profiles_given_together_hold_each_rule_once():
    rules = profile_rules(("read-only", "issues"))
    assert len(set(rules)) == len(rules)
    assert set(PROFILES["read-only"]) <= set(rules)
