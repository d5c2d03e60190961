"""Throw-away certificates for a stand-in that speaks TLS, and contexts made from them."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A self-signed certificate (its own CA) and its key, as PEM files."""

    cert: Path
    key: Path

    @property
    def ca(self) -> Path:
        """What a client trusts."""
        return self.cert


def make_certificate(directory: Path, names: tuple[str, ...] = ("localhost", "127.0.0.1")) -> TlsFiles:
    """Write a fresh certificate for these host names and addresses, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    files = TlsFiles(directory / "jira-cert.pem", directory / "jira-key.pem")
    encoding = serialization.Encoding.PEM
    files.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(encoding))
    pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files.key.write_bytes(pem)
    return files


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_context(cert: Path | str, key: Path | str) -> ssl.SSLContext:
    """For the stand-in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def client_context(ca: Path | str) -> ssl.SSLContext:
    """For a client that trusts only this stand-in."""
    return ssl.create_default_context(cafile=str(ca))
