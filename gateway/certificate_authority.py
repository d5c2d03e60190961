"""The gateway's CA: made on first use, signs the tunnel's own certificate and every enrolled agent's.

Lives in the state directory: `ca/` (certs.ca_directory) and `server.pem` (key and certificate of the tunnel).
What an agent's certificate says comes from the store, never from the request. An operator who brings a CA by
hand puts `ca/` and `server.pem` there; without `ca/ca.key` nothing is signed and nobody can enroll.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from certs.ca import Authority, sign_agent, sign_server
from certs.ca_directory import CaDirectory
from certs.certificates import (
    Certificate,
    fingerprint,
    issuer_of,
    key_id,
    read_certificates,
    serial_hex,
    server_names,
    to_pem,
)
from certs.csr import make_csr
from certs.enrollment import EnrollmentGrant, EnrollmentRequest, make_code, secret_hash, write_code
from certs.errors import CertsError, FileExists
from certs.expiry import CertificateFile
from certs.files import read_public
from certs.identity import AgentIdentity, new_instance_id
from certs.keys import make_key, write_pair
from certs.revocation import DenyList
from certs.rollover import Rollover, Waiting
from certs.tls import ServerFiles
from gateway.store import Instance, Invite, Store

LAST_DAY = timedelta(days=1)
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Signed = tuple[EnrollmentGrant, str, datetime]  # the grant, its serial, its end


class CertificateAuthority:
    """The CA and the tunnel's certificate, as files in a state directory. Methods raise certs.errors."""

    def __init__(self, state_dir: Path) -> None:
        self._ca = CaDirectory(state_dir / "ca")
        self._server = state_dir / "server.pem"

    def __repr__(self) -> str:
        return f"<CertificateAuthority {self._ca.path}>"

    @property
    def files(self) -> ServerFiles:
        """What the tunnel's listener loads (certs.tls.TunnelTls)."""
        return ServerFiles(self._server, self._server, self._ca.bundle_path)

    @property
    def certificate_files(self) -> dict[str, CertificateFile]:
        """Whose end is told by the metrics."""
        return {"tunnel": CertificateFile(self._server), "ca": CertificateFile(self._ca.bundle_path)}

    @property
    def pem(self) -> bytes:
        """The certificate that enrolment codes pin: the first message of an enrolment."""
        return to_pem([self._anchor()])

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 (32 bytes) of that certificate."""
        return fingerprint(self._anchor())

    @property
    def cas(self) -> "list[Ca]":
        """Every CA to trust, the one that signs first."""
        return [
            Ca(fingerprint(ca), key_id(ca), ca.not_valid_before_utc, ca.not_valid_after_utc) for ca in self._ca.bundle()
        ]

    @property
    def can_sign(self) -> bool:
        """Whether the CA's key is here."""
        return self._ca.key_path.exists()

    def create_if_absent(self, now: datetime) -> None:
        """Make the CA when this state directory has none; two processes may try at once.

        A key of the CA that is there must be usable: one that others may read refuses the start, not the
        first enrolment.
        """
        if self._ca.bundle_path.exists():
            if self.can_sign:
                self._ca.authority()
            return
        try:
            self._ca.create(now)
        except FileExists:
            self._ca.authority()  # another process was faster, and its CA must be whole

    def renew_server(self, hosts: Sequence[str], now: datetime, *, may_move: bool = False) -> bool:
        """Make the tunnel's certificate when it is missing, half spent, for other hosts, or by the wrong CA.

        After a new CA began to sign, the older one, whose key was kept for that, is the right one until `may_move`.

        Returns:
            Whether `server.pem` is new, so that TunnelTls must reload.
        """
        if not self.can_sign:
            return False
        current = self._server_certificate()
        authority = self._signer_for(current, now, may_move=may_move)
        if authority is None or not _is_due(current, authority, hosts, now):
            return False
        key = make_key()
        certificate = sign_server(authority, make_csr(key), hosts, now)
        write_pair(self._server, key, to_pem([certificate]))
        return True

    def _signer_for(self, current: Certificate | None, now: datetime, *, may_move: bool) -> Authority | None:
        """Return who signs the tunnel's certificate now; None to leave it as it is."""
        newest = self._ca.authority()
        if may_move or current is None or issuer_of(current, [newest.certificate]) is not None:
            kept = None if may_move or current is not None else self._ca.previous()
            return kept or newest
        kept = self._ca.previous()
        if kept is not None and issuer_of(current, [kept.certificate]) is not None:
            return kept
        if issuer_of(current, self._ca.bundle()) is None:
            return newest  # nobody trusts it any more
        # Without the older CA's key it cannot be renewed: it is kept for as long as it is good.
        return newest if now >= current.not_valid_after_utc - LAST_DAY else None

    def _server_certificate(self) -> Certificate | None:
        try:
            return read_certificates(read_public(self._server))[0]
        except CertsError:
            return None

    def _anchor(self) -> Certificate:
        """Return the CA that the tunnel's certificate goes back to, or will when there is one."""
        bundle, current = self._ca.bundle(), self._server_certificate()
        if current is not None:
            return issuer_of(current, bundle) or bundle[0]
        kept = self._ca.previous() if self.can_sign else None
        return bundle[0] if kept is None else kept.certificate

    def sign(self, csr: bytes, identity: AgentIdentity, now: datetime) -> Signed:
        """Return a certificate for this identity and the key of the request."""
        certificate = sign_agent(self._ca.authority(), csr, identity, now)
        grant = EnrollmentGrant(to_pem([certificate]), to_pem(self._ca.bundle()))
        return grant, serial_hex(certificate.serial_number), certificate.not_valid_after_utc

    def stamp(self) -> object:
        """Return something that differs when the CA's files have changed."""
        return self._ca.stamp()

    def deny_list(self) -> DenyList:
        """Return what `jira-certs revoke` denied in this CA, besides what the store revoked."""
        return self._ca.deny_list()

    def report(self, waiting: tuple[Waiting, ...]) -> Rollover | None:
        """Write down where a change of CAs stands, for `jira-certs` and `doctor`; None when there is none."""
        bundle = self._ca.bundle()
        before = self._ca.rollover()
        after = None
        if len(bundle) > 1:
            after = Rollover(fingerprint(bundle[0]).hex(), self.fingerprint.hex(), waiting)
        if after != before:
            self._ca.report(after)
        return after


@dataclass(frozen=True, slots=True)
class Ca:
    """What is known of a CA from outside: the SHA-256 of its certificate, its key's id, and its time."""

    fingerprint: bytes
    key_id: bytes
    not_before: datetime
    not_after: datetime


def _is_due(current: Certificate | None, authority: Authority, hosts: Sequence[str], now: datetime) -> bool:
    if current is None:
        return True
    half = (current.not_valid_after_utc - current.not_valid_before_utc) / 2
    return (
        now >= current.not_valid_before_utc + half
        or set(server_names(current)) != set(hosts)
        or issuer_of(current, [authority.certificate]) is None
    )


def tunnel_hosts(tunnel_url: str) -> list[str]:
    """Return the names that the tunnel's certificate carries: the one agents dial; on loopback all its names."""
    host = urlsplit(tunnel_url).hostname or ""
    return list(LOOPBACK) if host in LOOPBACK else [host]


@dataclass(frozen=True, slots=True)
class Invitation:
    """A new enrolment code, shown once."""

    code: SecretStr
    expires_at: datetime


async def invite(
    store: Store, authority: CertificateAuthority, agent: str, address: str, *, ttl: timedelta, by: tuple[str, datetime]
) -> Invitation:
    """Make a one-time code for an agent name; `address` is what it dials, `by` is who asks and when.

    Raises:
        CertsError: the CA or the address cannot be used.
        StoreError: it cannot be stored.
    """
    actor, now = by
    code = make_code(address, authority.fingerprint)
    row = Invite(secret_hash(code.secret).hex(), agent, now, now + ttl)
    async with store.change(actor, now) as change:
        await change.add_invite(row)
    return Invitation(write_code(code), row.expires_at)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The certificate of an instance, new or renewed, and what to send it."""

    identity: AgentIdentity
    serial: str
    expires_at: datetime
    grant: EnrollmentGrant


async def enroll(
    store: Store, authority: CertificateAuthority, request: EnrollmentRequest, *, peer: str, now: datetime
) -> Enrolled:
    """Use the request's code up, sign its key as a new instance of the invited agent, and record it.

    All or nothing: when signing fails, the code is not used up. `peer` is the address for the audit trail.

    Raises:
        InviteRejected: the code is unknown, used, expired or revoked.
        CsrRejected: no proof of possession of a P-256 key.
        CertsError, StoreError: the gateway cannot enroll at the moment.
    """
    async with store.change(f"enrolment from {peer}", now) as change:
        agent = await change.use_invite(secret_hash(request.secret).hex())
        identity = AgentIdentity(agent, new_instance_id())
        grant, serial, expires_at = authority.sign(request.csr, identity, now)
        await change.add_instance(Instance(agent, identity.instance, serial, now, expires_at))
    return Enrolled(identity, serial, expires_at, grant)


async def renew(
    store: Store, authority: CertificateAuthority, identity: AgentIdentity, csr: bytes, *, now: datetime
) -> Enrolled:
    """Sign a new key for an instance that has proven its identity by its link.

    Raises:
        NotFound: the instance is not on record, or revoked.
        CsrRejected: no proof of possession of a P-256 key.
    """
    async with store.change(f"agent {identity}", now) as change:
        grant, serial, expires_at = authority.sign(csr, identity, now)
        await change.renew_instance(identity.name, identity.instance, serial, expires_at)
    return Enrolled(identity, serial, expires_at, grant)
