"""Enrolment: the one-time code, and the messages by which an agent gets its first certificate (docs/protocol.md).

1. The agent connects without verifying, and the gateway's first message is its CA certificate (PEM). The agent compares
   its SHA-256 with the code's (`check_ca`) and hangs up. Nothing secret has been sent.
2. It reconnects, now verifying CA and host name, and sends an `EnrollmentRequest`.
3. The gateway answers with an `EnrollmentGrant`, or a refusal. The agent checks that the grant fits its own key.

No I/O, no clock, no store. A secret never appears in an error or a repr.
"""

import binascii
import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretBytes, SecretStr

from certs.certificates import (
    AgentCertificate,
    fingerprint,
    issuer_of,
    read_agent_certificate,
    read_certificates,
    to_pem,
)
from certs.csr import MAX_CSR_BYTES
from certs.errors import (
    CertificateRejected,
    CodeFlaw,
    CodeRejected,
    EnrollmentRefused,
    GatewayUntrusted,
    MessageRejected,
    RefusalReason,
)
from certs.identity import AgentIdentity
from certs.keys import PrivateKey, public_der

CODE_PREFIX = "jte_"
MAX_CODE_LENGTH = 1024
SECRET_BYTES = 32
MAX_REQUEST_BYTES = 16 * 1024
MAX_GRANT_BYTES = 64 * 1024
MAX_CA_BYTES = 32 * 1024  # the first message of the gateway

_VERSION = 1
_DIGEST = 32
_CHECKSUM = 4
_HOST = re.compile(r"[a-z0-9._:-]{1,253}", re.ASCII)
_SHORTEST = 1 + SECRET_BYTES + _DIGEST + _CHECKSUM


@dataclass(frozen=True, slots=True)
class EnrollmentCode:
    """What a code says: the one-time secret (32 bytes), `wss://host[:port]`, and the SHA-256 of the CA certificate."""

    secret: SecretBytes
    address: str
    ca_fingerprint: bytes


def make_code(address: str, ca_fingerprint: bytes) -> EnrollmentCode:
    """Return a code with a new random secret.

    Raises:
        CodeRejected: the address is not `wss://host[:port]`.
    """
    return EnrollmentCode(SecretBytes(secrets.token_bytes(SECRET_BYTES)), _checked_address(address), ca_fingerprint)


def write_code(code: EnrollmentCode) -> SecretStr:
    """Return the code as the one line that the operator hands over."""
    body = bytes([_VERSION]) + code.secret.get_secret_value() + code.ca_fingerprint + code.address.encode("ascii")
    return SecretStr(CODE_PREFIX + _encode(body + _checksum(body)))


def parse_code(text: str) -> EnrollmentCode:
    """Read a code; white space around it is forgiven, anything else must be as written by `write_code`.

    Raises:
        CodeRejected: cut, mistyped, made by a newer release, or no code at all.
    """
    text = text.strip()
    if not text.startswith(CODE_PREFIX):
        raise CodeRejected(CodeFlaw.PREFIX)
    payload = _decoded(text.removeprefix(CODE_PREFIX))
    body, checksum = payload[:-_CHECKSUM], payload[-_CHECKSUM:]
    if len(payload) < _SHORTEST or checksum != _checksum(body):
        raise CodeRejected(CodeFlaw.DAMAGED)
    if body[0] != _VERSION:
        raise CodeRejected(CodeFlaw.VERSION)
    secret, rest = body[1 : 1 + SECRET_BYTES], body[1 + SECRET_BYTES :]
    address = _checked_address(rest[_DIGEST:].decode("ascii", "replace"))
    return EnrollmentCode(SecretBytes(secret), address, rest[:_DIGEST])


def secret_hash(secret: SecretBytes) -> bytes:
    """Return what the gateway stores instead of the secret: SHA-256 (32 bytes). 256 random bits need no slow hash."""
    return hashlib.sha256(secret.get_secret_value()).digest()


def check_ca(ca_pem: bytes, expected_fingerprint: bytes) -> bytes:
    """Return the CA certificate (PEM) out of the gateway's first message, if it is the one that the code names.

    It is written anew, so that whatever else the message held is trusted nowhere.

    Raises:
        GatewayUntrusted: it is another CA: a wrong address, or somebody in between.
        MessageRejected: the message is no certificate.
    """
    if len(ca_pem) > MAX_CA_BYTES:
        raise MessageRejected("is too large")
    try:
        offered = read_certificates(ca_pem)
    except CertificateRejected as error:
        raise MessageRejected("is no CA certificate") from error
    if len(offered) != 1 or fingerprint(offered[0]) != expected_fingerprint:
        issuers = ", ".join(each.subject.rfc4514_string()[:100] for each in offered)
        raise GatewayUntrusted(
            f"the server at this address shows another CA ({issuers}) than the enrolment code names",
            "check the address and whether a proxy intercepts TLS; nothing secret was sent",
        )
    return to_pem(offered)


@dataclass(frozen=True, slots=True)
class EnrollmentRequest:
    """Agent to gateway: the code's secret, and a signing request for the key that the agent made."""

    secret: SecretBytes
    csr: bytes

    def to_json(self) -> bytes:
        """Return the message; it holds the secret, so it goes nowhere but into the verified socket."""
        return _dump(version=_VERSION, secret=_encode(self.secret.get_secret_value()), csr=self.csr.decode("ascii"))

    @classmethod
    def from_json(cls, message: bytes | str) -> Self:
        """Read the message.

        Raises:
            MessageRejected: too large, other fields than these, or values of another form.
        """
        fields = _load(message, MAX_REQUEST_BYTES, {"secret", "csr"})
        try:
            secret = urlsafe_b64decode(fields["secret"] + "=")
        except ValueError as error:
            raise MessageRejected("holds a malformed secret") from error
        if len(secret) != SECRET_BYTES or _encode(secret) != fields["secret"]:
            raise MessageRejected("holds a malformed secret")
        if len(fields["csr"]) > MAX_CSR_BYTES:
            raise MessageRejected("holds too large a signing request")
        return cls(SecretBytes(secret), fields["csr"].encode("ascii"))


@dataclass(frozen=True, slots=True)
class EnrollmentGrant:
    """Gateway to agent: the certificate (PEM), and every CA to trust from now on (PEM bundle)."""

    certificate: bytes
    ca_bundle: bytes

    def to_json(self) -> bytes:
        """Return the message."""
        return _dump(version=_VERSION, certificate=self.certificate.decode("ascii"), ca=self.ca_bundle.decode("ascii"))

    @classmethod
    def from_json(cls, message: bytes | str) -> Self:
        """Read the gateway's answer.

        Raises:
            EnrollmentRefused: the answer is a refusal.
            MessageRejected: it is neither a grant nor a refusal.
        """
        raw = _object(message, MAX_GRANT_BYTES)
        if "refused" in raw:
            raise EnrollmentRefused(_reason(raw["refused"]))
        fields = _checked(raw, {"certificate", "ca"})
        return cls(fields["certificate"].encode("ascii"), fields["ca"].encode("ascii"))

    def check(self, key: PrivateKey, ca_fingerprint: bytes) -> AgentCertificate:
        """Return who the agent now is, after checking the grant against its own key and the pinned CA.

        Raises:
            GatewayUntrusted: the certificate is for another key, or not signed by a CA of the bundle, or the bundle
                lacks the CA that was pinned.
            CertificateRejected: it is not an agent's certificate, or malformed.
        """
        return self._check(key, {ca_fingerprint}, "the CA of the enrolment code")

    def check_renewal(self, key: PrivateKey, identity: AgentIdentity, trusted: bytes) -> AgentCertificate:
        """Return the renewed certificate, after checking the grant against the new key, our name, and the CAs so far.

        Args:
            key: the one that was made for this renewal.
            identity: who we are; a renewal changes no name.
            trusted: the CAs that are trusted now (PEM). They may change, but not all at once.

        Raises:
            GatewayUntrusted: the certificate is for another key or name, or not signed by a CA of the bundle, or none
                of the bundle is trusted now.
            CertificateRejected: it is not an agent's certificate, or malformed.
        """
        certificate = self._check(key, set(map(fingerprint, read_certificates(trusted))), "any CA that is trusted here")
        if certificate.identity != identity:
            raise GatewayUntrusted(f"the granted certificate is for {certificate.identity}", "tell its operator")
        return certificate

    def _check(self, key: PrivateKey, trusted: set[bytes], what: str) -> AgentCertificate:
        certificate = read_certificates(self.certificate)[0]
        bundle = read_certificates(self.ca_bundle)
        if public_der(certificate.public_key()) != public_der(key.public_key()):
            raise GatewayUntrusted("the granted certificate is for another key", "enroll again with a new code")
        if trusted.isdisjoint(map(fingerprint, bundle)) or issuer_of(certificate, bundle) is None:
            raise GatewayUntrusted(f"the granted certificate does not go back to {what}", "enroll again")
        return read_agent_certificate(certificate)


def refusal(reason: RefusalReason) -> bytes:
    """Return the message by which a gateway refuses to enroll."""
    return _dump(version=_VERSION, refused=reason.value)


def _reason(value: object) -> RefusalReason:
    try:
        return RefusalReason(value)
    except ValueError:
        return RefusalReason.INTERNAL  # a newer gateway's reason: still a refusal


def _dump(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def _load(message: bytes | str, limit: int, names: set[str]) -> dict[str, str]:
    return _checked(_object(message, limit), names)


def _object(message: bytes | str, limit: int) -> dict[str, object]:
    if len(message) > limit:
        raise MessageRejected("is too large")
    try:
        value = json.loads(message, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise MessageRejected("is not JSON") from error
    if not isinstance(value, dict):
        raise MessageRejected("is not an object")
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError
    return fields


def _checked(fields: dict[str, object], names: set[str]) -> dict[str, str]:
    version = fields.get("version")
    if type(version) is not int or version != _VERSION:  # True and 1.0 are equal to 1, and not it
        raise MessageRejected("is of another version")
    texts = {name: value for name, value in fields.items() if isinstance(value, str) and value.isascii()}
    if set(texts) != names or len(fields) != len(names) + 1:
        raise MessageRejected("has other fields than it should")
    return texts


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    if len(text) > MAX_CODE_LENGTH or not text.isascii():
        raise CodeRejected(CodeFlaw.DAMAGED)
    try:
        payload = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise CodeRejected(CodeFlaw.DAMAGED) from error
    if _encode(payload) != text:  # the decoder skips what it does not know, and ignores spare bits
        raise CodeRejected(CodeFlaw.DAMAGED)
    return payload


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"jira-tunnel enrolment code" + body).digest()[:_CHECKSUM]


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise CodeRejected(CodeFlaw.ADDRESS) from error
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    port_shown = "" if port is None else f":{port}"
    # Written back from its parts: whatever else was in there (path, user, query, odd spelling) makes a difference.
    if not _HOST.fullmatch(host) or port == 0 or address != f"wss://{shown}{port_shown}":
        raise CodeRejected(CodeFlaw.ADDRESS)
    return address
