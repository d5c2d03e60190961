"""How gateways and Jira are reached."""

import pytest

from agent.addresses import GatewayAddress, JiraAddress
from agent.routes import make_origin, make_route
from agent.settings import AgentSettings
from runtime.configuration import ConfigurationError

GATEWAY = GatewayAddress("gateway.example", 8443)


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_proxy_the_library_is_told_so():
    assert make_route(AgentSettings()).options(GATEWAY) == {"proxy": None}


def test_a_plain_proxy_gets_no_tls():
    route = make_route(AgentSettings(proxy_url="http://u:p@proxy:3128"))

    assert route.options(GATEWAY) == {"proxy": "http://u:p@proxy:3128"}


def test_a_proxy_over_tls_is_verified():
    options = make_route(AgentSettings(proxy_url="https://proxy:3128")).options(GATEWAY)

    assert options["proxy_ssl"].verify_mode.name == "CERT_REQUIRED"


def test_the_environments_proxy_is_used_unless_exempted(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://env:1")
    assert make_route(AgentSettings()).options(GATEWAY) == {"proxy": "http://env:1"}

    monkeypatch.setenv("no_proxy", "gateway.example")
    assert make_route(AgentSettings()).options(GATEWAY) == {"proxy": None}


def test_jira_over_tls_is_verified_by_name():
    settings = AgentSettings(source_ip="10.0.0.7")
    origin = make_origin(settings, JiraAddress.parse("https://jira.corp:8443/jira"))

    assert (origin.host, origin.port, origin.host_header) == ("jira.corp", 8443, b"jira.corp:8443")
    assert origin.tls.check_hostname
    assert origin.server_hostname == "jira.corp"
    assert origin.local_address == "10.0.0.7"


def test_plain_jira_has_no_tls():
    assert make_origin(AgentSettings(), JiraAddress.parse("http://jira")).tls is None


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_an_unusable_ca_file_is_a_configuration_error(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ConfigurationError, match="JIRA_AGENT_JIRA_CA_FILE"):
        make_origin(AgentSettings(jira_ca_file=file), JiraAddress.parse("https://jira"))
