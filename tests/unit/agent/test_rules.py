"""From settings to rules, and how mistakes in them are named."""

import pytest

from agent.addresses import JiraAddress
from agent.rules import load_policy, load_screening, user_agent
from agent.settings import AgentSettings
from runtime.configuration import ConfigurationError

JIRA = JiraAddress.parse("https://jira.corp:8443/jira")


def test_the_rules_carry_the_context_path_and_the_agents_name():
    rules = load_screening(AgentSettings(), JIRA)

    assert rules.context_path == b"/jira"
    assert rules.user_agent == user_agent().encode()
    assert rules.policy.source == "read-only"


def test_a_file_wins_over_the_profiles(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text('[[allow]]\nid = "one"\nmethods = ["GET"]\npath = "/status"\n')

    assert load_policy(AgentSettings(policy_file=file, policy_profile="full-rest")).source == str(file)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"policy_profile": "everything"}, "JIRA_AGENT_POLICY_PROFILE: there is no profile"),
        ({"policy_file": "/nonexistent.toml"}, "JIRA_AGENT_POLICY_FILE: /nonexistent.toml cannot be read"),
        ({"webhook_targets": "not a url"}, "JIRA_AGENT_WEBHOOK_TARGETS: "),
    ],
)
def test_a_mistake_names_its_variable(fields, line):
    with pytest.raises(ConfigurationError, match=line):
        load_screening(AgentSettings(**fields), JIRA)
