"""Certificates read: what is in them, who they name, who signed them. Nothing here issues.

The chain of a peer has been verified by TLS before `peer_identity` sees the certificate; here only its meaning is
read, as strictly as it was written.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.errors import CertificateRejected
from certs.identity import AgentIdentity

Certificate = x509.Certificate
"""The type, for those outside certs who pass one on."""

MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises on input made to break it; the last four are no ValueError."""

MAX_BUNDLE_CERTIFICATES = 16  # two CAs overlap in a rotation; an operator's own PKI may bring a few more


@contextmanager
def _oddities_allowed() -> Iterator[None]:
    """Read what is odd but harmless (a serial of zero, a country of three letters) without a warning on a terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def read_certificates(pem: bytes, source: Path | str = "this") -> list[x509.Certificate]:
    """Return the certificates of a PEM chain or bundle, in order; at least one. Errors name the `source`.

    Raises:
        CertificateRejected: there is none, one is malformed, or there are more than 16.
    """
    try:
        with _oddities_allowed():
            certificates = [_sound(each) for each in x509.load_pem_x509_certificates(pem)]
    except MALFORMED as error:
        raise CertificateRejected(
            f"{source} is not a certificate in PEM form", "put back the one that was there, or name another"
        ) from error
    if len(certificates) > MAX_BUNDLE_CERTIFICATES:
        raise CertificateRejected(f"{source} holds more than 16 certificates", "keep only the CAs of the tunnel")
    return certificates


def to_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Return a chain or bundle as PEM, in the order given."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 (32 bytes) of the certificate's DER: what an enrolment code pins."""
    return certificate.fingerprint(hashes.SHA256())


def serial_hex(serial: int) -> str:
    """Return a serial number as people and logs write it: lower-case hexadecimal."""
    return f"{serial:x}"


@dataclass(frozen=True, slots=True)
class AgentCertificate:
    """What the gateway needs to know of a peer: who, which certificate, until when, and the key id of who signed it."""

    identity: AgentIdentity
    serial: int
    not_before: datetime
    not_after: datetime
    signer: bytes = b""


@_oddities_allowed()
def read_agent_certificate(certificate: x509.Certificate) -> AgentCertificate:
    """Return what an agent's certificate says.

    Raises:
        CertificateRejected: it is not a client certificate with exactly one URI that names an agent.
    """
    return AgentCertificate(
        identity=_identity(certificate),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        signer=_signer(certificate),
    )


def _signer(certificate: x509.Certificate) -> bytes:
    """Return the id of the key that signed it, as the certificate says (RFC 5280 §4.2.1.1); empty when it does not."""
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""
    except MALFORMED:
        return b""


def key_id(ca: x509.Certificate) -> bytes:
    """Return the id of a CA's key, as the certificates say that it signs."""
    try:
        return ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except MALFORMED:
        return b""


def read_peer(der: bytes) -> AgentCertificate:
    """Return what the certificate of a TLS peer says (`getpeercert(binary_form=True)`).

    Raises:
        CertificateRejected: it is not an agent's certificate.
    """
    try:
        with _oddities_allowed():
            certificate = _sound(x509.load_der_x509_certificate(der))
    except MALFORMED as error:
        raise _not_an_agent() from error
    return read_agent_certificate(certificate)


def peer_identity(der: bytes) -> AgentIdentity:
    """Return who the certificate of a TLS peer names.

    Raises:
        CertificateRejected: it is not an agent's certificate.
    """
    return read_peer(der).identity


def server_names(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names and IP addresses of a server certificate, in its order; empty for others."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except MALFORMED:
        return []
    return [str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]


def is_server(certificate: x509.Certificate) -> bool:
    """Tell whether TLS clients accept the certificate from a server."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except MALFORMED:
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH in usages


def is_ca(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except MALFORMED:
        return False


def issuer_of(certificate: x509.Certificate, bundle: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Return the CA of the bundle that signed the certificate, or None."""
    return next((ca for ca in bundle if is_ca(ca) and _signed_by(certificate, ca)), None)


@_oddities_allowed()
def describe(certificate: x509.Certificate) -> dict[str, object]:
    """Return what people and programs want to know of a certificate, ready for JSON."""
    if is_ca(certificate):
        who: dict[str, object] = {"kind": "ca"}
    elif is_server(certificate):
        who = {"kind": "server", "hosts": server_names(certificate)}
    else:
        identity = read_agent_certificate(certificate).identity
        who = {"kind": "agent", "agent": identity.name, "instance": identity.instance}
    return who | {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": serial_hex(certificate.serial_number),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "fingerprint": fingerprint(certificate).hex(),
    }


def _sound(certificate: x509.Certificate) -> x509.Certificate:
    """Touch everything that cryptography parses late, so that what is broken fails here and nowhere else."""
    _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key())
    return certificate


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (*MALFORMED, InvalidSignature):
        return False
    return True


def _identity(certificate: x509.Certificate) -> AgentIdentity:
    try:
        extensions = certificate.extensions
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except MALFORMED as error:
        raise _not_an_agent() from error
    if list(usages) != [ExtendedKeyUsageOID.CLIENT_AUTH] or is_ca(certificate):
        raise _not_an_agent()
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise _not_an_agent()
    return AgentIdentity.from_uri(names[0].value)


def _not_an_agent() -> CertificateRejected:
    return CertificateRejected("the certificate is not an agent's", "present the one made by enrolment")
