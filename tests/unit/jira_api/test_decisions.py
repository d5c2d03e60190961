"""How decisions read for people."""

from jira_api.decisions import Allow, Deny


def test_decisions_print_as_policy_check_shows_them():
    assert str(Allow("read-api")) == "allow read-api"
    assert str(Deny("no rule allows this", "x")) == "deny no rule allows this"
