"""Agent and server certificates for tests, signed by a CA made on the spot."""

from datetime import UTC, datetime

from certs.ca import Authority, create_authority, sign_agent, sign_server
from certs.certificates import to_pem
from certs.csr import make_csr
from certs.identity import AgentIdentity
from certs.keys import make_key, write_pair


def make_authority() -> Authority:
    return create_authority(datetime.now(UTC))


def issue_agent(key, name="site-a", instance="i1", *, authority=None, now=None, lifetime=None):
    """Return (certificate PEM, CA PEM) for an agent's key."""
    authority = authority or make_authority()
    identity = AgentIdentity(name, instance)
    certificate = sign_agent(authority, make_csr(key), identity, now or datetime.now(UTC), lifetime)
    return to_pem([certificate]), authority.pem


def write_server(directory, authority, hosts=("127.0.0.1", "localhost")):
    """Write a server's key and certificate into one file and the CA into another; return both paths."""
    key = make_key()
    certificate = sign_server(authority, make_csr(key), list(hosts), datetime.now(UTC))
    pair, ca = directory / "server.pem", directory / "ca.pem"
    directory.chmod(0o700)
    write_pair(pair, key, to_pem([certificate]))
    ca.write_bytes(authority.pem)
    return pair, ca
