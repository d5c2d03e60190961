"""The gateway's settings: defaults, what is refused, and what is derived."""

import ipaddress

import pytest

from gateway.settings import GatewaySettings
from runtime.address import Address
from runtime.configuration import ConfigurationError, load

LOCAL = {"JIRA_GATEWAY_TUNNEL_LISTEN": "127.0.0.1:8443"}
PUBLIC = {"JIRA_GATEWAY_TUNNEL_URL": "wss://gw.example:8443", "JIRA_GATEWAY_PUBLIC_URL": "https://gw.example"}


def read(**variables):
    return load(
        GatewaySettings, environ={**LOCAL, **{f"JIRA_GATEWAY_{name}": text for name, text in variables.items()}}
    )


def fails(**variables):
    with pytest.raises(ConfigurationError) as failure:
        read(**variables)
    assert "\n" not in str(failure.value)
    return failure.value


def test_on_loopback_the_addresses_are_derived():
    settings = read()
    assert settings.derived_public_url(Address("127.0.0.1", 8080)) == "http://127.0.0.1:8080"
    assert settings.derived_tunnel_url(Address("127.0.0.1", 8443)) == "wss://127.0.0.1:8443"
    assert not settings.callers_use_tls


def test_configured_addresses_win():
    settings = read(PUBLIC_URL="https://gw.example/", TUNNEL_URL="wss://gw.example:1")
    assert settings.derived_public_url(Address("127.0.0.1", 1)) == "https://gw.example"
    assert settings.derived_tunnel_url(Address("127.0.0.1", 1)) == "wss://gw.example:1"


def test_with_certificate_files_callers_use_tls():
    settings = read(API_CERT_FILE="/c", API_KEY_FILE="/k")
    assert settings.derived_public_url(Address("127.0.0.1", 1)) == "https://127.0.0.1:1"


@pytest.mark.parametrize(
    ("variables", "variable"),
    [
        ({"API_LISTEN": "0.0.0.0:80"}, "JIRA_GATEWAY_API_LISTEN"),
        ({"PUBLIC_URL": "https://gw example"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"PUBLIC_URL": "https://@gw.example"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"API_LISTEN": "0.0.0.0:80", "API_PLAINTEXT": "1"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"TUNNEL_LISTEN": "0.0.0.0:8443"}, "JIRA_GATEWAY_TUNNEL_URL"),
        ({"API_CERT_FILE": "/c"}, "JIRA_GATEWAY_API_KEY_FILE"),
        ({"API_KEY_FILE": "/c"}, "JIRA_GATEWAY_API_CERT_FILE"),
        ({"API_LISTEN": "8080"}, "JIRA_GATEWAY_API_LISTEN"),
        ({"PUBLIC_URL": "gw.example"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"PUBLIC_URL": "https://gw.example/path"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"PUBLIC_URL": "https://u:p@gw.example"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"PUBLIC_URL": "https://gw.example?x"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"PUBLIC_URL": "https://gw.example:x"}, "JIRA_GATEWAY_PUBLIC_URL"),
        ({"TUNNEL_URL": "https://gw.example"}, "JIRA_GATEWAY_TUNNEL_URL"),
        ({"CONNECTION_DOMAIN": "a b"}, "JIRA_GATEWAY_CONNECTION_DOMAIN"),
        ({"CONNECTION_DOMAIN": "."}, "JIRA_GATEWAY_CONNECTION_DOMAIN"),
        ({"EGRESS_IP": "x"}, "JIRA_GATEWAY_EGRESS_IP"),
        ({"ALLOW_NETWORKS": "10.0.0.1/8"}, "JIRA_GATEWAY_ALLOW_NETWORKS"),
        ({"TRUSTED_PROXIES": "x"}, "JIRA_GATEWAY_TRUSTED_PROXIES"),
        ({"MAX_BODY_BYTES": "0"}, "JIRA_GATEWAY_MAX_BODY_BYTES"),
        ({"LOG_LEVEL": "loud"}, "JIRA_GATEWAY_LOG_LEVEL"),
        ({"DRAIN_SECONDS": "-1"}, "JIRA_GATEWAY_DRAIN_SECONDS"),
        ({"API_LISTN": "x"}, "JIRA_GATEWAY_API_LISTN"),
    ],
)
def test_what_is_wrong_is_named_with_its_variable(variables, variable):
    assert fails(**variables).variable == variable


def test_behind_a_load_balancer_plain_text_is_the_operators_choice():
    settings = load(
        GatewaySettings, environ={"JIRA_GATEWAY_API_LISTEN": "0.0.0.0:80", "JIRA_GATEWAY_API_PLAINTEXT": "1", **PUBLIC}
    )
    assert settings.api_listen == Address("0.0.0.0", 80)


def test_lists_are_read_as_lists():
    settings = read(
        EGRESS_IP="192.0.2.1, 2001:db8::1", ALLOW_NETWORKS="10.0.0.0/8,fd00::/8", CONNECTION_DOMAIN=".GW.Example"
    )
    assert settings.egress_ip == (ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1"))
    assert settings.allow_networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert settings.connection_domain == "gw.example"


def test_the_secret_key_never_shows():
    assert "canary" not in repr(read(SECRET_KEY="canary" * 10))


def test_every_variable_of_the_contract_is_there():
    contract = """API_LISTEN API_CERT_FILE API_KEY_FILE API_PLAINTEXT TUNNEL_LISTEN ADMIN_LISTEN PUBLIC_URL TUNNEL_URL
        CONNECTION_DOMAIN DATABASE_URL STATE_DIR SECRET_KEY EGRESS_IP EGRESS_PUBLIC_IP EGRESS_CHECK_URL ALLOW_NETWORKS
        CA_FILE TRUSTED_PROXIES MAX_BODY_BYTES RETENTION_DAYS LOG_LEVEL LOG_FORMAT DRAIN_SECONDS MEMORY_BUDGET_BYTES"""
    assert set(contract.lower().split()) <= set(GatewaySettings.model_fields)
