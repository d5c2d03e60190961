"""The certificate that a server showed, whoever it is: for telling people who answers in the place of whom.

Nothing here is trusted or decided: TLS verifies. Read with patience, as what intercepts TLS makes odd certificates.
"""

from dataclasses import dataclass
from datetime import datetime
from ssl import DER_cert_to_PEM_cert

from certs.certificates import issuer_of, read_certificates, server_names
from certs.errors import CertificateRejected

_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """What a server's certificate says of itself; `names` are DNS names and addresses."""

    pem: bytes
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    def is_issued_by(self, ca_bundle: bytes) -> bool:
        """Tell whether one of these CAs (PEM) signed it; raises CertificateRejected for a bundle that is none."""
        return issuer_of(read_certificates(self.pem)[0], read_certificates(ca_bundle)) is not None

    def is_for(self, host: str) -> bool:
        """Tell whether it names this host; a wildcard stands for one label (RFC 9525 §6.3)."""
        wanted = host.lower().rstrip(".")
        return any(_fits(name.lower(), wanted) for name in self.names)


def read_shown(der: bytes) -> ShownCertificate:
    """Return what the certificate of a TLS server says (`getpeercert(binary_form=True)`).

    Raises:
        CertificateRejected: it cannot be read.
    """
    pem = DER_cert_to_PEM_cert(der).encode("ascii")
    certificate = read_certificates(pem, "what the server showed")[0]
    try:
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    except ValueError:
        raise CertificateRejected(
            "the server's certificate has an unreadable name", "look at it with openssl"
        ) from None
    return ShownCertificate(
        pem=pem,
        subject=_short(subject),
        issuer=_short(issuer),
        names=tuple(server_names(certificate)),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _fits(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name.rstrip(".") == host


def _short(name: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in name)
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"
