"""The two addresses an agent knows."""

import pytest

from agent.addresses import GatewayAddress, JiraAddress


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("wss://gateway.example:8443", "wss://gateway.example:8443"),
        ("wss://GATEWAY.example/", "wss://gateway.example:443"),
        ("wss://[2001:db8::1]:9000", "wss://[2001:db8::1]:9000"),
    ],
)
def test_a_gateway_is_written_in_one_way(text, url):
    assert str(GatewayAddress.parse(text)) == url


@pytest.mark.parametrize(
    "text", ["ws://g", "wss://", "wss://u@g", "wss://g/x", "wss://g?x=1", "wss://g:0x1", "wss://g:70000", "wss://a b"]
)
def test_what_is_no_gateway_is_refused(text):
    with pytest.raises(ValueError, match="; "):
        GatewayAddress.parse(text)


@pytest.mark.parametrize("text", ["https://jira/%6a", "https://jira//x", "https://jira/..", "ftp://jira", "https:///x"])
def test_what_is_no_jira_is_refused(text):
    with pytest.raises(ValueError, match="; "):
        JiraAddress.parse(text)


def test_jira_over_plain_http_is_told_apart():
    assert not JiraAddress.parse("http://jira").is_tls
    assert JiraAddress.parse("https://jira").is_tls
