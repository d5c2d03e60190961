"""From settings to rules, and how mistakes in them are named."""

import pytest

from agent.addresses import GatewayAddress, JiraAddress
from agent.identity import store_identity
from agent.rules import load_policy, load_screening, user_agent, webhook_targets
from agent.settings import AgentSettings
from certs.keys import make_key
from runtime.configuration import ConfigurationError
from tests.support.agent_identity import issue_agent, make_authority

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


def test_webhooks_may_point_to_this_agent_and_its_gateways(tmp_path):
    settings = AgentSettings(
        state_dir=tmp_path,
        webhook_listen="0.0.0.0:9443",
        webhook_url="https://agent.corp:9443",
        gateway_url="wss://a.example:8443,wss://a.example:9443,wss://[::1]",
    )

    assert webhook_targets(settings) == (
        "https://agent.corp:9443/hooks/", "https://a.example/hooks/", "https://[::1]/hooks/",
    )  # fmt: skip


def test_without_a_configured_gateway_it_is_the_one_of_the_enrolment(tmp_path):
    state = tmp_path / "state"
    key = make_key()
    certificate, ca = issue_agent(key, authority=make_authority())
    store_identity(state, key, certificate, ca, GatewayAddress("gw.example", 8443))

    assert webhook_targets(AgentSettings(state_dir=state)) == ("https://gw.example/hooks/",)
    assert webhook_targets(AgentSettings(state_dir=tmp_path / "none")) == ()


def test_what_the_administrator_names_is_all_that_counts(tmp_path):
    settings = AgentSettings(
        state_dir=tmp_path, webhook_listen="127.0.0.1:1", webhook_targets="https://x/", gateway_url="wss://a.example"
    )

    assert load_screening(settings, JIRA).webhook_targets == ("https://x/",)
