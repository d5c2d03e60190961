"""Enrolment over the tunnel's port: the CA first, then a certificate for a one-time code (certs/enrollment.py).

The first visit only fetches the CA and hangs up; the second sends the secret. Tries are counted per address,
so that codes cannot be guessed; the secret itself has 256 bits.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from certs.enrollment import MAX_REQUEST_BYTES, EnrollmentRequest, refusal
from certs.errors import CertsError, CsrRejected, MessageRejected, RefusalReason
from gateway.certificate_authority import CertificateAuthority, enroll
from gateway.rates import Rates
from gateway.store import InviteRejected, Store, StoreError

log = structlog.get_logger()

ENROLL_PATH = "/enroll/v1"
TRIES_PER_SECOND = 5 / 60
BURST = 5
VISIT_SECONDS = 10.0
MAX_VISITS = 64
"""At once: each is over in milliseconds, and a stranger may hold one for ten seconds and a message's memory."""


class EnrollmentDesk:
    """Serves enrolment websockets."""

    def __init__(self, store: Store, authority: CertificateAuthority) -> None:
        self._store = store
        self._authority = authority
        self._tries = Rates(burst=BURST)
        self._visits = 0

    def __repr__(self) -> str:
        return f"<EnrollmentDesk {self._visits} visits, {self._tries!r}>"

    @property
    def is_full(self) -> bool:
        """Whether the next visitor has to come again."""
        return self._visits >= MAX_VISITS

    async def serve(self, websocket: ServerConnection, peer: str) -> None:
        """Serve one visitor, for at most ten seconds."""
        self._visits += 1
        try:
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(VISIT_SECONDS):
                    await websocket.send(self._authority.pem)
                    message = await websocket.recv()
                    await websocket.send(await self._answer(message, peer))
        finally:
            self._visits -= 1

    async def _answer(self, message: bytes | str, peer: str) -> bytes:
        if self._tries.take(peer, TRIES_PER_SECOND, monotonic()):
            log.warning("enrolment_refused", peer=peer, reason="more than 5 tries a minute from this address")
            return refusal(RefusalReason.RATE_LIMITED)
        try:
            if len(message) > MAX_REQUEST_BYTES:
                raise MessageRejected("is too large")
            request = EnrollmentRequest.from_json(message)
            enrolled = await enroll(self._store, self._authority, request, peer=peer, now=datetime.now(UTC))
        except (CertsError, StoreError) as error:
            return _refuse(error, peer)
        self._tries.give_back(peer)  # a roll-out behind one address is no guessing
        log.info("agent_enrolled", agent=str(enrolled.identity), serial=enrolled.serial, peer=peer)
        return enrolled.grant.to_json()


def _refuse(error: CertsError | StoreError, peer: str) -> bytes:
    if isinstance(error, InviteRejected):
        reason = RefusalReason.CODE_REJECTED
    elif isinstance(error, CsrRejected | MessageRejected):
        reason = RefusalReason.BAD_REQUEST
    else:
        reason = RefusalReason.INTERNAL
    level = log.error if reason is RefusalReason.INTERNAL else log.warning
    level("enrolment_refused", peer=peer, reason=str(error))
    return refusal(reason)
