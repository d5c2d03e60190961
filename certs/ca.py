"""The private CA: created once, signs servers and agents by certs.profiles.

Pure but for the random serial numbers: keys and certificates in, certificates out; certs.ca_directory and the gateway
keep them. Never imported by the agent (tests/test_architecture.py): the customer's machine runs no issuing code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs import profiles
from certs.certificates import fingerprint, is_ca, read_certificates, to_pem
from certs.csr import proven_key
from certs.errors import AuthorityUnfit
from certs.identity import AgentIdentity
from certs.keys import PrivateKey, make_key, public_der
from certs.profiles import Profile


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign: its certificate and its private key. Printing it shows no key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The CA certificate as PEM: public."""
        return to_pem([self.certificate])

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 (32 bytes) that enrolment codes pin."""
        return fingerprint(self.certificate)


def create_authority(now: datetime, lifetime: timedelta | None = None) -> Authority:
    """Make a new CA with its own key.

    Raises:
        AuthorityUnfit: the lifetime is outside the profile.
    """
    key = make_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # The key's id in the name tells two CAs apart while both are in a bundle.
    subject = profiles.common_name(f"jira-tunnel CA {identifier.digest.hex()[:8]}")
    builder = _builder(profiles.CA, key.public_key(), profiles.validity(profiles.CA, now, lifetime))
    builder = builder.subject_name(subject).issuer_name(subject)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def restore_authority(bundle_pem: bytes, key: PrivateKey, source: Path | str = "the CA bundle") -> Authority:
    """Put a stored CA together again: the certificate of the bundle that belongs to the key. Errors name the `source`.

    Raises:
        CertificateRejected: the PEM is malformed.
        AuthorityUnfit: no CA certificate in it belongs to the key.
    """
    own = public_der(key.public_key())
    for certificate in read_certificates(bundle_pem, source):
        if is_ca(certificate) and public_der(certificate.public_key()) == own:
            return Authority(certificate, key)
    raise AuthorityUnfit("the CA's key does not belong to its certificate", "restore both from the same backup")


def sign_server(
    authority: Authority, csr_pem: bytes, hosts: Sequence[str], now: datetime, lifetime: timedelta | None = None
) -> x509.Certificate:
    """Return a certificate for a gateway reached by these DNS names and IP addresses.

    Raises:
        CsrRejected: no proof of possession of a P-256 key.
        NameRejected: a host is not usable.
        AuthorityUnfit: the CA is expired, or the lifetime is outside the profile.
    """
    names = profiles.host_names(hosts)
    return _sign(authority, profiles.SERVER, csr_pem, ("jira-gateway", names), now, lifetime)


def sign_agent(
    authority: Authority, csr_pem: bytes, identity: AgentIdentity, now: datetime, lifetime: timedelta | None = None
) -> x509.Certificate:
    """Return a certificate for one agent instance. Everything but the public key comes from the caller's record.

    Raises:
        CsrRejected: no proof of possession of a P-256 key.
        AuthorityUnfit: the CA is expired, or the lifetime is outside the profile.
    """
    names = profiles.agent_names(identity)
    return _sign(authority, profiles.AGENT, csr_pem, (identity.name, names), now, lifetime)


def _sign(
    authority: Authority,
    profile: Profile,
    csr_pem: bytes,
    subject: tuple[str, x509.SubjectAlternativeName],
    now: datetime,
    lifetime: timedelta | None,
) -> x509.Certificate:
    start, end = profiles.validity(profile, now, lifetime)
    ca_end = authority.certificate.not_valid_after_utc
    if now >= ca_end:
        raise AuthorityUnfit(f"the CA expired at {ca_end:%Y-%m-%d %H:%M} UTC", "make a new CA and enroll again")
    issuer_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id)
    builder = _builder(profile, proven_key(csr_pem), (start, min(end, ca_end)))
    builder = builder.subject_name(profiles.common_name(subject[0])).issuer_name(authority.certificate.subject)
    builder = builder.add_extension(subject[1], critical=False).add_extension(issuer, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    profile: Profile, key: ec.EllipticCurvePublicKey, valid: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(profile.constraints, critical=True)
        .add_extension(profile.key_usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if profile.extended_key_usage is None:
        return builder
    return builder.add_extension(profile.extended_key_usage, critical=False)
