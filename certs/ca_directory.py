"""A CA kept in a directory: what `jira-certs` works on, and what a gateway with hand-made certificates reads.

    ca.key         the key that signs (0600, may be taken offline once nothing is to be signed)
    ca.pem         every CA to trust: the one that signs, and older ones during a rollover
    previous.key   during a rollover: the older CA's key, with which the tunnel's certificate is renewed meanwhile
    revoked.json   the deny-list (certs.revocation); absent while nothing is revoked
    rollover.json  during a rollover: who still needs the older CA, as the gateway sees it (certs.rollover)

Changes are serialised by a lock on the directory, and each file is replaced atomically.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from certs import profiles
from certs.ca import Authority, create_authority, restore_authority, sign_agent, sign_server
from certs.certificates import (
    fingerprint,
    is_server,
    issuer_of,
    read_agent_certificate,
    read_certificates,
    server_names,
    to_pem,
)
from certs.csr import make_csr
from certs.errors import AuthorityUnfit, CertificateRejected, CertsError, FileExists, FileUnusable
from certs.files import private_directory, read_public, write_public
from certs.identity import AgentIdentity
from certs.keys import make_key, read_key, write_key, write_pair
from certs.renewal import is_expired
from certs.revocation import DenyList
from certs.rollover import Rollover

MOST_NAMED = 10

Sign = Callable[[bytes], x509.Certificate]  # from a signing request


@dataclass(frozen=True, slots=True)
class Order:
    """How a certificate is wanted: into which file, for whose key (None: make one here), for how long (None: usual)."""

    out: Path
    csr: bytes | None = None
    lifetime: timedelta | None = None


class CaDirectory:
    """One CA on disk. The methods raise the types of certs.errors; each says what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key_path = path / "ca.key"
        self.previous_path = path / "previous.key"
        self.rollover_path = path / "rollover.json"
        self.bundle_path = path / "ca.pem"
        self.deny_list_path = path / "revoked.json"

    def __repr__(self) -> str:
        return f"CaDirectory({self.path})"

    def create(self, now: datetime, lifetime: timedelta | None = None) -> Authority:
        """Make a new CA here; refuses (FileExists) to touch one that is there."""
        private_directory(self.path)
        with self._locked():
            for path in (self.bundle_path, self.key_path):
                if path.exists():
                    raise FileExists(path)
            authority = create_authority(now, lifetime)
            write_key(self.key_path, authority.key)
            write_public(self.bundle_path, authority.pem, replace=False)
        return authority

    def authority(self) -> Authority:
        """Return the CA that signs."""
        # The key first: rotate() writes it last, so the bundle read after it always holds its certificate.
        key = read_key(self.key_path)
        return restore_authority(read_public(self.bundle_path), key, self.bundle_path)

    def bundle(self) -> list[x509.Certificate]:
        """Return every CA to trust."""
        return read_certificates(read_public(self.bundle_path), self.bundle_path)

    def deny_list(self) -> DenyList:
        """Return the deny-list; empty when the file does not exist, an error when it cannot be understood."""
        if not self.deny_list_path.exists():
            return DenyList()
        return DenyList.from_json(read_public(self.deny_list_path))

    def stamp(self) -> tuple[tuple[int, int] | None, ...]:
        """Return what differs whenever the bundle or the deny-list was changed, for a program that watches them.

        Costs two stat calls: every change is a new file (certs.files), so inode and time tell.
        """
        return tuple(_stamp_of(path) for path in (self.bundle_path, self.deny_list_path))

    def issue_server(self, order: Order, hosts: list[str], now: datetime) -> x509.Certificate:
        """Sign a certificate for a gateway with these host names and addresses, into a new file."""
        authority = self.authority()
        return _fulfil(order, lambda csr: sign_server(authority, csr, hosts, now, order.lifetime), replace=False)

    def issue_agent(self, order: Order, identity: AgentIdentity, now: datetime) -> x509.Certificate:
        """Sign a certificate for an agent instance, into a new file; refuses one that is revoked by name."""
        if self.deny_list().denial(identity, serial=0):
            raise _revoked(f"the agent {identity}")
        authority = self.authority()
        return _fulfil(order, lambda csr: sign_agent(authority, csr, identity, now, order.lifetime), replace=False)

    def renew(self, order: Order, now: datetime) -> x509.Certificate:
        """Replace the certificate in `order.out` by one with the same names and a new key.

        Without a signing request the file must hold the key too, and both are replaced. Refuses what this CA did
        not sign, what is expired and what is revoked.
        """
        content = read_public(order.out)
        old = self._own(read_certificates(content, order.out)[0])
        if is_expired(old.not_valid_after_utc, now):
            raise CertificateRejected("the certificate is expired, and who holds its key may have changed", "issue one")
        if order.csr is None and b"PRIVATE KEY-----" not in content:
            raise FileUnusable(order.out, "holds no key", "give a signing request made where the new key is (--csr)")
        return _fulfil(order, self._same_again(old, order.lifetime, now), replace=True)

    def previous(self) -> Authority | None:
        """Return the older CA whose key was kept, while it is trusted; None when there is none."""
        if not self.previous_path.exists():
            return None
        try:
            kept = restore_authority(read_public(self.bundle_path), read_key(self.previous_path), self.bundle_path)
        except AuthorityUnfit:
            return None
        return None if kept.certificate == self.authority().certificate else kept

    def rotate(self, now: datetime, lifetime: timedelta | None = None) -> Authority:
        """Make a new CA that signs from now on; the older one stays trusted, and its key is kept, until distrust().

        Raises:
            AuthorityUnfit: the rollover before this one has not ended.
        """
        with self._locked():
            current, bundle = self.authority(), self.bundle()
            kept = self.previous()
            if kept is not None:
                problem = f"the older CA {fingerprint(kept.certificate).hex()} is still trusted from the last rollover"
                raise AuthorityUnfit(problem, "end that first: 'jira-certs revoke DIR --ca FINGERPRINT'")
            authority = create_authority(now, lifetime)
            # What stands before the CA that signs was made by a rotation that a crash ended: it never signed anything.
            rest = bundle[bundle.index(current.certificate) :]
            write_key(self.previous_path, current.key, replace=True)
            # The bundle before the key: a crash leaves the old key with its certificate still in the bundle.
            write_public(self.bundle_path, to_pem([authority.certificate, *rest]))
            write_key(self.key_path, authority.key, replace=True)
        return authority

    def distrust(self, ca_fingerprint: bytes, now: datetime, *, force: bool = False) -> None:
        """Take an older CA out of the bundle, and delete its key; never the one that signs.

        Raises:
            CertificateRejected: there is no such CA here.
            AuthorityUnfit: it is the one that signs, or, without `force`, something still needs it.
        """
        with self._locked():
            bundle = self.bundle()
            old = next((ca for ca in bundle if fingerprint(ca) == ca_fingerprint), None)
            if old is None:
                raise CertificateRejected("no CA here has this fingerprint", "see 'jira-certs show'")
            if self.authority().certificate == old:
                raise AuthorityUnfit("this is the CA that signs", "make a new one first: 'jira-certs renew DIR --ca'")
            needed = [] if force else self.needs(old, now)
            if needed:
                problem = f"this CA is still needed: {'; '.join(needed[:MOST_NAMED])}"
                raise AuthorityUnfit(problem, "wait for them ('jira-certs show DIR'), or cut them off with --force")
            kept = self.previous()
            write_public(self.bundle_path, to_pem([ca for ca in bundle if ca != old]))
            if kept is None or kept.certificate == old:
                self.previous_path.unlink(missing_ok=True)
            self.rollover_path.unlink(missing_ok=True)

    def needs(self, old: x509.Certificate, now: datetime) -> list[str]:
        """Return in words what would fail without this older CA, as far as it can be known here."""
        files = sorted({*self.path.glob("*.pem"), self.path.parent / "server.pem"} - {self.bundle_path})
        needed = [found for path in files if (found := _needs_ca(path, old, now)) is not None]
        signer = self.authority().certificate
        report = self.rollover()
        if report is not None and report.signer == fingerprint(signer).hex():
            return needed + [str(row) for row in report.waiting if row.until > now]
        if (until := signer.not_valid_before_utc + profiles.BACKDATE + profiles.AGENT.lifetime) > now:
            needed.append(f"agents may have certificates by it until {until:%Y-%m-%d %H:%M} UTC")
        return needed

    def rollover(self) -> Rollover | None:
        """Return what the gateway has written about the rollover; None when there is none, or it is unreadable."""
        try:
            return Rollover.from_json(read_public(self.rollover_path))
        except CertsError:
            return None

    def report(self, rollover: Rollover | None) -> None:
        """Write down, or forget, where the rollover stands."""
        if rollover is None:
            self.rollover_path.unlink(missing_ok=True)
        else:
            write_public(self.rollover_path, rollover.to_json())

    def revoke_serial(self, serial: int) -> None:
        """Deny one certificate."""
        self._change_deny_list(lambda denied: denied.with_serial(serial))

    def revoke_agent(self, name: str) -> None:
        """Deny an agent (`name`), or one instance of it (`name/instance`)."""
        agent, separator, instance = name.partition("/")
        if separator:
            identity = AgentIdentity(agent, instance)
            self._change_deny_list(lambda denied: denied.with_instance(identity))
        else:
            self._change_deny_list(lambda denied: denied.with_agent(agent))

    def serial_in(self, path: Path) -> int:
        """Return the serial of the agent's certificate in a file, after checking that this CA signed it."""
        certificate = self._own(read_certificates(read_public(path), path)[0])
        return read_agent_certificate(certificate).serial

    def _change_deny_list(self, change: Callable[[DenyList], DenyList]) -> None:
        with self._locked():
            write_public(self.deny_list_path, change(self.deny_list()).to_json())

    def _own(self, certificate: x509.Certificate) -> x509.Certificate:
        if issuer_of(certificate, self.bundle()) is None:
            raise CertificateRejected("this CA did not sign that certificate", "name the directory of the one that did")
        return certificate

    def _same_again(self, old: x509.Certificate, lifetime: timedelta | None, now: datetime) -> Sign:
        authority = self.authority()
        if is_server(old):
            return lambda csr: sign_server(authority, csr, server_names(old), now, lifetime)
        agent = read_agent_certificate(old)
        if self.deny_list().denies(agent):
            raise _revoked(f"the certificate of {agent.identity}")
        return lambda csr: sign_agent(authority, csr, agent.identity, now, lifetime)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the directory's lock: two commands at once must not lose one's change."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FileUnusable(self.path, f"cannot be changed ({error.strerror})", "check the path") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _needs_ca(path: Path, old: x509.Certificate, now: datetime) -> str | None:
    """Say that a certificate in a file was signed by this CA and is not expired."""
    try:
        certificate = read_certificates(read_public(path), path)[0]
    except CertsError:
        return None
    end = certificate.not_valid_after_utc
    if is_expired(end, now) or certificate == old or issuer_of(certificate, [old]) is None:
        return None
    return f"{path.name} was signed by it and is good until {end:%Y-%m-%d %H:%M} UTC"


def _fulfil(order: Order, sign: Sign, *, replace: bool) -> x509.Certificate:
    if not replace and order.out.exists():
        raise FileExists(order.out)
    if order.csr is not None:
        certificate = sign(order.csr)
        write_public(order.out, to_pem([certificate]), replace=replace)
        return certificate
    key = make_key()
    certificate = sign(make_csr(key))
    write_pair(order.out, key, to_pem([certificate]), replace=replace)
    return certificate


def _revoked(what: str) -> CertificateRejected:
    return CertificateRejected(f"{what} is revoked", "issue for another name or instance")
