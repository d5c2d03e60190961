"""Certificate signing requests: made by the agent, checked by whoever signs.

A request proves one thing, that the sender holds the private key. Whatever else it asks for (names, CA rights,
lifetimes) is not even read: those come from our own record (docs/security.md).
"""

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certs.certificates import MALFORMED
from certs.errors import CsrFlaw, CsrRejected
from certs.keys import PrivateKey, is_p256

MAX_CSR_BYTES = 8192  # ours have 300 to 400


def make_csr(key: PrivateKey) -> bytes:
    """Return a PEM request signed by the key (proof of possession, RFC 2986). It asks for no name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jira-tunnel")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def proven_key(csr_pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of a request whose sender has proven to hold the private one.

    Raises:
        CsrRejected: malformed, too large, not P-256, or the signature is not by that key.
    """
    request = _parse(csr_pem)
    try:
        key = request.public_key()
    except MALFORMED as error:
        raise CsrRejected(CsrFlaw.KEY) from error
    # The kind of key first: verifying a giant RSA signature is work that a stranger could order.
    if not (isinstance(key, ec.EllipticCurvePublicKey) and is_p256(key)):
        raise CsrRejected(CsrFlaw.KEY)
    if not _is_signature_valid(request):
        raise CsrRejected(CsrFlaw.SIGNATURE)
    return key


def _parse(csr_pem: bytes) -> x509.CertificateSigningRequest:
    if len(csr_pem) > MAX_CSR_BYTES or csr_pem.count(b"-----BEGIN") != 1:
        raise CsrRejected(CsrFlaw.MALFORMED)
    try:
        return x509.load_pem_x509_csr(csr_pem)
    except MALFORMED as error:
        raise CsrRejected(CsrFlaw.MALFORMED) from error


def _is_signature_valid(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except MALFORMED:
        return False
