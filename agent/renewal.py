"""Renews this agent's certificate over its links, with a new key each time (docs/protocol.md §11.2).

Owns when it is tried and what came of it. A renewed pair comes into force only after a websocket was opened with it;
until then, and after any failure or crash, the old one works on. Replacing links is agent.supervisor's. The wall clock
is looked at every two seconds, so that a machine that slept notices soon what it missed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

import structlog

from agent.dialer import Dialer
from agent.errors import Cause, DialError
from agent.identity import CA_FILE, Identity, adopt, forget_next, read_identity, stamp, store_next
from agent.petition import PetitionRefused, petition
from agent.supervisor import LiveLink, Supervisor
from certs.certificates import fingerprint, issuer_of, read_certificates
from certs.csr import make_csr
from certs.enrollment import EnrollmentGrant
from certs.errors import CertsError, FileUnusable
from certs.files import read_private, read_public
from certs.keys import make_key
from certs.renewal import renewal_due

log = structlog.get_logger()

LOOK_SECONDS: Final = 2.0
SOON_SECONDS: Final = 60.0
"""Within this time all agents renew after the gateway's CAs have changed: a thousand of them are 17 a second."""
FIRST_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 900.0
SLOW_SECONDS: Final = 3600.0
ATTEMPT_SECONDS: Final = 60.0
PROOFS: Final = 3
SHORT: Final = timedelta(hours=48)
"""Less than this is left of a certificate that should have been renewed: a person must know."""
SETTING: Final = b"cas"
DIGEST: Final = 32
MAX_CAS: Final = 16


@dataclass(frozen=True, slots=True)
class Trust:
    """What is in force: the identity, the SHA-256 of every CA that it trusts, and of the one that signed it."""

    identity: Identity
    cas: frozenset[bytes]
    signer: bytes
    due: datetime


class Renewal:
    """The certificate's keeper. `learn` is for each gateway's news; `run` it. The rest is for status pages."""

    def __init__(
        self,
        supervisor: Supervisor,
        dialer: Dialer,
        identity: Identity,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        """`now` is the wall clock, in UTC; `clock` counts seconds without jumps."""
        self._supervisor = supervisor
        self._dialer = dialer
        self._directory = identity.directory
        self._now = now
        self._clock = clock
        self._rng = rng
        self._stamp: object = None
        self._trust: Trust | None = None
        self._told: bytes | None = None  # the CAs that a gateway named last
        self._heeded: set[bytes] = set()
        self._hinted_at: float | None = None
        self._try_at = 0.0
        self._failures = 0
        self.problem: str | None = None
        self.renewed = 0
        self.failed = 0

    def __repr__(self) -> str:
        return f"<Renewal due={self.due} problem={self.problem!r}>"

    @property
    def due(self) -> datetime | None:
        """When the certificate in force is renewed, if nothing happens before."""
        return None if self._trust is None else self._trust.due

    @property
    def ends_soon(self) -> timedelta | None:
        """What is left of a certificate that should have been renewed and has less than 48 hours."""
        trust, now = self._trust, self._now()
        if trust is None or now < trust.due:
            return None
        left = trust.identity.certificate.not_after - now
        return max(left, timedelta()) if left < SHORT else None

    def learn(self, settings: dict[bytes, bytes]) -> None:
        """Take a gateway's news (`on_settings` of every link): which CAs it wants to be trusted."""
        told = settings.get(SETTING)
        if told is not None and told and len(told) % DIGEST == 0 and len(told) <= MAX_CAS * DIGEST:
            self._told = told

    async def run(self) -> None:
        """Renew whenever it is time, until cancelled."""
        forget_next(self._directory)  # of an attempt that a crash ended
        while True:
            self.look()
            if self._is_time():
                await self._attempt()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Notice another identity in force, by renewal or enrolment, and what a gateway told of its CAs."""
        seen = stamp(self._directory)
        if seen != self._stamp:
            try:
                self._trust = self._read_trust()
            except CertsError as error:
                self._trust, self.problem = None, str(error)
                return
            self._stamp, self._try_at, self._failures, self.problem = seen, 0.0, 0, None
            self._supervisor.show(self._trust.identity.certificate.serial)
        self._heed()

    def _read_trust(self) -> Trust:
        identity = read_identity(self._directory)
        bundle = read_certificates(read_public(self._directory / CA_FILE), self._directory / CA_FILE)
        pair = self._directory / identity.file
        issuer = issuer_of(read_certificates(read_private(pair), pair)[0], bundle)
        certificate = identity.certificate
        return Trust(
            identity,
            frozenset(map(fingerprint, bundle)),
            b"" if issuer is None else fingerprint(issuer),
            renewal_due(certificate.not_before, certificate.not_after, self._rng),
        )

    def _heed(self) -> None:
        """Renew within the minute after a gateway has named other CAs than ours; once for each list."""
        told, trust = self._told, self._trust
        if told is None or trust is None or told in self._heeded:
            return
        named = [told[at : at + DIGEST] for at in range(0, len(told), DIGEST)]
        if trust.cas == set(named) and trust.signer == named[0]:
            return
        if len(self._heeded) >= MAX_CAS:
            self._heeded.clear()
        self._heeded.add(told)
        self._hinted_at = self._clock() + self._rng.random() * SOON_SECONDS
        log.info("gateway_cas_changed", cas=len(named), before=len(trust.cas), action="the certificate is renewed soon")

    def _is_time(self) -> bool:
        trust = self._trust
        if trust is None or trust.identity.is_expired(self._now()) or self._clock() < self._try_at:
            return False
        return self._now() >= trust.due or (self._hinted_at is not None and self._clock() >= self._hinted_at)

    async def _attempt(self) -> None:
        usable = [live for live in self._supervisor.links if live.link.is_usable]
        trust = self._trust
        if not usable or trust is None or self._supervisor.is_draining:
            return  # the supervisor says why there is no link
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await self._renew(trust.identity, min(usable, key=lambda live: live.link.load))
        except PetitionRefused as refused:
            self._note_failure(str(refused), slow=refused.refusal.is_lasting)
        except DialError as error:
            self._note_failure(
                f"the new certificate was not accepted: {error.reason}", slow=not error.cause.is_transient
            )
        except CertsError as error:
            self._note_failure(str(error), slow=not isinstance(error, FileUnusable))  # a disk may have room soon
        except TimeoutError:
            self._note_failure("the gateway did not answer in time", slow=False)
        finally:
            forget_next(self._directory)

    async def _renew(self, old: Identity, live: LiveLink) -> None:
        key = make_key()
        answer = await petition(live.link, make_csr(key))
        grant = EnrollmentGrant.from_json(answer)
        grant.check_renewal(key, old.certificate.identity, read_public(self._directory / CA_FILE))
        renewed = await asyncio.to_thread(store_next, old, key, grant.certificate, grant.ca_bundle)
        await self._prove(renewed, live)
        if not await asyncio.to_thread(adopt, renewed, old):
            return  # enrolled meanwhile: that counts
        self._hinted_at = None
        self.renewed += 1
        certificate = renewed.certificate
        log.info("certificate_renewed", serial=f"{certificate.serial:x}", expires_at=certificate.not_after.isoformat())
        self.look()

    async def _prove(self, renewed: Identity, live: LiveLink) -> None:
        """Open a websocket with the new pair, trusting the new CAs alone: then both sides accept what they will see."""
        for attempt in range(PROOFS):
            try:
                websocket = await self._dialer.dial(live.gateway, renewed)
            except DialError as error:
                if error.cause is not Cause.GATEWAY_BUSY or attempt == PROOFS - 1:
                    raise
                await asyncio.sleep(min(error.retry_after, 5.0) + self._rng.random())
            else:
                websocket.transport.abort()
                return

    def _note_failure(self, problem: str, *, slow: bool) -> None:
        delay = retry_seconds(self._failures, self._rng.random(), slow=slow)
        self._failures += 1
        self.failed += 1
        self.problem = problem
        self._try_at = self._clock() + delay
        write = log.warning if self.ends_soon is None else log.error
        write("renewal_failed", reason=problem, failures=self._failures, retry_in_seconds=round(delay))


def retry_seconds(failures: int, dice: float, *, slow: bool) -> float:
    """Return how long to wait after so many failures before this one; `dice` in [0, 1).

    Doubling up to a quarter of an hour; what a person must resolve is asked once an hour.
    """
    longest = SLOW_SECONDS if slow else min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures, 16))
    return longest * (0.5 + 0.5 * dice)
