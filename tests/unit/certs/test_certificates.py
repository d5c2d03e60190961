"""Reading certificates as strictly as they are written."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from certs.ca import create_authority, sign_agent, sign_server
from certs.certificates import (
    describe,
    fingerprint,
    is_ca,
    is_server,
    issuer_of,
    peer_identity,
    read_agent_certificate,
    read_certificates,
    read_peer,
    serial_hex,
    server_names,
    to_pem,
)
from certs.csr import make_csr
from certs.errors import CertificateRejected
from certs.identity import AgentIdentity
from certs.keys import make_key

HQ = AgentIdentity("hq", "a1")
URI = x509.UniformResourceIdentifier(HQ.uri)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]


AUTHORITY = create_authority(NOW)


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


DER = der(sign_agent(AUTHORITY, make_csr(make_key()), HQ, NOW))


def forged(authority, now, names, usages=tuple(CLIENT), *, ca=False):
    """What another PKI (or a bug of ours) might sign."""
    key = make_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(now)
        .not_valid_after(authority.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def test_a_peer_is_read_from_its_der(authority, now):
    certificate = sign_agent(authority, make_csr(make_key()), HQ, now)
    peer = read_peer(der(certificate))
    assert (peer.identity, peer.serial) == (HQ, certificate.serial_number)
    assert (peer.not_before, peer.not_after) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    assert peer_identity(der(certificate)) == HQ


def test_anything_but_exactly_one_agent_uri_is_refused(authority, now):
    other = x509.UniformResourceIdentifier("spiffe://jira-tunnel/agent/other/a1")
    for names in (None, [], [URI, other], [URI, URI], [URI, x509.DNSName("hq")], [x509.DNSName(HQ.uri.lower())]):
        with pytest.raises(CertificateRejected):
            read_agent_certificate(forged(authority, now, names))
    assert read_agent_certificate(forged(authority, now, [URI])).identity == HQ


def test_anything_but_a_client_certificate_is_refused(authority, now):
    for usages in (None, [ExtendedKeyUsageOID.SERVER_AUTH], [*CLIENT, ExtendedKeyUsageOID.SERVER_AUTH],
                   [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]):  # fmt: skip
        with pytest.raises(CertificateRejected):
            read_agent_certificate(forged(authority, now, [URI], usages))
    with pytest.raises(CertificateRejected):
        read_agent_certificate(forged(authority, now, [URI], ca=True))
    with pytest.raises(CertificateRejected):
        read_agent_certificate(sign_server(authority, make_csr(make_key()), ["localhost"], now))
    with pytest.raises(CertificateRejected):
        read_agent_certificate(authority.certificate)


@given(st.binary(max_size=400))
def test_any_bytes_as_a_peer_are_refused_with_our_own_error(content):
    with pytest.raises(CertificateRejected):
        read_peer(content)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_pem_certificate_is_refused(content):
    with pytest.raises(CertificateRejected):
        read_certificates(content)


def test_a_bundle_keeps_its_order_and_has_a_bound(authority, now):
    other = create_authority(now)
    bundle = [authority.certificate, other.certificate]
    assert read_certificates(to_pem(bundle)) == bundle
    with pytest.raises(CertificateRejected):
        read_certificates(authority.pem * 17)


def test_the_issuer_is_the_ca_that_really_signed(authority, now):
    other = create_authority(now)
    certificate = sign_agent(authority, make_csr(make_key()), HQ, now)
    assert issuer_of(certificate, [other.certificate, authority.certificate]) == authority.certificate
    assert issuer_of(certificate, [other.certificate]) is None
    assert issuer_of(certificate, [certificate]) is None


def test_descriptions_for_people_and_programs(authority, now):
    agent = sign_agent(authority, make_csr(make_key()), HQ, now)
    server = sign_server(authority, make_csr(make_key()), ["localhost", "::1"], now)
    assert (is_ca(authority.certificate), is_ca(agent), is_server(server), is_server(agent)) == (
        True,
        False,
        True,
        False,
    )
    assert server_names(server) == ["localhost", "::1"]
    assert server_names(authority.certificate) == []
    facts = describe(agent)
    assert facts["kind"] == "agent"
    assert (facts["agent"], facts["instance"]) == ("hq", "a1")
    assert facts["serial"] == serial_hex(agent.serial_number) == f"{agent.serial_number:x}"
    assert facts["not_after"] == "2026-03-08T12:00:00+00:00"
    assert facts["fingerprint"] == fingerprint(agent).hex()
    assert describe(server)["hosts"] == ["localhost", "::1"]
    assert describe(authority.certificate)["kind"] == "ca"
