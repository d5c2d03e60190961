"""Keys: the only kind, kept private."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.ca import sign_agent
from certs.certificates import to_pem
from certs.csr import make_csr
from certs.errors import FileExists, FileUnusable, PrivateFileExposed
from certs.identity import AgentIdentity
from certs.keys import is_p256, key_to_pem, make_key, public_der, read_key, write_key, write_pair


def same(one, other):
    return public_der(one.public_key()) == public_der(other.public_key())


def test_a_key_is_p256_and_never_made_twice():
    one, other = make_key(), make_key()
    assert is_p256(one.public_key())
    assert not same(one, other)


def test_a_key_survives_being_written_and_read(private):
    key = make_key()
    write_key(private / "a.key", key)
    assert same(read_key(private / "a.key"), key)


def test_a_key_is_not_overwritten_unless_asked(private):
    old, new = make_key(), make_key()
    write_key(private / "a.key", old)
    with pytest.raises(FileExists):
        write_key(private / "a.key", new)
    assert same(read_key(private / "a.key"), old)
    write_key(private / "a.key", new, replace=True)
    assert same(read_key(private / "a.key"), new)


def test_a_pair_in_one_file_gives_its_key(private, authority, now):
    key = make_key()
    certificate = sign_agent(authority, make_csr(key), AgentIdentity("hq", "i"), now)
    write_pair(private / "pair.pem", key, to_pem([certificate]))
    assert same(read_key(private / "pair.pem"), key)


def test_a_readable_key_is_refused(private):
    write_key(private / "a.key", make_key())
    (private / "a.key").chmod(0o640)
    with pytest.raises(PrivateFileExposed):
        read_key(private / "a.key")


def encrypted(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        key_to_pem(make_key())[:100],
        encrypted(make_key()),
        key_to_pem(ec.generate_private_key(ec.SECP384R1())),
        key_to_pem(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["empty", "text", "cut", "encrypted", "p384", "rsa"],
)
def test_anything_but_an_open_p256_key_is_refused(private, content):
    path = private / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(FileUnusable):
        read_key(path)
