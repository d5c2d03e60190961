"""The files of the state directory that enrolment writes and the tunnel reads.

``agent.pem`` (key and certificate, 0600) is written last: where it is, everything else is. Its absence means "not
enrolled". Knows nothing of sockets; whoever dials asks for a fresh `Identity` each time, so that a renewal or a new
enrolment takes effect with the next dial.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.addresses import GatewayAddress
from certs.certificates import AgentCertificate, read_agent_certificate, read_certificates
from certs.errors import CertsError
from certs.files import private_directory, read_private, read_public, write_public
from certs.keys import PrivateKey, write_pair
from certs.renewal import is_expired
from certs.tls import agent_context

IDENTITY_FILE = "agent.pem"
CA_FILE = "gateway-ca.pem"
GATEWAY_FILE = "gateway.url"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is for its gateway, and what it needs to prove it."""

    certificate: AgentCertificate
    directory: Path
    gateway: GatewayAddress

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
        bundle = self.directory / CA_FILE
        return agent_context(read_public(bundle), self.directory / IDENTITY_FILE, bundle)


def is_enrolled(directory: Path) -> bool:
    """Tell whether enrolment has finished in this state directory."""
    return (directory / IDENTITY_FILE).exists()


def read_identity(directory: Path) -> Identity:
    """Return the identity in a state directory.

    Raises:
        CertsError: a file is missing, exposed to other users, or not what it should be.
    """
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
    write_public(directory / GATEWAY_FILE, f"{gateway}\n".encode())
    write_public(directory / CA_FILE, ca_bundle)
    write_pair(directory / IDENTITY_FILE, key, certificate)
