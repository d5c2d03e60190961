"""Every field of what the CA issues, and everything it does not believe."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.ca import create_authority, restore_authority, sign_agent, sign_server
from certs.certificates import issuer_of, to_pem
from certs.csr import make_csr
from certs.errors import AuthorityUnfit, CertificateRejected, CsrFlaw, CsrRejected, NameRejected
from certs.identity import AgentIdentity
from certs.keys import key_to_pem, make_key, public_der

HQ = AgentIdentity("headquarters", "a1")


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def usages(certificate):
    usage = extension(certificate, x509.KeyUsage)
    assert usage.critical
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign")  # fmt: skip
    return {name for name in names if getattr(usage.value, name)}


def common_checks(certificate, key, now):
    assert certificate.version is x509.Version.v3
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)
    assert public_der(certificate.public_key()) == public_der(key.public_key())
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert certificate.not_valid_before_utc == now.replace(microsecond=0) - timedelta(minutes=5)
    assert 1 << 64 < certificate.serial_number < 1 << 159
    assert extension(certificate, x509.BasicConstraints).critical
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    assert extension(certificate, x509.SubjectKeyIdentifier).value == identifier


def leaf_checks(certificate, authority):
    assert certificate.issuer == authority.certificate.subject
    certificate.verify_directly_issued_by(authority.certificate)
    assert extension(certificate, x509.BasicConstraints).value == x509.BasicConstraints(ca=False, path_length=None)
    assert usages(certificate) == {"digital_signature"}
    own = extension(authority.certificate, x509.SubjectKeyIdentifier).value.digest
    assert extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier == own
    assert len(certificate.extensions) == 6


def test_every_field_of_the_ca(now):
    authority = create_authority(now)
    certificate = authority.certificate
    common_checks(certificate, authority.key, now)
    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_after_utc == now.replace(microsecond=0) + timedelta(days=3652)
    assert extension(certificate, x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    assert usages(certificate) == {"key_cert_sign", "crl_sign"}
    assert len(certificate.extensions) == 4
    assert authority.fingerprint == certificate.fingerprint(hashes.SHA256())


def test_every_field_of_an_agent_certificate(authority, now):
    key = make_key()
    certificate = sign_agent(authority, make_csr(key), HQ, now)
    common_checks(certificate, key, now)
    leaf_checks(certificate, authority)
    assert certificate.not_valid_after_utc == now.replace(microsecond=0) + timedelta(days=7)
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = extension(certificate, x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://jira-tunnel/agent/headquarters/a1")]
    assert certificate.subject.rfc4514_string() == "CN=headquarters"


def test_every_field_of_a_server_certificate(authority, now):
    key = make_key()
    certificate = sign_server(authority, make_csr(key), ["gateway.example.com", "10.0.0.1"], now)
    common_checks(certificate, key, now)
    leaf_checks(certificate, authority)
    assert certificate.not_valid_after_utc == now.replace(microsecond=0) + timedelta(days=30)
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = extension(certificate, x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["gateway.example.com", "10.0.0.1"]
    assert certificate.subject.rfc4514_string() == "CN=jira-gateway"


def test_names_rights_and_usages_asked_for_in_a_request_are_ignored(authority, now):
    key = make_key()
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone-else")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([
            x509.UniformResourceIdentifier("spiffe://jira-tunnel/agent/someone-else/x"),
            x509.DNSName("gateway.example.com"),
        ]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    csr = greedy.public_bytes(serialization.Encoding.PEM)
    certificate = sign_agent(authority, csr, HQ, now)
    leaf_checks(certificate, authority)
    names = extension(certificate, x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(HQ.uri)]
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.subject.rfc4514_string() == "CN=headquarters"


def test_without_proof_of_possession_nothing_is_signed(authority, now):
    rsa_request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    rsa_request = rsa_request.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256())
    for csr, flaw in (
        (rsa_request.public_bytes(serialization.Encoding.PEM), CsrFlaw.KEY),
        (b"nonsense", CsrFlaw.MALFORMED),
    ):
        for sign in (
            lambda csr: sign_agent(authority, csr, HQ, now),
            lambda csr: sign_server(authority, csr, ["h"], now),
        ):
            with pytest.raises(CsrRejected) as refused:
                sign(csr)
            assert refused.value.flaw is flaw


def test_a_bad_host_is_refused_before_signing(authority, now):
    with pytest.raises(NameRejected):
        sign_server(authority, make_csr(make_key()), ["*.example.com"], now)


def test_a_lifetime_can_be_chosen_within_limits(authority, now):
    certificate = sign_agent(authority, make_csr(make_key()), HQ, now, timedelta(hours=1))
    assert certificate.not_valid_after_utc == now.replace(microsecond=0) + timedelta(hours=1)
    with pytest.raises(AuthorityUnfit):
        sign_agent(authority, make_csr(make_key()), HQ, now, timedelta(days=31))


def test_nothing_outlives_the_ca_and_an_expired_ca_signs_nothing(now):
    authority = create_authority(now, timedelta(days=1))
    end = authority.certificate.not_valid_after_utc
    certificate = sign_agent(authority, make_csr(make_key()), HQ, now)
    assert certificate.not_valid_after_utc == end
    with pytest.raises(AuthorityUnfit):
        sign_agent(authority, make_csr(make_key()), HQ, end)


def test_serial_numbers_differ(authority, now):
    csr = make_csr(make_key())
    assert len({sign_agent(authority, csr, HQ, now).serial_number for _ in range(20)}) == 20


def test_a_stored_ca_is_restored_by_its_key_out_of_a_bundle(authority, now):
    other = create_authority(now)
    for bundle in (authority.pem + other.pem, other.pem + authority.pem):
        restored = restore_authority(bundle, authority.key)
        assert restored.certificate == authority.certificate
    certificate = sign_agent(restored, make_csr(make_key()), HQ, now)
    assert issuer_of(certificate, [other.certificate, authority.certificate]) == authority.certificate


def test_a_ca_is_not_restored_from_what_does_not_fit(authority, now):
    key = make_key()
    leaf = to_pem([sign_agent(authority, make_csr(key), HQ, now)])
    for bundle, wrong_key in ((authority.pem, make_key()), (leaf, key)):
        with pytest.raises(AuthorityUnfit):
            restore_authority(bundle, wrong_key)
    with pytest.raises(CertificateRejected):
        restore_authority(b"nonsense", key)


def test_printing_a_ca_shows_no_key(authority):
    secret = key_to_pem(authority.key).decode().splitlines()[1]
    assert secret not in repr(authority)
    assert "key" not in repr(authority).lower().replace("publickey", "")
