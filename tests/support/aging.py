"""Gives an enrolled agent a certificate that was issued some time ago, so that a test need not wait for half of its life.

Signed by the gateway's own CA for the same name and instance, with the profile's own lifetime: only its dates are older.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.identity import IDENTITY_FILE
from certs.ca import sign_agent
from certs.ca_directory import CaDirectory
from certs.certificates import read_agent_certificate, read_certificates, serial_hex, to_pem
from certs.csr import make_csr
from certs.identity import AgentIdentity
from certs.keys import make_key, write_pair


def age_certificate(agent_state: Path, gateway_state: Path, age: timedelta, instance: str | None = None) -> str:
    """Replace the agent's pair by one that was issued `age` ago; return its serial as logs write it.

    `instance` makes it one that the gateway did not enroll.
    """
    pair = agent_state / IDENTITY_FILE
    identity = read_agent_certificate(read_certificates(pair.read_bytes())[0]).identity
    if instance is not None:
        identity = AgentIdentity(identity.name, instance)
    key = make_key()
    authority = CaDirectory(gateway_state / "ca").authority()
    certificate = sign_agent(authority, make_csr(key), identity, datetime.now(UTC) - age)
    write_pair(pair, key, to_pem([certificate]))
    return serial_hex(certificate.serial_number)


def serial_in(agent_state: Path) -> str:
    """Return the serial of the certificate that is in force at an agent."""
    return serial_hex(read_certificates((agent_state / IDENTITY_FILE).read_bytes())[0].serial_number)
