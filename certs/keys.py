"""Private keys: ECDSA P-256, made on the machine that uses them, never anywhere but in 0600 files.

A key and its certificate chain can share one file (`write_pair`): then renewal replaces both in one step, and no
reader ever meets the new key beside the old certificate.
"""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from certs.errors import FileUnusable
from certs.files import read_private, write_private

PrivateKey = ec.EllipticCurvePrivateKey
"""The type of our keys, for those outside certs who pass one on."""


def make_key() -> PrivateKey:
    """Return a new P-256 private key."""
    return ec.generate_private_key(ec.SECP256R1())


def is_p256(key: PublicKeyTypes) -> bool:
    """Tell whether a public key is ECDSA on P-256, the only kind that our CA signs."""
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def key_to_pem(key: PrivateKey) -> bytes:
    """Return the key as unencrypted PKCS #8 PEM: secret, for 0600 files only."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_der(key: PublicKeyTypes) -> bytes:
    """Return the public key as SubjectPublicKeyInfo DER: two keys are the same when these bytes are."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_key(path: Path, key: PrivateKey, *, replace: bool = False) -> None:
    """Write a key alone into its file, 0600, atomically. An existing key is only replaced when asked to.

    Raises:
        FileExists, PrivateFileExposed, FileUnusable: see certs.files.write_private().
    """
    write_private(path, key_to_pem(key), replace=replace)


def write_pair(path: Path, key: PrivateKey, chain_pem: bytes, *, replace: bool = True) -> None:
    """Write key and certificate chain into one 0600 file, replacing both at once.

    Raises:
        FileExists, PrivateFileExposed, FileUnusable: see certs.files.write_private().
    """
    write_private(path, key_to_pem(key) + chain_pem, replace=replace)


def read_key(path: Path) -> PrivateKey:
    """Return the P-256 private key in a file, alone or in front of its certificate.

    Raises:
        PrivateFileExposed: other users can read the file.
        FileUnusable: it is missing, or holds no unencrypted P-256 key.
    """
    content = read_private(path)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FileUnusable(path, "holds no readable private key", "it must be unencrypted PEM") from error
    if not (isinstance(key, PrivateKey) and is_p256(key.public_key())):
        raise FileUnusable(path, "holds a key of another kind", "make an ECDSA P-256 key")
    return key
