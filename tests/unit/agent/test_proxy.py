"""Which proxy is used for a gateway."""

import pytest
from pydantic import SecretStr

from agent.proxy import choose_proxy, environment_proxies

OWN = SecretStr("http://own:3128")


@pytest.mark.parametrize(
    ("configured", "environment", "expected"),
    [
        (None, {}, None),
        (OWN, {}, "http://own:3128"),
        (OWN, {"https": "http://env:1"}, "http://own:3128"),
        (None, {"https": "http://env:1"}, "http://env:1"),
        (None, {"all": "http://all:1"}, "http://all:1"),
        (None, {"http": "http://plain:1"}, None),
        (None, {"https": "http://env:1", "no": "gateway.example"}, None),
        (OWN, {"no": ".example"}, None),
        (OWN, {"no": "gateway.example:8443"}, None),
        (OWN, {"no": "other.example"}, "http://own:3128"),
        (OWN, {"no": "*"}, None),
    ],
)
def test_the_proxy_of_a_gateway(configured, environment, expected):
    chosen = choose_proxy("gateway.example", 8443, configured, environment)

    assert (chosen.get_secret_value() if chosen else None) == expected


def test_the_environment_is_read_by_the_standard_names(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://env:1")
    monkeypatch.setenv("no_proxy", "localhost")

    assert environment_proxies()["https"] == "http://env:1"
    assert environment_proxies()["no"] == "localhost"
