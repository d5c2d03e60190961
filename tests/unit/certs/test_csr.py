"""Requests: proof of possession, and nothing else of them counts."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from certs.csr import MAX_CSR_BYTES, make_csr, proven_key
from certs.errors import CsrFlaw, CsrRejected
from certs.keys import make_key, public_der


def pem(request):
    return request.public_bytes(serialization.Encoding.PEM)


def armour(der):
    text = base64.encodebytes(bytes(der))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n"


def plain(key):
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())


def refused(content):
    with pytest.raises(CsrRejected) as error:
        proven_key(content)
    return error.value.flaw


def test_our_own_request_proves_its_key():
    key = make_key()
    assert public_der(proven_key(make_csr(key))) == public_der(key.public_key())


def test_a_request_signed_by_another_key_is_refused():
    # The public key of one request with the signature of another: what a thief of a public key could make.
    mine, theirs = make_key().public_key(), plain(make_key())
    own = theirs.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    foreign = mine.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    der = theirs.public_bytes(serialization.Encoding.DER).replace(own, foreign)
    assert refused(pem(x509.load_der_x509_csr(der))) is CsrFlaw.SIGNATURE


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa", "p384", "secp256k1"],
)
def test_other_kinds_of_key_are_refused(key):
    assert refused(pem(plain(key))) is CsrFlaw.KEY


def test_an_ed25519_key_is_refused():
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    assert refused(pem(request.sign(ed25519.Ed25519PrivateKey.generate(), None))) is CsrFlaw.KEY


def test_two_requests_in_one_are_refused():
    assert refused(make_csr(make_key()) * 2) is CsrFlaw.MALFORMED


def test_an_oversized_request_is_refused():
    assert refused(make_csr(make_key()) + b"\n" * MAX_CSR_BYTES) is CsrFlaw.MALFORMED


@given(st.binary(max_size=600))
def test_any_bytes_are_refused_with_our_own_error(content):
    assert refused(content) is CsrFlaw.MALFORMED


KEY = make_key()
DER = plain(KEY).public_bytes(serialization.Encoding.DER)  # made once: a signature's length varies


def test_a_request_of_another_version_is_refused():
    assert refused(armour(DER.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1))) is CsrFlaw.MALFORMED


@given(st.data())
def test_a_request_with_any_byte_changed_is_refused_or_proves_the_same_key(data):
    der = bytearray(DER)
    place = data.draw(st.integers(0, len(der) - 1))
    der[place] ^= data.draw(st.integers(1, 255))
    try:
        proven = proven_key(armour(der))
    except CsrRejected:
        return
    assert public_der(proven) == public_der(KEY.public_key())
