"""The one door towards a Jira: who goes now, who waits, who is refused, and what each answer teaches.

Used by the agent and by the gateway's direct connections. Every request asks `enter`, and once admitted calls `release`
exactly once; in between it reports what became of it. What waits here has its own deadline and leaves by `leave`. Pure
and synchronous; as a sweeper item it looks ten times a second whether a pause is over, while anything waits.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from math import ceil
from typing import Final, Protocol

from jira_api.logins import ADVICE, LoginVerdict, classify_login
from jira_api.protection.accounts import Account, Accounts
from jira_api.protection.breaker import HANG_SECONDS, Breaker
from jira_api.protection.concurrency import AFTER_FAILURE, AFTER_RATE_LIMIT, Concurrency
from jira_api.protection.fair_queue import FairQueue
from jira_api.protection.rate_limits import pause_seconds
from jira_api.protection.refusals import Cause, Refusal

QUEUE_LIMIT: Final = 256
QUEUE_SECONDS: Final = 5.0
DEFAULT_MAXIMUM: Final = 64

_NEVER: Final = float("inf")
_SCHEME_MATTERS: Final = frozenset({401, 403})  # for the verdict on the login
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503


class Target(Protocol):
    """Where a request goes, below Jira's base URL."""

    @property
    def path(self) -> str:
        """Decoded."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The same in pieces."""


class Guarded(Protocol):
    """A request, as far as admission goes; `account` is None for a caller's own login of which nothing is known."""

    account: Account | None

    @property
    def caller(self) -> bytes:
        """Whose request it is: callers take turns."""

    @property
    def method(self) -> bytes:
        """Its method."""

    @property
    def target(self) -> Target:
        """Its target."""

    @property
    def authorization(self) -> bytes | None:
        """The header that logs in at Jira; asked for rarely."""

    def admitted(self) -> None:
        """Go on: a place is yours until you call `Protection.release`."""

    def refused(self, refusal: Refusal) -> None:
        """You wait no longer: this is why you do not go."""


class Admission(Enum):
    """What became of a request that asked to go."""

    ADMITTED = auto()
    QUEUED = auto()


class Protection:
    """The places towards one Jira. `clock` is monotonic, in seconds."""

    __slots__ = ("_clock", "_is_dispatching", "_queue", "accounts", "breaker", "concurrency", "deadline", "in_flight")

    def __init__(
        self, maximum: int, clock: Callable[[], float], queue_limit: int = QUEUE_LIMIT, accounts: Accounts | None = None
    ) -> None:
        self._clock = clock
        self._queue: FairQueue[Guarded] = FairQueue(queue_limit)
        self._is_dispatching = False
        self.accounts = Accounts() if accounts is None else accounts
        self.breaker = Breaker(clock)
        self.concurrency = Concurrency(maximum)
        self.deadline = _NEVER
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"<Protection {self.in_flight}/{self.concurrency.limit} {self._queue!r} {self.breaker!r}>"

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return self.concurrency.limit

    @property
    def is_stuck(self) -> bool:
        """Whether somebody waits who could go: our own fault if it lasts, for the sweeper lets them go."""
        if not len(self._queue) or self.in_flight >= self.concurrency.limit:
            return False
        return any(self._may_go(waiter) for waiter in self._queue)

    # ---- in and out

    def enter(self, request: Guarded) -> Admission | Refusal:
        """Ask to go. On QUEUED either `admitted` or `refused` is called later, unless the request leaves."""
        if self.breaker.reason is not None:
            return self._unavailable(self.breaker.reason)
        account = request.account
        if account is None:
            if self.in_flight >= self.concurrency.limit:
                return self._wait(request)
        else:
            now = self._clock()
            if account.refusal is not None:
                return _login_rejected(account.refusal)
            if account.paused_until - now > QUEUE_SECONDS:
                return _rate_limited(account.paused_until - now)
            if self.in_flight >= self.concurrency.limit or not account.may_go(now):
                return self._wait(request)
            account.goes(request, now)
        self.in_flight += 1
        return Admission.ADMITTED

    def leave(self, request: Guarded) -> None:
        """Wait no longer."""
        self._queue.discard(request)

    def release(self, request: Guarded) -> None:
        """Give a place back; it goes to whoever's turn it is."""
        self.in_flight -= 1
        if request.account is not None:
            request.account.let_go(request)
        if len(self._queue):
            self._dispatch()

    def waited_too_long(self, request: Guarded) -> Refusal:
        """Return what to tell a request that waited for `QUEUE_SECONDS`."""
        account = request.account
        left = 0.0 if account is None else account.paused_until - self._clock()
        if left > 0:
            return _rate_limited(left)
        return Refusal(Cause.OVERLOADED, "no place towards Jira became free in time")

    def expire(self, now: float) -> None:
        """Let go who waited for a pause that is over (sweeper item)."""
        self._dispatch()
        self.accounts.forget_idle(now)
        if not len(self._queue) and not self.accounts.are_callers_known:
            self.deadline = _NEVER

    # ---- what became of requests

    def answered(
        self, request: Guarded, status: int, headers: Sequence[tuple[bytes, bytes]], began_at: float, now: float
    ) -> LoginVerdict | None:
        """Learn from the head of Jira's answer to a request that was sent at `began_at`; return how the login went."""
        if status >= 500:
            self.concurrency.troubled(AFTER_FAILURE, now)
            if status == _UNAVAILABLE:
                self.breaker.on_doubt()
        else:
            self.breaker.answered()
            if status == _TOO_MANY:
                self._limit_rate(request, headers, now)
            else:
                kind = (request.method, request.target.segments[:4])
                self.concurrency.answered(kind, now - began_at, self.in_flight, now)
        scheme = _scheme(request.authorization) if status in _SCHEME_MATTERS else None
        verdict = classify_login(status, headers, request.target.path, scheme)
        account = request.account
        if account is not None:
            is_proof = status < 500 and status != _TOO_MANY
            if account.judged(request, verdict, now, is_proof=is_proof) and len(self._queue):
                self._turn_away(account)
                self._dispatch()
        return verdict

    def unreachable(self, began_at: float, reason: str) -> None:
        """Note that Jira took no connection for a request."""
        self._failed(began_at, reason)

    def timed_out(self, began_at: float, reason: str) -> None:
        """Note that there was no answer in time to a request that was sent at `began_at`."""
        now = self._clock()
        self.concurrency.troubled(AFTER_FAILURE, now)
        self.abandoned(began_at, reason)

    def abandoned(self, began_at: float, reason: str = "Jira gave no answer for as long as callers waited") -> None:
        """Note that nobody waits any more for an answer that has not begun; early on that says nothing of Jira."""
        if self._clock() - began_at >= HANG_SECONDS:
            self._failed(began_at, reason)

    def found_unavailable(self, reason: str) -> None:
        """Note what the probe found: nothing is to be sent to this Jira, until it finds otherwise."""
        if self.breaker.open(reason):
            self._turn_all_away(reason)

    def probe_failed(self, reason: str) -> None:
        """Note that the probe got no answer: an open breaker stays open; to open it is for callers' requests."""
        if self.breaker.reason is not None:
            self.breaker.open(reason)

    # ---- inside

    def _failed(self, began_at: float, reason: str) -> None:
        if self.breaker.failed(began_at, reason):
            self._turn_all_away(reason)

    def _wait(self, request: Guarded) -> Admission | Refusal:
        displaced = self._queue.push(request)
        self.deadline = 0.0
        if displaced is None:
            return Admission.QUEUED
        refusal = Refusal(Cause.OVERLOADED, "too many requests wait for this Jira")
        if displaced is request:
            return refusal
        displaced.refused(refusal)
        return Admission.QUEUED

    def _dispatch(self) -> None:
        """Fill the free places. Whoever is admitted may fail, and release its place, at once: that fills it too."""
        if self._is_dispatching:
            return
        self._is_dispatching = True
        try:
            while self.in_flight < self.concurrency.limit:
                request = self._queue.pop(self._may_go)
                if request is None:
                    return
                self.in_flight += 1
                if request.account is not None:
                    request.account.goes(request, self._clock())
                request.admitted()
        finally:
            self._is_dispatching = False

    def _may_go(self, request: Guarded) -> bool:
        return request.account is None or request.account.may_go(self._clock())

    def _limit_rate(self, request: Guarded, headers: Sequence[tuple[bytes, bytes]], now: float) -> None:
        """Hold everybody who uses this login back for as long as Jira says."""
        self.concurrency.troubled(AFTER_RATE_LIMIT, now)
        if request.account is None and request.authorization is not None:
            request.account = self.accounts.remember_caller(request.authorization)
        account = request.account
        if account is None:
            return
        account.pause(now + pause_seconds(list(headers)))
        self.deadline = 0.0
        left = account.paused_until - now
        if left > QUEUE_SECONDS:
            self._refuse(lambda waiter: waiter.account is account, _rate_limited(left))

    def _turn_away(self, account: Account) -> None:
        if account.refusal is not None:
            self._refuse(lambda waiter: waiter.account is account, _login_rejected(account.refusal))

    def _turn_all_away(self, reason: str) -> None:
        self._refuse(lambda _: True, self._unavailable(reason))

    def _refuse(self, is_meant: Callable[[Guarded], bool], refusal: Refusal) -> None:
        for waiter in self._queue:
            if is_meant(waiter):
                self._queue.discard(waiter)
                waiter.refused(refusal)

    def _unavailable(self, reason: str) -> Refusal:
        return Refusal(Cause.JIRA_UNAVAILABLE, f"Jira is not available, and is asked until it is: {reason}")


def _rate_limited(left: float) -> Refusal:
    seconds = ceil(left)
    return Refusal(Cause.RATE_LIMITED, f"Jira's rate limit is met; it asked for a pause of {seconds} s more", seconds)


def _login_rejected(verdict: LoginVerdict) -> Refusal:
    advice = ADVICE[verdict]
    detail = f"{advice.meaning} {advice.action} This login is not used again until it changes."
    return Refusal(Cause.LOGIN_REJECTED, detail)


def _scheme(authorization: bytes | None) -> bytes:
    return b"" if authorization is None else authorization.partition(b" ")[0].lower()
