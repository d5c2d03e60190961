"""Renewal of agents' certificates over their links (docs/protocol.md §11.2): whose turn it is, and what is answered.

Who asks is the link's certificate's word; what is signed is gateway.certificate_authority's business. One after the
other, because the store takes one change at a time anyway; a bounded queue, and a rate for each instance.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import structlog

from certs.errors import CertsError, CsrRejected
from certs.identity import AgentIdentity
from gateway.agent_streams import BAD, LATER, REFUSED, Answer
from gateway.certificate_authority import CertificateAuthority, renew
from gateway.rates import Rates
from gateway.store import NotFound, Store, StoreError

log = structlog.get_logger()

GRANTED, TOO_OFTEN, NO_KEY = 200, 429, 501

BURST: Final = 6.0
PER_SECOND: Final = 1 / 300
"""Of one instance: every renewal is a signature, a synced write and a line in the audit trail."""
MAX_WAITING: Final = 256


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Renewals:
    """Signs new keys of instances that are on record and not denied. `run` it."""

    def __init__(self, store: Store, authority: CertificateAuthority, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._authority = authority
        self._clock = clock
        self._rates = Rates(BURST)
        self._waiting: asyncio.Queue[tuple[AgentIdentity, bytes, Answer]] = asyncio.Queue(MAX_WAITING)

    def __repr__(self) -> str:
        return f"<Renewals {self._waiting.qsize()} waiting>"

    def take(self, identity: AgentIdentity, csr: bytes, done: Answer) -> None:
        """Sign a new key of this instance when its turn comes; `done` is called once, perhaps at once."""
        if self._rates.take(str(identity), PER_SECOND, monotonic()):
            log.warning("renewal_refused", agent=str(identity), reason="it asks too often")
            done(TOO_OFTEN)
        elif self._waiting.full():
            done(LATER)
        else:
            self._waiting.put_nowait((identity, csr, done))

    async def run(self) -> None:
        """Answer one after the other until cancelled."""
        while True:
            identity, csr, done = await self._waiting.get()  # no deadline: the life of the gateway
            done(*await self._answer(identity, csr))

    async def _answer(self, identity: AgentIdentity, csr: bytes) -> tuple[int, bytes]:
        if not self._authority.can_sign:
            return NO_KEY, b""
        try:
            if self._authority.deny_list().denial(identity, serial=0):
                raise NotFound("agent instance that is not denied", str(identity))
            renewed = await renew(self._store, self._authority, identity, csr, now=self._clock())
        except (CertsError, StoreError, TimeoutError) as error:
            return _refuse(identity, error), b""
        log.info("agent_renewed", agent=str(identity), serial=renewed.serial, expires_at=renewed.expires_at.isoformat())
        return GRANTED, renewed.grant.to_json()


def _refuse(identity: AgentIdentity, error: CertsError | StoreError | TimeoutError) -> int:
    if isinstance(error, NotFound):
        status = REFUSED
    elif isinstance(error, CsrRejected):
        status = BAD
    else:
        status = LATER
    write = log.error if status == LATER else log.warning
    write("renewal_refused", agent=str(identity), reason=str(error) or "the store did not answer in time")
    return status
