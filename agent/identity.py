"""The files of the state directory that enrolment writes and the tunnel reads.

``agent.pem`` (key and certificate, 0600) is written last: where it is, everything else is. Its absence means "not
enrolled". An enrolment is whole from the moment that ``enrolment.pending.json`` is there, and is written out from it
by whoever comes next; before that the old identity is untouched. A renewed pair waits in ``agent.next.pem`` until it
has proven to work. Knows nothing of sockets; whoever dials asks for a fresh `Identity` each time, so that a renewal or
a new enrolment takes effect with the next dial.
"""

import fcntl
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.addresses import GatewayAddress
from certs.certificates import AgentCertificate, read_agent_certificate, read_certificates
from certs.errors import CertsError
from certs.files import private_directory, read_private, read_public, write_private, write_public
from certs.keys import PrivateKey, key_to_pem, write_pair
from certs.renewal import is_expired
from certs.tls import agent_context

IDENTITY_FILE = "agent.pem"
NEXT_FILE = "agent.next.pem"
PENDING_FILE = "enrolment.pending.json"
CA_FILE = "gateway-ca.pem"
GATEWAY_FILE = "gateway.url"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is for its gateway, and what it needs to prove it.

    One that is not in force yet has its pair in another file, and brings the CAs that it trusts (PEM).
    """

    certificate: AgentCertificate
    directory: Path
    gateway: GatewayAddress
    file: str = IDENTITY_FILE
    bundle: bytes | None = None

    @property
    def name(self) -> str:
        """The agent's name as the gateway's operator gave it."""
        return self.certificate.identity.name

    @property
    def instance(self) -> str:
        """Which of the instances enrolled under that name this is."""
        return self.certificate.identity.instance

    def is_expired(self, now: datetime) -> bool:
        """Whether no gateway accepts the certificate any more."""
        return is_expired(self.certificate.not_after, now)

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that shows this identity and trusts only its gateway's CA.

        Raises:
            CertsError: a file is missing, exposed, or does not fit the other.
        """
        source = self.directory / CA_FILE
        bundle = read_public(source) if self.bundle is None else self.bundle
        return agent_context(bundle, self.directory / self.file, source)


def is_enrolled(directory: Path) -> bool:
    """Tell whether enrolment has finished in this state directory."""
    return (directory / IDENTITY_FILE).exists() or (directory / PENDING_FILE).exists()


def read_identity(directory: Path) -> Identity:
    """Return the identity in a state directory.

    Raises:
        CertsError: a file is missing, exposed to other users, or not what it should be.
    """
    _finish_enrolment(directory)
    certificate = read_certificates(read_private(directory / IDENTITY_FILE), directory / IDENTITY_FILE)[0]
    address = read_public(directory / GATEWAY_FILE).decode("utf-8", "replace").strip()
    try:
        gateway = GatewayAddress.parse(address)
    except ValueError as error:
        raise CertsError(f"{directory / GATEWAY_FILE} {error}", "enroll again") from None
    return Identity(read_agent_certificate(certificate), directory, gateway)


def store_identity(
    directory: Path, key: PrivateKey, certificate: bytes, ca_bundle: bytes, gateway: GatewayAddress
) -> None:
    """Write what enrolment brought, each file atomically, the private one last; an earlier identity is replaced.

    Raises:
        CertsError: the directory is not private or not writable.
    """
    private_directory(directory)
    with _locked(directory):
        pair = key_to_pem(key) + certificate
        whole = {"gateway": f"{gateway}\n", "ca": ca_bundle.decode("ascii"), "pair": pair.decode("ascii")}
        write_private(directory / PENDING_FILE, json.dumps(whole).encode("ascii"))  # from here on it counts
        _write_out(directory)


def _finish_enrolment(directory: Path) -> None:
    """Write out an enrolment that was cut off after it was complete: three files cannot change in one step."""
    if not (directory / PENDING_FILE).exists():
        return
    try:
        with _locked(directory, waits=False):
            if (directory / PENDING_FILE).exists():
                _write_out(directory)
    except BlockingIOError:
        return  # somebody else is at it


def _write_out(directory: Path) -> None:
    try:
        whole = json.loads(read_private(directory / PENDING_FILE))
        gateway, ca, pair = (str(whole[part]).encode("ascii") for part in ("gateway", "ca", "pair"))
    except (ValueError, KeyError, TypeError) as error:
        raise CertsError(f"{directory / PENDING_FILE} is damaged", "remove it, and enroll again") from error
    write_public(directory / GATEWAY_FILE, gateway)
    write_public(directory / CA_FILE, ca)
    write_private(directory / IDENTITY_FILE, pair)
    (directory / PENDING_FILE).unlink(missing_ok=True)


def store_next(identity: Identity, key: PrivateKey, certificate: bytes, ca_bundle: bytes) -> Identity:
    """Write a renewed pair beside the one in force, and return the identity that it would be.

    Raises:
        CertsError: it cannot be written, or is no agent's certificate.
    """
    renewed = read_agent_certificate(read_certificates(certificate)[0])
    write_pair(identity.directory / NEXT_FILE, key, certificate)
    return Identity(renewed, identity.directory, identity.gateway, NEXT_FILE, ca_bundle)


def adopt(renewed: Identity, old: Identity) -> bool:
    """Put a renewed identity into force; False when the old one is not in force any more: somebody has enrolled.

    The CAs go first: they have proven to fit the gateway, and the gateway takes the old pair until its end. So whatever
    instant is the last one, what lies here works.

    Raises:
        CertsError: a file cannot be read or written.
    """
    directory = renewed.directory
    with _locked(directory):
        if read_identity(directory).certificate.serial != old.certificate.serial:
            return False
        pair = read_private(directory / renewed.file)
        if renewed.bundle is not None:
            write_public(directory / CA_FILE, renewed.bundle)
        write_private(directory / IDENTITY_FILE, pair)
    forget_next(directory)
    return True


def forget_next(directory: Path) -> None:
    """Remove a renewed pair that did not come into force, or has."""
    (directory / NEXT_FILE).unlink(missing_ok=True)


def stamp(directory: Path) -> tuple[int, int] | None:
    """Return what differs whenever another identity is in force; None while there is none."""
    try:
        status = (directory / IDENTITY_FILE).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


@contextmanager
def _locked(directory: Path, *, waits: bool = True) -> Iterator[None]:
    """Hold the directory's lock: a renewal must not overwrite an enrolment that another process has just made.

    Raises `BlockingIOError` when somebody else holds it and this does not wait.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CertsError(f"{directory} cannot be changed ({error.strerror})", "check its owner and mode") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
