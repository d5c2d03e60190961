"""The contract's table of variables: defaults, what is accepted, and how a mistake is named."""

import pytest

from agent.addresses import GatewayAddress, JiraAddress
from agent.settings import AgentSettings, LinkRange
from runtime.configuration import ConfigurationError, load

MINIMAL = {"JIRA_AGENT_STATE_DIR": "/tmp/state"}


def loaded(tmp_path, **variables):
    empty = tmp_path / "agent.env"
    empty.touch()
    environ = {f"JIRA_AGENT_{name}": value for name, value in variables.items()}
    return load(AgentSettings, env_file=empty, environ={**MINIMAL, **environ})


def test_the_defaults_are_those_of_the_contract(tmp_path):
    settings = loaded(tmp_path)

    assert settings.policy_profile == ("read-only",)
    assert settings.links == LinkRange(2, 16)
    assert str(settings.admin_listen) == "127.0.0.1:9091"
    assert settings.max_concurrency == 64
    assert settings.spool_max_bytes == 1 << 30
    assert (settings.log_level, settings.log_format, settings.drain_seconds) == ("info", "auto", 25.0)
    assert settings.jira_url is None
    assert settings.gateway_url == ()


def test_every_variable_of_the_contract_is_accepted(tmp_path):
    settings = loaded(
        tmp_path,
        GATEWAY_URL="wss://a.example:8443, wss://b.example",
        JIRA_URL="https://jira.corp.local:8443/jira",
        JIRA_USERNAME="svc",
        JIRA_PASSWORD="secret",
        JIRA_CA_FILE="/etc/ca.pem",
        SOURCE_IP="10.0.0.7",
        POLICY_FILE="/etc/policy.toml",
        POLICY_PROFILE="issues, webhooks",
        LINKS="4-8",
        PROXY_URL="http://u:p@proxy:3128",
        PROXY_CA_FILE="/etc/proxy.pem",
        WEBHOOK_LISTEN="0.0.0.0:9443",
        WEBHOOK_CERT_FILE="/etc/c.pem",
        WEBHOOK_KEY_FILE="/etc/k.pem",
        WEBHOOK_URL="https://agent.corp.local:9443/",
        WEBHOOK_TARGETS="https://agent.corp.local/,https://gateway.example/hooks/",
        SPOOL_MAX_BYTES="1048576",
        ADMIN_LISTEN="[::1]:9000",
        MAX_CONCURRENCY="8",
        LOG_LEVEL="debug",
        LOG_FORMAT="json",
        DRAIN_SECONDS="5",
        MEMORY_BUDGET_BYTES="16777216",
        ENROLL_CODE="jte_x",
    )

    assert settings.gateway_url == (GatewayAddress("a.example", 8443), GatewayAddress("b.example", 443))
    assert settings.jira_url == JiraAddress("https", "jira.corp.local", 8443, "/jira")
    assert settings.policy_profile == ("issues", "webhooks")
    assert settings.links == LinkRange(4, 8)
    assert settings.webhook_targets[1] == "https://gateway.example/hooks/"
    assert str(settings.source_ip) == "10.0.0.7"


@pytest.mark.parametrize(
    ("variable", "value", "part_of_the_line"),
    [
        ("JIRA_URL", "jira.corp.local", "does not begin with https:// or http://"),
        ("JIRA_URL", "https://user:hunter2@jira/", "user name or password"),
        ("JIRA_URL", "https://jira/a/../b", "context path"),
        ("JIRA_URL", "https://jira/?x=1", "query"),
        ("JIRA_URL", "https://jira:99999/", "is not a URL"),
        ("GATEWAY_URL", "https://gateway", "does not begin with wss://"),
        ("GATEWAY_URL", "wss://gateway/tunnel/v1", "has a path"),
        ("GATEWAY_URL", "wss://good,wss://", "does not begin with"),
        ("LINKS", "many", "is not a number of links"),
        ("LINKS", "8-2", "is out of range"),
        ("LINKS", "0", "is out of range"),
        ("ADMIN_LISTEN", "9091", "is not an address"),
        ("MAX_CONCURRENCY", "0", "greater than or equal to 1"),
        ("SOURCE_IP", "eth0", "IP"),
        ("LOG_LEVEL", "loud", "debug"),
        ("JIRA_ULR", "https://jira", "did you mean JIRA_AGENT_JIRA_URL?"),
        ("WEBHOOK_URL", "agent.corp.local:9443", "does not begin with https:// or http://"),
        ("WEBHOOK_URL", "http://agent/?a=b", "query"),
        ("WEBHOOK_URL", "http://svc:hunter2@agent/", "user name or password"),
        ("WEBHOOK_URL", "http://agent/a/../b", "unusual path"),
        ("WEBHOOK_LISTEN", "9443", "is not an address"),
        ("WEBHOOK_LISTEN", "0.0.0.0:9443", "JIRA_AGENT_WEBHOOK_URL: is not set, and JIRA_AGENT_WEBHOOK_LISTEN is no"),
        ("WEBHOOK_CERT_FILE", "/c.pem", "JIRA_AGENT_WEBHOOK_KEY_FILE: is not set, but JIRA_AGENT_WEBHOOK_CERT_FILE is"),
        ("WEBHOOK_KEY_FILE", "/k.pem", "JIRA_AGENT_WEBHOOK_CERT_FILE: is not set, but JIRA_AGENT_WEBHOOK_KEY_FILE is"),
        ("JIRA_PASSWORD", "hunter2", "JIRA_AGENT_JIRA_USERNAME: is not set, but JIRA_AGENT_JIRA_PASSWORD is"),
        ("JIRA_USERNAME", "svc", "JIRA_AGENT_JIRA_PASSWORD: is not set, but JIRA_AGENT_JIRA_USERNAME is"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_variable_and_not_the_secret(tmp_path, variable, value, part_of_the_line):
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, **{variable: value})

    line = str(caught.value)
    assert part_of_the_line in line
    assert line.startswith("JIRA_AGENT_")
    assert "\n" not in line
    assert "hunter2" not in line


def test_a_token_and_a_password_together_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="keep one of the two"):
        loaded(tmp_path, JIRA_TOKEN="t", JIRA_USERNAME="u", JIRA_PASSWORD="p")


def test_secrets_never_print(tmp_path):
    settings = loaded(tmp_path, JIRA_TOKEN="hunter2", PROXY_URL="http://u:hunter2@proxy:1", ENROLL_CODE="hunter2")

    assert "hunter2" not in repr(settings)


def test_jira_is_required_only_where_it_is_used(tmp_path):
    with pytest.raises(ConfigurationError, match="JIRA_AGENT_JIRA_URL: is not set"):
        loaded(tmp_path).required_jira()


@pytest.mark.parametrize(
    ("url", "host_header", "context_path"),
    [
        ("http://jira", "jira", ""),
        ("http://jira:8080/", "jira:8080", ""),
        ("https://JIRA.corp:443/jira/", "jira.corp", "/jira"),
        ("https://[fd00::1]:8443/a/b", "[fd00::1]:8443", "/a/b"),
    ],
)
def test_jiras_address_gives_the_host_header_and_the_context_path(url, host_header, context_path):
    address = JiraAddress.parse(url)

    assert (address.host_header, address.context_path) == (host_header, context_path)
    assert JiraAddress.parse(address.url) == address


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, None),
        ({"WEBHOOK_URL": "http://agent"}, None),
        ({"WEBHOOK_LISTEN": "127.0.0.1:9443"}, "http://127.0.0.1:9443"),
        ({"WEBHOOK_LISTEN": "[::1]:80"}, "http://[::1]"),
        (
            {"WEBHOOK_LISTEN": "localhost:443", "WEBHOOK_CERT_FILE": "/c", "WEBHOOK_KEY_FILE": "/k"},
            "https://localhost",
        ),
        ({"WEBHOOK_LISTEN": "0.0.0.0:1", "WEBHOOK_URL": "https://Agent.corp:8443/in/"}, "https://agent.corp:8443/in"),
    ],
)
def test_how_jira_reaches_the_agent_is_told_or_follows_from_a_loopback_address(tmp_path, variables, url):
    assert loaded(tmp_path, **variables).webhook_base_url() == url
