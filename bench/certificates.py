"""Throw-away certificates for the peers, by the same profiles as our own tunnel's: TLS 1.3 with P-256."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from certs.ca import create_authority, sign_agent, sign_server
from certs.certificates import to_pem
from certs.csr import make_csr
from certs.identity import AgentIdentity
from certs.keys import key_to_pem, make_key


@dataclass(frozen=True)
class Certificates:
    """PEM files of a CA, a server and a client."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def write_certificates(folder: Path, hosts: list[str]) -> Certificates:
    """Write a CA, and what it signed: a server of these names and addresses, and a client."""
    now = datetime.now(UTC)
    authority = create_authority(now)
    server, client = make_key(), make_key()
    names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    files = Certificates(*(folder / name for name in names))
    files.ca.write_bytes(authority.pem)
    files.server.write_bytes(to_pem([sign_server(authority, make_csr(server), hosts, now)]))
    files.server_key.write_bytes(key_to_pem(server))
    files.client.write_bytes(to_pem([sign_agent(authority, make_csr(client), AgentIdentity("bench", "0"), now)]))
    files.client_key.write_bytes(key_to_pem(client))
    return files
