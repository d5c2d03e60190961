"""From a connection's row to where its Jira is."""

import ssl

import pytest

from gateway.direct_origin import Origins
from gateway.directory import ConnectionEntry
from gateway.egress import Dialer, Egress
from gateway.settings import GatewaySettings
from gateway.store import Credentials
from runtime.configuration import ConfigurationError
from tests.support.fake_jira import make_certificate


def origins(tmp_path, **settings):
    made = GatewaySettings(state_dir=tmp_path, tunnel_listen="127.0.0.1:0", **settings)
    return Origins(made, Dialer(Egress({}), ()))


def entry(base_url, ca_pem=None):
    return ConnectionEntry("c", None, base_url, Credentials.CALLER, None, True, 60, ca_pem)


@pytest.mark.parametrize(
    ("base_url", "host", "port", "host_header", "context_path"),
    [
        ("https://x.atlassian.net", "x.atlassian.net", 443, b"x.atlassian.net", b""),
        ("https://X.Atlassian.net/", "x.atlassian.net", 443, b"x.atlassian.net", b""),
        ("https://jira.example:8443/jira", "jira.example", 8443, b"jira.example:8443", b"/jira"),
        ("http://jira.example:80/a/b/", "jira.example", 80, b"jira.example", b"/a/b"),
        ("http://[2001:db8::1]:8080/jira", "2001:db8::1", 8080, b"[2001:db8::1]:8080", b"/jira"),
        ("https://[2001:db8::1]", "2001:db8::1", 443, b"[2001:db8::1]", b""),
    ],
)
def test_a_base_url_is_an_origin_and_a_context_path(tmp_path, base_url, host, port, host_header, context_path):
    jira = origins(tmp_path).make(entry(base_url))
    origin = jira.origin
    assert (origin.host, origin.port, origin.host_header, jira.context_path) == (host, port, host_header, context_path)
    assert (origin.tls is not None) == base_url.startswith("https")
    assert origin.server_hostname == host


def test_certificates_are_verified_and_connections_without_cas_of_their_own_share_a_context(tmp_path):
    made = origins(tmp_path)
    one, other = (made.make(entry(f"https://{host}")).origin.tls for host in ("a.example", "b.example"))
    pem = make_certificate(tmp_path).ca.read_text()
    own = made.make(entry("https://c.example", pem)).origin.tls
    assert one is other is not own
    assert {context.verify_mode for context in (one, own)} == {ssl.CERT_REQUIRED}
    assert all(context.check_hostname for context in (one, own))


def test_a_ca_file_that_cannot_be_used_is_told_at_the_start(tmp_path):
    with pytest.raises(ConfigurationError, match="JIRA_GATEWAY_CA_FILE"):
        origins(tmp_path, ca_file=tmp_path / "missing.pem")
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ConfigurationError, match="holds no certificates"):
        origins(tmp_path, ca_file=tmp_path / "empty.pem")
