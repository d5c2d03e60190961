"""Watches the CA's files while the gateway runs, and leads a change of CAs to its end.

Why so: docs/decisions/0019-certificates.md.

Renews the tunnel's certificate in time; makes what `jira-certs` revoked, rotated or distrusted count within a second;
tells agents which CAs to trust; and moves the tunnel's certificate to a new CA once nobody needs the older one.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import structlog

from certs.errors import CertsError
from certs.identity import AgentIdentity
from certs.revocation import DenyList
from certs.tls import TunnelTls
from gateway.certificate_authority import Ca, CertificateAuthority
from gateway.registry import AgentLink, Registry
from gateway.rollover import Records, rotated_at, waiting_for
from gateway.store import Store, StoreError

log = structlog.get_logger()

CHECK_SECONDS: Final = 3600.0
POLL_SECONDS: Final = 1.0


class AuthorityWatch:
    """Owns the tunnel's TLS context and the deny-list in force. `run` it; `greet` each new link."""

    def __init__(self, authority: CertificateAuthority, hosts: list[str], store: Store, registry: Registry) -> None:
        """Load everything; raises what certs.errors has."""
        now = datetime.now(UTC)
        self._authority = authority
        self._hosts = hosts
        self._store = store
        self._registry = registry
        authority.renew_server(hosts, now)
        self.tls = TunnelTls(authority.files, now)
        self._seen = authority.stamp()
        self.denied: DenyList = authority.deny_list()
        self._cas: list[Ca] = authority.cas
        self._proven: set[AgentIdentity] = set()
        self._check_at = monotonic() + CHECK_SECONDS

    def __repr__(self) -> str:
        return f"<AuthorityWatch {len(self._cas)} CAs, {len(self._proven)} instances proven>"

    def greet(self, agent_link: AgentLink) -> None:
        """Tell an agent which CAs to trust (docs/protocol.md §11.2)."""
        agent_link.link.announce({b"cas": b"".join(ca.fingerprint for ca in self._cas)})

    async def run(self, changed: Callable[[], None]) -> None:
        """Look every second, and call `changed` after each look, until cancelled."""
        failing = False
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.look(datetime.now(UTC))
                failing = False
            except (CertsError, StoreError) as error:
                if not failing:
                    log.error("authority_unusable", reason=str(error))  # noqa: TRY400 - the reason says it all
                failing = True
            self._drop_distrusted()
            changed()

    async def look(self, now: datetime) -> None:
        """Do what has become necessary; raises what certs.errors and gateway.store have."""
        if self._authority.stamp() != self._seen:
            self.reload(now)
        if monotonic() >= self._check_at:
            self._check_at = monotonic() + CHECK_SECONDS
            self._renew(now, may_move=False)
        if len(self._cas) > 1 and self._authority.can_sign:  # else these CAs are led by whoever has the key
            await self._lead(now)

    def reload(self, now: datetime) -> None:
        """Read everything again; on any error what is in force stays. Raises what certs.errors has."""
        seen, before = self._authority.stamp(), self._cas
        self.denied = self._authority.deny_list()
        self._cas = self._authority.cas
        if self._cas[0] != before[0]:
            self._proven.clear()
        self._renew(now, may_move=False)
        self.tls.reload(now)
        self._seen = seen
        log.info("authority_reloaded", hosts=self._hosts, cas=len(self._cas))
        if self._cas != before:
            for agent_link in self._registry.links():
                self.greet(agent_link)
        if len(self._cas) == 1:
            self._authority.report(())

    def _renew(self, now: datetime, *, may_move: bool) -> None:
        if self._authority.renew_server(self._hosts, now, may_move=may_move):
            self.tls.reload(now)
            log.info("tunnel_certificate_renewed", hosts=self._hosts, ca=self._authority.fingerprint.hex()[:16])

    async def _lead(self, now: datetime) -> None:
        """Note who has proven to trust the new CA, and move the tunnel's certificate when nobody is left."""
        signer = self._cas[0]
        certificates = [agent_link.certificate for agent_link in self._registry.links()]
        self._proven |= {each.identity for each in certificates if each.signer == signer.key_id}
        records = Records(await self._store.instances(), await self._store.invites())
        waiting = waiting_for(rotated_at(signer.not_before), records, certificates, self._proven, signer.key_id, now)
        if not waiting:
            self._renew(now, may_move=True)
        self._authority.report(waiting)

    def _drop_distrusted(self) -> None:
        trusted = {ca.key_id for ca in self._cas}
        for agent_link in self._registry.links():
            if agent_link.certificate.signer and agent_link.certificate.signer not in trusted:
                log.warning("link_dropped", agent=str(agent_link.identity), reason="its CA is not trusted any more")
                agent_link.link.abort()
