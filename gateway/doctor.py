"""What `jira-gateway doctor` looks at: one function per check, results as data, nothing printed, nothing changed.

A check whose condition is missing is skipped with the reason; a failed one says what to do.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from certs.ca_directory import CaDirectory
from certs.certificates import fingerprint, read_certificates, server_names
from certs.errors import CertsError
from certs.files import read_public
from gateway.backup import State
from gateway.certificate_authority import CertificateAuthority
from gateway.egress import AddressForbidden, Dialer, Egress
from gateway.egress_proof import EgressProof, Sighting
from gateway.outbound_tls import client_context
from gateway.probe import Check
from gateway.settings import GatewaySettings
from gateway.store import Connection
from gateway.store.rows import DIRECT
from runtime.address import Address
from runtime.configuration import ConfigurationError

REACH_SECONDS = 3.0
RESOLVE_SECONDS = 3.0
# A listener on every address is reached on loopback.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def check_settings(settings: GatewaySettings) -> Check:
    """Say what the settings lead to; a wrong one has ended the command before."""
    return Check("settings", "pass", f"state in {settings.state_dir}")


def check_trust(settings: GatewaySettings) -> Check:
    """Load the CAs for outbound TLS."""
    try:
        client_context(settings.ca_file)
    except ConfigurationError as error:
        return Check("ca-file", "fail", f"{error.variable}: {error.problem}", error.fix)
    if settings.ca_file is None:
        return Check("ca-file", "skip", "JIRA_GATEWAY_CA_FILE is not set; the system's CAs are trusted")
    return Check("ca-file", "pass", f"{settings.ca_file} is trusted besides the system's CAs")


def check_authority(settings: GatewaySettings, now: datetime) -> Check:
    """Read the CA and the tunnel's certificate."""
    server = settings.state_dir / "server.pem"
    if not server.exists():
        return Check("ca", "skip", "the first 'jira-gateway run' makes the CA and the tunnel's certificate")
    try:
        certificate = read_certificates(read_public(server), server)[0]
        fingerprint = CertificateAuthority(settings.state_dir).fingerprint.hex()
    except CertsError as error:
        return Check("ca", "fail", str(error), "restore the state directory from a backup")
    if certificate.not_valid_after_utc <= now:
        ended = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        return Check("ca", "fail", f"the tunnel's certificate ended on {ended}", "start the gateway: it renews it")
    names = ", ".join(server_names(certificate))
    return Check("ca", "pass", f"CA {fingerprint[:16]}…, tunnel certificate for {names}")


def check_rollover(settings: GatewaySettings, now: datetime) -> Check:
    """Say where a change of CAs stands."""
    ca = CaDirectory(settings.state_dir / "ca")
    try:
        older = ca.bundle()[1:] if ca.bundle_path.exists() else []
        report = ca.rollover()
        needs = [need for each in older for need in ca.needs(each, now)] if ca.key_path.exists() else []
    except CertsError as error:
        return Check("ca-rollover", "fail", str(error), "restore the state directory from a backup")
    if not older:
        return Check("ca-rollover", "skip", "one CA is trusted: no rollover is under way")
    moved = "follows the new CA" if report is not None and report.has_moved else "is still by the older CA"
    if needs:
        return Check(
            "ca-rollover", "pass", f"the tunnel's certificate {moved}; the older CA is needed: {'; '.join(needs)}"
        )
    end = f"end it: jira-certs revoke {ca.path} --ca {fingerprint(older[-1]).hex()}"
    return Check("ca-rollover", "pass", f"the tunnel's certificate {moved}; nobody needs the older CA any more", end)


def check_bind(settings: GatewaySettings) -> Check:
    """Bind the egress addresses."""
    try:
        egress = Egress.from_settings(settings)
        egress.check_bindable()
    except ConfigurationError as error:
        return Check("egress-bind", "fail", f"{error.variable}: {error.problem}", error.fix)
    if not egress.sources:
        return Check("egress-bind", "skip", "JIRA_GATEWAY_EGRESS_IP is not set; the system chooses the address")
    return Check("egress-bind", "pass", " and ".join(map(str, egress.sources.values())) + " can be bound")


async def check_echo(settings: GatewaySettings) -> list[Check]:
    """Ask the echo service from each declared address."""
    if settings.egress_check_url is None:
        return [Check("egress-seen", "skip", "JIRA_GATEWAY_EGRESS_CHECK_URL is not set")]
    try:
        proof = EgressProof(settings, Egress.from_settings(settings))
    except ConfigurationError as error:
        return [Check("egress-seen", "fail", f"{error.variable}: {error.problem}", error.fix)]
    return [_seen(row) for row in await proof.ask()]


def _seen(row: Sighting) -> Check:
    if row.agrees:
        return Check("egress-seen", "pass", str(row))
    if row.seen is None:
        return Check("egress-seen", "fail", str(row), "check JIRA_GATEWAY_EGRESS_CHECK_URL and the way out")
    action = "correct the NAT in front of this machine, or JIRA_GATEWAY_EGRESS_PUBLIC_IP"
    return Check("egress-seen", "fail", str(row), action)


async def check_direct(settings: GatewaySettings, connection: Connection) -> Check:
    """Resolve a direct connection's host and judge its addresses, as every dial does."""
    name, parts = f"direct {connection.name}", urlsplit(connection.base_url or "")
    host = parts.hostname or ""
    try:
        dialer = Dialer(Egress.from_settings(settings), settings.allow_networks)
        async with asyncio.timeout(RESOLVE_SECONDS):
            addresses = await dialer.resolve(host, parts.port or 443)
    except ConfigurationError as error:
        return Check(name, "skip", error.problem)
    except AddressForbidden as error:
        action = "add its network to JIRA_GATEWAY_ALLOW_NETWORKS if this Jira is yours"
        return Check(name, "fail", f"{host}: {error.strerror}", action)
    except OSError as error:
        return Check(name, "fail", f"{host}: {error.strerror or 'no answer in time'}", "check --base-url and DNS")
    return Check(name, "pass", f"{host} is at {', '.join(row.address for row in addresses)}")


async def check_listeners(settings: GatewaySettings, state: State) -> list[Check]:
    """Connect to each listener of a running gateway."""
    if not state.is_running:
        return [Check("running", "skip", "no gateway answers on control.sock; 'jira-gateway run' starts it")]
    listeners = {"api": settings.api_listen, "tunnel": settings.tunnel_listen, "admin": settings.admin_listen}
    found = [Check("running", "pass", f"control.sock answers in {settings.state_dir}")]
    return found + [await _reach(name, address) for name, address in listeners.items()]


async def _reach(name: str, listen: Address) -> Check:
    check = f"listener {name}"
    if listen.port == 0:
        return Check(check, "skip", "its port is of the system's choice")
    host = _ANY.get(listen.host, listen.host)
    try:
        async with asyncio.timeout(REACH_SECONDS):
            _, writer = await asyncio.open_connection(host, listen.port)
    except OSError as error:
        action = f"see the gateway's log; JIRA_GATEWAY_{name.upper()}_LISTEN"
        return Check(check, "fail", f"{listen}: {error.strerror or 'no answer in time'}", action)
    writer.close()
    return Check(check, "pass", f"{listen} accepts connections")


async def examine(settings: GatewaySettings, state: State, connections: Sequence[Connection]) -> list[Check]:
    """Run every check but the store's, which has told its `connections` already."""
    return [
        check_settings(settings),
        check_authority(settings, datetime.now(UTC)),
        check_rollover(settings, datetime.now(UTC)),
        check_trust(settings),
        check_bind(settings),
        *await check_echo(settings),
        *[await check_direct(settings, row) for row in connections if row.via == DIRECT],
        *await check_listeners(settings, state),
    ]
