"""Seals stored secrets with the gateway's secret key: AES-256-GCM, bound to the place of the value.

The key is JIRA_GATEWAY_SECRET_KEY, or is made in the state directory (0600) on first use. The bytes that
really encrypt are derived from it (HKDF-SHA256, RFC 5869), one key per purpose, so that any text of
32 characters or more is a good secret key. A sealed value moved to another row or column does not open.
"""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretBytes, SecretStr

KEY_FILE = "secret.key"
MIN_KEY_CHARACTERS = 32

_FORMAT = b"\x01"
_NONCE_BYTES = 12


class SealingError(Exception):
    """A secret key cannot be used; the text says what to do."""


class SecretKeyDamaged(SealingError):
    """The key file of the state directory does not hold the key that was written there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"the secret key {self.path} is damaged: put it back from a backup ('jira-gateway restore FILE'); "
            "with a new key nothing that is sealed in the store opens again"
        )


class SecretKeyTooShort(SealingError):
    """The configured secret key is too short to be random."""

    def __str__(self) -> str:
        return (
            f"JIRA_GATEWAY_SECRET_KEY must have at least {MIN_KEY_CHARACTERS} characters: "
            "make one with `openssl rand -base64 32`"
        )


class WrongSecretKey(SealingError):
    """A sealed value does not open with this key."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return (
            f"the secret key does not open {self.place}: set JIRA_GATEWAY_SECRET_KEY (or secret.key in the "
            "state directory) to the key that this store was made with, or restore a backup"
        )


class SecretKeyUnsafe(SealingError):
    """The key file may be read by others."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"the secret key {self.path} may be read by others: chmod 600 {self.path}"


class SecretKey:
    """The gateway's secret key. It has no printable form."""

    __slots__ = ("_sealing", "_text")

    def __init__(self, text: SecretStr) -> None:
        """Take the key's text.

        Raises:
            SecretKeyTooShort: it has fewer than 32 characters.
        """
        if len(text.get_secret_value()) < MIN_KEY_CHARACTERS:
            raise SecretKeyTooShort
        self._text = text
        self._sealing = AESGCM(self.derive(b"sealing"))

    def __repr__(self) -> str:
        return "SecretKey(***)"

    @property
    def text(self) -> SecretStr:
        """The key as configured, for the backup."""
        return self._text

    def derive(self, purpose: bytes) -> bytes:
        """Return 32 key bytes for one purpose; no purpose's bytes tell anything about another's."""
        material = self._text.get_secret_value().encode()
        return HKDF(SHA256(), 32, salt=None, info=b"jira-gateway/" + purpose).derive(material)

    def seal(self, plain: SecretBytes, place: str) -> bytes:
        """Encrypt a value for one place (`table/row/column`)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._sealing.encrypt(nonce, plain.get_secret_value(), place.encode())

    def unseal(self, sealed: bytes, place: str) -> SecretBytes:
        """Decrypt what `seal` made for the same place.

        Raises:
            WrongSecretKey: another key, another place, or changed bytes.
        """
        nonce, sealed_text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _FORMAT or len(nonce) < _NONCE_BYTES:
            raise WrongSecretKey(place)
        try:
            return SecretBytes(self._sealing.decrypt(nonce, sealed_text, place.encode()))
        except InvalidTag:
            raise WrongSecretKey(place) from None


def load_secret_key(state_dir: Path, configured: SecretStr | None) -> SecretKey:
    """Return the configured key, or the one in the state directory, making it when absent.

    Raises:
        SealingError: the key is too short, or its file is damaged or may be read by others.
        OSError: the file cannot be read or made.
    """
    if configured is not None:
        return SecretKey(configured)
    path = state_dir / KEY_FILE
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise SecretKeyUnsafe(path)
    try:
        return SecretKey(SecretStr(path.read_text(encoding="ascii").strip()))
    except (SecretKeyTooShort, UnicodeDecodeError):
        raise SecretKeyDamaged(path) from None


def _make(path: Path) -> None:
    """Write a new key completely before it gets its name; two makers end up with the same one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # someone else made it first: theirs is the key
    finally:
        draft.unlink()
