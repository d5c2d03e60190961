"""Jira's login: which header it becomes, and that nothing prints it."""

import base64

import pytest
from pydantic import SecretStr

from agent.credentials import CredentialKind, jira_credentials, proxy_name, proxy_url, revealed_code
from agent.settings import AgentSettings
from runtime.configuration import ConfigurationError


def injected(**fields):
    headers = [(b"Accept", b"*/*")]
    jira_credentials(AgentSettings(**fields)).inject(headers)
    return headers[1:]


def test_a_token_becomes_a_bearer_header():
    assert injected(jira_token=SecretStr("abc123")) == [(b"Authorization", b"Bearer abc123")]


def test_a_user_name_and_password_become_a_basic_header_in_utf8():
    [(_, value)] = injected(jira_username="svc", jira_password=SecretStr("pä:ss"))

    assert base64.b64decode(value.removeprefix(b"Basic ")) == "svc:pä:ss".encode()


def test_without_a_login_nothing_is_injected():
    assert injected() == []
    assert not jira_credentials(AgentSettings()).is_set


def test_credentials_have_no_printable_form():
    credentials = jira_credentials(AgentSettings(jira_token=SecretStr("hunter2")))

    assert repr(credentials) == "<JiraCredentials bearer>"
    assert credentials.kind is CredentialKind.BEARER


@pytest.mark.parametrize(
    "fields",
    [
        {"jira_token": SecretStr("hunter2\r\nX: y")},
        {"jira_token": SecretStr("hunter2 and more")},
        {"jira_username": "a:b", "jira_password": SecretStr("hunter2")},
    ],
)
def test_a_login_that_no_header_can_carry_is_refused_without_telling_it(fields):
    with pytest.raises(ConfigurationError) as caught:
        jira_credentials(AgentSettings(**fields))

    assert "hunter2" not in str(caught.value)


def test_a_proxy_is_named_without_its_credentials():
    secret = SecretStr("http://user:hunter2@proxy.corp:3128")

    assert proxy_name(secret) == "proxy.corp:3128"
    assert proxy_url(secret) == "http://user:hunter2@proxy.corp:3128"


@pytest.mark.parametrize("text", ["proxy:3128", "socks5://proxy:1080", "http://proxy", "http://u:hunter2@p:port"])
def test_an_unusable_proxy_is_a_configuration_error(text):
    with pytest.raises(ConfigurationError, match="JIRA_AGENT_PROXY_URL") as caught:
        proxy_url(SecretStr(text))

    assert "hunter2" not in str(caught.value)


def test_the_code_is_revealed_where_it_is_used():
    assert revealed_code(SecretStr("jte_x")) == "jte_x"
