"""TLS contexts: how they are set, and which files they refuse. Handshakes: tests/integration/test_certs_tls.py."""

import ssl
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization

from certs.ca import create_authority, sign_agent, sign_server
from certs.certificates import to_pem
from certs.csr import make_csr
from certs.errors import CertificateRejected, FileUnusable, PairMismatch, PrivateFileExposed
from certs.identity import AgentIdentity
from certs.keys import make_key, write_key, write_pair
from certs.tls import ServerFiles, TunnelTls, agent_context, unverified_context


@pytest.fixture
def files(private, authority, now):
    key = make_key()
    write_key(private / "s.key", key)
    (private / "s.pem").write_bytes(to_pem([sign_server(authority, make_csr(key), ["localhost"], now)]))
    (private / "ca.pem").write_bytes(authority.pem)
    return ServerFiles(private / "s.pem", private / "s.key", private / "ca.pem")


def test_every_context_speaks_tls_1_3_only(files, authority, now):
    for context in (TunnelTls(files, now).context, agent_context(authority.pem), unverified_context()):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_the_gateway_asks_for_a_certificate_and_hands_out_no_tickets(files, now):
    context = TunnelTls(files, now).context
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert context.num_tickets == 0


def test_the_agent_verifies_ca_and_host_name_and_trusts_only_the_bundle(authority):
    context = agent_context(authority.pem)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_what_only_openssl_would_read_as_a_certificate_is_not_trusted(authority, now):
    hidden = create_authority(now).pem.decode().replace("CERTIFICATE", "CERTéIFICATE").encode()
    for bundle in (hidden + authority.pem, authority.pem + hidden):
        assert len(agent_context(bundle).get_ca_certs()) == 1


def test_only_the_context_for_fetching_the_ca_trusts_anybody():
    context = unverified_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_an_exposed_key_is_refused(files, now):
    files.key.chmod(0o640)
    with pytest.raises(PrivateFileExposed):
        TunnelTls(files, now)


def test_a_key_of_another_certificate_is_refused(files, now):
    write_key(files.key, make_key(), replace=True)
    with pytest.raises(PairMismatch):
        TunnelTls(files, now)


def test_an_expired_server_certificate_is_refused(files, now):
    with pytest.raises(CertificateRejected):
        TunnelTls(files, now + timedelta(days=31))


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_files_with_something_else_in_them_are_refused(files, now, content):
    for path in (files.certificate, files.key, files.ca_bundle):
        before = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises((CertificateRejected, FileUnusable)):
            TunnelTls(files, now)
        path.write_bytes(before)
    TunnelTls(files, now)


def test_missing_files_are_refused(files, now):
    for path in (files.certificate, files.key, files.ca_bundle):
        before = path.read_bytes()
        path.unlink()
        with pytest.raises(FileUnusable):
            TunnelTls(files, now)
        path.write_bytes(before)
        path.chmod(0o600)


def test_an_encrypted_key_is_refused_without_asking_for_a_password(files, now):
    encryption = serialization.BestAvailableEncryption(b"x")
    files.key.write_bytes(
        make_key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    with pytest.raises(FileUnusable):
        TunnelTls(files, now)


def test_a_bundle_may_hold_only_cas(files, authority, now):
    with pytest.raises(CertificateRejected):
        agent_context(authority.pem + files.certificate.read_bytes())


def test_an_agents_pair_comes_out_of_one_private_file(private, authority, now):
    key = make_key()
    chain = to_pem([sign_agent(authority, make_csr(key), AgentIdentity("hq", "a1"), now)])
    write_pair(private / "agent.pem", key, chain)
    agent_context(authority.pem, private / "agent.pem")
    write_pair(private / "agent.pem", make_key(), chain)
    with pytest.raises(PairMismatch):
        agent_context(authority.pem, private / "agent.pem")
    (private / "agent.pem").chmod(0o644)
    with pytest.raises(PrivateFileExposed):
        agent_context(authority.pem, private / "agent.pem")
