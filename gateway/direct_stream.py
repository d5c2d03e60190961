"""One exchange with the Jira of a direct connection: what a stream is for the relay, on an `http1` pool.

Synchronous callbacks throughout. Credit is kept as in the tunnel, so that Jira is read only as fast as the caller takes
the answer. Every exchange asks the Jira's protection for its place first, and may wait for it; what it learns of the
answer it tells the protection, and the relay as meta of the answer, as an agent does (agent/carriage.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.admission import Refused
from gateway.errors import (
    BAD_REQUEST,
    JIRA_LOGIN_REJECTED,
    JIRA_UNAVAILABLE,
    OVERLOADED,
    RATE_LIMITED,
    Problem,
    Slug,
)
from http1.call import Call
from http1.client import ClientPool
from http1.errors import ClientFailure, FailureKind, UnsendableHead
from http1.messages import Headers
from http1.messages import RequestHead as JiraRequest
from http1.messages import ResponseHead as JiraAnswer
from http1.sweep import NEVER, Sweeper
from http1.target import Target
from jira_api.headers import request_headers
from jira_api.logins import LoginVerdict
from jira_api.protection.accounts import Account
from jira_api.protection.protection import QUEUE_SECONDS, Admission, Protection
from jira_api.protection.rate_limits import with_retry_after
from jira_api.protection.refusals import Cause, Refusal
from tunnel.budget import Budget
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, Pairs, ResponseHead
from tunnel.streams import StreamReceiver

_CODES: Final = {
    FailureKind.UNREACHABLE: ErrorCode.JIRA_UNREACHABLE,
    FailureKind.TLS: ErrorCode.JIRA_TLS,
    FailureKind.PROTOCOL: ErrorCode.JIRA_PROTOCOL,
    FailureKind.CLOSED: ErrorCode.JIRA_PROTOCOL,
}
_REFUSALS: Final[dict[Cause, tuple[ErrorCode, Slug]]] = {
    Cause.OVERLOADED: (ErrorCode.OVERLOADED, OVERLOADED),
    Cause.RATE_LIMITED: (ErrorCode.OVERLOADED, RATE_LIMITED),
    Cause.JIRA_UNAVAILABLE: (ErrorCode.JIRA_UNAVAILABLE, JIRA_UNAVAILABLE),
    Cause.LOGIN_REJECTED: (ErrorCode.JIRA_LOGIN_REJECTED, JIRA_LOGIN_REJECTED),
}
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class Outlet:
    """What all exchanges with one Jira share."""

    pool: ClientPool
    protection: Protection
    sweeper: Sweeper
    clock: Callable[[], float]
    budget: Budget
    ended: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Screened:
    """A request that may go to Jira as `head`; `account` as in jira_api.protection."""

    head: JiraRequest
    target: Target
    caller: bytes
    authorization: bytes | None
    account: Account | None


class DirectStream:
    """Stream towards the relay, `http1` ResponseReceiver towards the pool, `Guarded` towards the protection."""

    __slots__ = (
        "_call", "_has_begun", "_has_ended_body", "_has_place", "_held", "_is_paused", "_outlet", "_owed", "_receiver",
        "_screened", "_sent_at", "_trailers", "account", "deadline", "is_closed", "queued_bytes",
    )  # fmt: skip

    def __init__(self, receiver: StreamReceiver, screened: Screened, outlet: Outlet) -> None:
        self._receiver = receiver
        self._screened = screened
        self._outlet = outlet
        self._call: Call | None = None
        self._held: list[bytes] = []  # body that came before there was a call
        self._has_ended_body = screened.head.body in {NO_BODY, 0}
        self._trailers: Pairs | None = None
        self._owed = 0  # bytes of the answer that the caller has not taken yet
        self.queued_bytes = 0  # of the request, since Jira took no more or because there is no place yet
        self._is_paused = False
        self._has_begun = False  # the answer
        self._has_place = False
        self._sent_at = outlet.clock()
        self.account = screened.account
        self.deadline = NEVER
        self.is_closed = False

    def __repr__(self) -> str:
        return f"<DirectStream {self.progress.name} owed={self._owed} closed={self.is_closed}>"

    def begin(self) -> None:
        """Go, or wait for a place; raises `gateway.admission.Refused`. Call it once, before anything else."""
        admission = self._outlet.protection.enter(self)
        if isinstance(admission, Refusal):
            raise Refused(_problem(admission))
        if admission is Admission.QUEUED:
            self.deadline = self._outlet.clock() + QUEUE_SECONDS
            self._outlet.sweeper.add(self)
            return
        try:
            self._start()
        except UnsendableHead as error:
            self._outlet.protection.release(self)
            raise Refused(Problem(BAD_REQUEST, f"The request cannot be sent: {error.reason}.")) from None

    # What the protection asks and says

    @property
    def caller(self) -> bytes:
        """The caller's token, by name."""
        return self._screened.caller

    @property
    def method(self) -> bytes:
        """The request's method."""
        return self._screened.head.method

    @property
    def target(self) -> Target:
        """The request's target, below Jira's context path."""
        return self._screened.target

    @property
    def authorization(self) -> bytes | None:
        """The header that logs in at Jira."""
        return self._screened.authorization

    def admitted(self) -> None:
        """Go on after waiting."""
        try:
            self._start()
        except UnsendableHead as error:
            self._has_place = True
            self._fail(ErrorCode.BAD_REQUEST, Progress.NOT_SENT, f"the request cannot be sent: {error.reason}")
            return
        held, self._held = self._held, []
        self._queue(-self.queued_bytes)
        for data in held:
            self.send_data(data)
        if self._trailers is not None:
            self.send_end(self._trailers)
        self._receiver.on_writable()

    def refused(self, refusal: Refusal) -> None:
        """Tell the relay why a request that waited does not go."""
        if refusal.cause is not Cause.RATE_LIMITED:
            self._fail(_REFUSALS[refusal.cause][0], Progress.NOT_SENT, refusal.detail)
        elif self._close():
            meta = {b"problem": b"rate_limited", b"detail": refusal.detail.encode()}
            retry_after = (b"Retry-After", b"%d" % (refusal.retry_after or 1))
            self._receiver.on_response(ResponseHead(_TOO_MANY, [retry_after], 0, meta))

    def expire(self, now: float) -> None:
        """Wait no longer (sweeper item while it waits)."""
        del now
        self.refused(self._outlet.protection.waited_too_long(self))

    # What the relay asks of a stream

    @property
    def is_choked(self) -> bool:
        """Whether the request's body is not taken now."""
        return bool(self._held) if self._call is None else not self._call.writable

    @property
    def progress(self) -> Progress:
        """How far the request got."""
        return Progress.NOT_SENT if self._call is None else Progress(self._call.progress)

    def send_data(self, data: bytes) -> None:
        """Send a part of the request's body."""
        if self.is_closed:
            return
        if self._call is None:
            self._held.append(data)
        else:
            self._call.write(data)
            self._sent_at = self._outlet.clock()
        if self.is_choked:
            self._queue(len(data))

    def send_end(self, trailers: Pairs | None = None) -> None:
        """End the request's body."""
        if self.is_closed:
            return
        self._has_ended_body = True
        self._trailers = request_headers(trailers or [], caller_credentials=False)
        if self._call is not None:
            self._call.finish(self._trailers)
            self._sent_at = self._outlet.clock()

    def consume(self, size: int) -> None:
        """Return credit: the caller has taken `size` bytes of the answer."""
        if self.is_closed:
            return
        self._owe(-size)
        if self._is_paused and self._owed * 2 <= self._outlet.budget.high_water and self._call is not None:
            self._is_paused = False
            self._call.resume()

    def reset(self, code: ErrorCode, progress: Progress = Progress.SENT, detail: str = "") -> None:
        """Give up: Jira is freed at once, and nothing is heard any more."""
        del progress, detail
        is_unanswered = self._is_waiting_for_answer
        if not self._close() or self._call is None:
            return
        self._call.abort()
        if is_unanswered and code is ErrorCode.DEADLINE:
            self._outlet.protection.timed_out(self._sent_at, "Jira gave no answer in time")
        elif is_unanswered:
            self._outlet.protection.abandoned(self._sent_at)

    # What the pool tells (http1.origin.ResponseReceiver)

    def on_response(self, head: JiraAnswer) -> None:
        """Jira's answer begins."""
        outlet, now = self._outlet, self._outlet.clock()
        self._has_begun = True
        meta = {b"jira-us": b"%d" % int((now - self._sent_at) * 1_000_000)}
        login = outlet.protection.answered(self, head.status, head.headers, self._sent_at, now)
        if login is not None and login is not LoginVerdict.OK:
            meta[b"jira-login"] = login.slug.encode()
        headers = with_retry_after(head.headers) if head.status == _TOO_MANY else head.headers
        self._receiver.on_response(ResponseHead(head.status, headers, head.body, meta))

    def on_body(self, data: bytes) -> None:
        """Pass bytes of the answer on; stop reading when too many of them are not taken."""
        if self.is_closed:
            return
        self._owe(len(data))
        self._receiver.on_data(data)
        if self._owed > self._outlet.budget.high_water and not self._is_paused and self._call is not None:
            self._is_paused = True
            self._call.pause()

    def on_end(self, trailers: Headers) -> None:
        """The answer is complete."""
        if self._close():
            self._receiver.on_end(trailers)

    def on_writable(self) -> None:
        """Jira takes the request's body again."""
        if not self.is_closed:
            self._queue(-self.queued_bytes)
            self._receiver.on_writable()

    def on_failure(self, failure: ClientFailure) -> None:
        """There is no complete answer."""
        if failure.kind is FailureKind.UNREACHABLE and not self.is_closed:
            self._outlet.protection.unreachable(self._sent_at, failure.reason)
        self._fail(_CODES[failure.kind], Progress(failure.progress), failure.reason)

    # Inside

    @property
    def _is_waiting_for_answer(self) -> bool:
        """Whether Jira has had the whole request, or does not take the rest of it, and has not begun to answer."""
        call = self._call
        return call is not None and not self._has_begun and (self._has_ended_body or not call.writable)

    def _queue(self, size: int) -> None:
        self.queued_bytes += size
        self._outlet.budget.waiting += size

    def _owe(self, size: int) -> None:
        self._owed += size
        self._outlet.budget.waiting += size

    def _start(self) -> None:
        self._outlet.sweeper.discard(self)
        self._sent_at = self._outlet.clock()
        self._call = self._outlet.pool.start(self._screened.head, self)
        self._has_place = True

    def _fail(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        if self._close():
            self._receiver.on_reset(code, progress, detail)

    def _close(self) -> bool:
        """Give everything back; return whether this is the end: only the first call counts."""
        if self.is_closed:
            return False
        self.is_closed = True
        self._owe(-self._owed)
        self._queue(-self.queued_bytes)
        self._outlet.sweeper.discard(self)
        self._held = []
        if self._has_place:
            self._outlet.protection.release(self)
        else:
            self._outlet.protection.leave(self)
        self._outlet.ended()
        return True


def _problem(refusal: Refusal) -> Problem:
    return Problem(_REFUSALS[refusal.cause][1], refusal.detail, retry_after=refusal.retry_after)
