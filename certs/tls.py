"""The TLS contexts of the tunnel: 1.3 only, verified against the private CA, no resumption.

The gateway listens with `TunnelTls.context`, which lives as long as the process; `reload` changes the certificate and
the trusted CAs for new handshakes only after the new files have proven to work. The agent makes a context per
certificate. Raises the types of certs.errors, never ssl.SSLError.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from certs.certificates import is_ca, read_certificates
from certs.errors import CertificateRejected, FileUnusable, PairMismatch
from certs.files import check_private_file, read_public
from certs.renewal import is_expired

ALPN = ["http/1.1"]  # what a websocket upgrade is spoken in


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where a gateway keeps its certificate chain, its key (perhaps in the same file), and the CAs of its agents."""

    certificate: Path
    key: Path
    ca_bundle: Path


class TunnelTls:
    """The gateway's side of the tunnel's TLS, replaceable while it runs.

    A peer without a certificate gets through the handshake, because enrolment shares the port; who serves the tunnel
    path must demand `getpeercert(True)` and read it with certs.certificates.read_peer(). A certificate that is shown
    and not signed by a trusted CA, or expired, fails the handshake.
    """

    def __init__(self, files: ServerFiles, now: datetime) -> None:
        """Load everything; raises as reload() does."""
        self._files = files
        self._current = _server_context(files, now)
        # The listener's own context never changes: changing a live one is not atomic, and cannot take a CA away.
        self.context = _server_context(files, now)
        self.context.sni_callback = self._use_current

    def __repr__(self) -> str:
        return f"TunnelTls({self._files.certificate})"

    def reload(self, now: datetime) -> None:
        """Serve new handshakes with what the files hold now. On any error the old certificate and CAs stay in use.

        Raises:
            FileUnusable, PrivateFileExposed, PairMismatch, CertificateRejected: what is wrong with the new files.
        """
        self._current = _server_context(self._files, now)

    def _use_current(self, socket: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # Called in every handshake, also when the peer sends no name (dialled by IP address).
        socket.context = self._current


def agent_context(
    ca_bundle: bytes, identity_file: Path | None = None, source: Path | str = "the CA bundle"
) -> ssl.SSLContext:
    """Return the agent's context: verifies the gateway's CA and host name, shows the agent's certificate if given.

    Args:
        ca_bundle: the CAs to trust, PEM.
        identity_file: key and certificate chain in one 0600 file (certs.keys.write_pair); None while enrolling.
        source: where the CAs are from, for errors.

    Raises:
        FileUnusable, PrivateFileExposed, PairMismatch, CertificateRejected: what is wrong with them.
    """
    context = _tls13(ssl.PROTOCOL_TLS_CLIENT)
    _trust(context, ca_bundle, source)
    if identity_file is not None:
        _load_pair(context, identity_file, identity_file)
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a context that trusts anybody: only to fetch the CA certificate that the enrolment code pins."""
    context = _tls13(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _server_context(files: ServerFiles, now: datetime) -> ssl.SSLContext:
    certificate = read_certificates(read_public(files.certificate), files.certificate)[0]
    if is_expired(certificate.not_valid_after_utc, now):
        raise CertificateRejected(f"the certificate {files.certificate} is expired", "renew it")
    context = _tls13(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # nobody resumes: a third of the handshake's cost, and no way past a revocation
    context.verify_mode = ssl.CERT_OPTIONAL
    _trust(context, read_public(files.ca_bundle), files.ca_bundle)
    _load_pair(context, files.certificate, files.key)
    return context


def _tls13(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(ALPN)
    return context


def _trust(context: ssl.SSLContext, ca_bundle: bytes, source: Path | str) -> None:
    authorities = read_certificates(ca_bundle, source)
    if not all(map(is_ca, authorities)):
        raise CertificateRejected("the CA bundle holds a certificate that is no CA", "keep only CAs in it")
    # The certificates that were read, not the text that they were read from: two readers of PEM may see different ones.
    content = b"".join(each.public_bytes(serialization.Encoding.DER) for each in authorities)
    try:
        context.load_verify_locations(cadata=content)
    except ssl.SSLError as error:
        raise CertificateRejected("the CA bundle cannot be loaded", "write it as PEM") from error


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    check_private_file(key)
    try:
        # An empty password instead of a prompt on the terminal when the key is encrypted.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise PairMismatch(certificate, key) from error
        raise FileUnusable(key, "cannot be loaded as the key of a certificate", "use unencrypted PEM") from error
    except OSError as error:
        raise FileUnusable(key, "cannot be read", "check its owner and permissions") from error
