"""One request carried to Jira and its answer carried back: the agent's request path, synchronous throughout.

`Carriage` is the caller's half (tunnel StreamReceiver) and `Answer` is Jira's (http1 ResponseReceiver).
Together they hold one place towards Jira and one deadline, and give both back exactly once, in `Carriage.end`. Nothing
here decides what may pass (agent.screening) or when (jira_api.protection) and nothing waits: who is full is asked again
by `on_writable`. Credit on the tunnel is returned only for bytes that Jira's socket has taken, so a slow Jira slows its
caller and costs no memory.
"""

from collections.abc import Callable
from math import inf

from agent.carriage_tables import CODES, OUTCOMES, REFUSALS, State
from agent.jira_side import JiraSide, Order
from agent.screening import Cleared, Refused
from agent.tally import ANSWERED, RATE_LIMITED
from http1.client import Call
from http1.errors import ClientFailure, FailureKind, UnsendableHead
from http1.messages import Headers, ResponseHead
from http1.target import Target
from jira_api.headers import passing, request_headers
from jira_api.logins import LoginVerdict
from jira_api.protection.protection import QUEUE_SECONDS, Admission
from jira_api.protection.rate_limits import with_retry_after
from jira_api.protection.refusals import Cause, Refusal
from jira_api.webhook_registration import MAX_REGISTRATION_BYTES
from tunnel.errors import ErrorCode, LocalProtocolError, Progress
from tunnel.heads import RequestHead as StreamRequest
from tunnel.heads import ResponseHead as StreamAnswer
from tunnel.streams import Stream

DEFAULT_TIMEOUT_SECONDS = 60.0
_TOO_MANY = 429


class Carriage:
    """The caller's half of one exchange: StreamReceiver, `Guarded` of the protection and sweeper item in one."""

    __slots__ = (
        "_answer", "_began_at", "_call", "_held", "_jira", "_order", "_owed", "_received", "_stream", "_trailers",
        "account", "deadline", "state", "timeout",
    )  # fmt: skip

    def __init__(self, stream: Stream, order: Order, jira: JiraSide) -> None:
        self._stream = stream
        self._order = order
        self._jira = jira
        self.timeout = order.request.timeout_ms / 1000 or DEFAULT_TIMEOUT_SECONDS
        self.deadline = inf
        self.state = State.WAITING
        self._call: Call | None = None
        self._answer = Answer(self, stream, jira, keeps_cookies=order.cleared.keeps_cookies)
        self.account = jira.account(order.cleared)
        self._held: list[bytes] = []  # body that came before there was a call
        self._began_at = jira.clock()
        self._received = 0  # bytes of body
        self._owed = 0  # bytes of body that came and whose credit was not returned yet
        self._trailers: Headers | None = None  # set when the caller's half is complete

    def __repr__(self) -> str:
        return f"<Carriage stream={self._stream.id} {self.state.name} owed={self._owed} deadline={self.deadline:.1f}>"

    def begin(self) -> None:
        """Ask for a place towards Jira; call once."""
        self._jira.sweeper.add(self)
        admission = self._jira.protection.enter(self)
        if admission is Admission.ADMITTED:
            self.admitted()
        elif admission is Admission.QUEUED:
            self.deadline = self._jira.clock() + QUEUE_SECONDS
        else:
            self.refused(admission)

    # ---- what the protection asks and says

    @property
    def caller(self) -> bytes:
        """The caller's token, by name."""
        return self._order.request.meta.get(b"caller", b"")

    @property
    def method(self) -> bytes:
        """The request's method."""
        return self._order.request.method

    @property
    def target(self) -> Target:
        """The request's target, below Jira's context path."""
        return self._order.cleared.target

    @property
    def authorization(self) -> bytes | None:
        """The header that logs in at Jira."""
        return self._order.cleared.authorization

    def refused(self, refusal: Refusal) -> None:
        """Tell the caller why its request does not go to Jira."""
        if refusal.cause is Cause.RATE_LIMITED:
            self._pass_on_rate_limit(refusal)
        else:
            self.fail(REFUSALS[refusal.cause], Progress.NOT_SENT, refusal.detail)

    def admitted(self) -> None:
        """Go on: a place is ours."""
        waited = 0.0 if self.deadline == inf else self._jira.clock() - self.deadline + QUEUE_SECONDS
        self._jira.tally.queue.observe(waited)
        if not self._order.cleared.needs_body_check:
            self._start()
            return
        self.state = State.CHECKING
        self.touch()
        self._return_credit()
        if self._trailers is not None:
            self._check_registration()

    # ---- the caller's half

    def on_response(self, head: StreamAnswer) -> None:
        """Ignore: only the opener of a stream gets an answer."""

    def on_data(self, data: bytes) -> None:
        """Pass on a piece of the request's body."""
        size = len(data)
        self._owed += size
        self._received += size
        call = self._call
        if call is not None:
            call.write(data)
            self._after_write(call)
            return
        if self.state is State.ENDED:  # the answer is complete; what the caller still sends is not needed
            self._return_credit()
            return
        self._held.append(data)
        if self.state is State.CHECKING:
            self._return_credit()
            if sum(map(len, self._held)) > MAX_REGISTRATION_BYTES:
                self.fail(ErrorCode.POLICY_DENIED, Progress.NOT_SENT, "the webhook registration is too large")

    def on_end(self, trailers: Headers) -> None:
        """Note that the caller's half is complete."""
        self._trailers = trailers
        if self._call is not None:
            self._finish(self._call, trailers)
        elif self.state is State.CHECKING:
            self._check_registration()

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """Free Jira at once: the caller hung up, its time is up, or the link is gone."""
        del progress, detail
        if self.state is not State.ENDED:
            self._jira.tally.reset(code)
            if self._is_waiting_for_answer:
                self._jira.protection.abandoned(self._answer.sent_at)
            self.end(OUTCOMES[code], abort=True)

    def on_writable(self) -> None:
        """Go on reading Jira's answer: the tunnel has sent enough of it."""
        if self._call is not None:
            self._answer.resume(self._call)

    # ---- towards Jira

    def _start(self) -> None:
        self.state = State.CARRYING
        self._answer.sent_at = self._jira.clock()
        try:
            call = self._jira.pool.start(self._order.cleared.head, self._answer)
        except UnsendableHead as error:
            self.fail(ErrorCode.BAD_REQUEST, Progress.NOT_SENT, f"the request cannot be sent: {error.reason}")
            return
        if self.state is State.ENDED:  # the pool failed it at once
            return
        self._call = call
        for data in self._held:
            call.write(data)
        self._held.clear()
        if self._trailers is not None:
            self._finish(call, self._trailers)
        self._after_write(call)

    def _finish(self, call: Call, trailers: Headers) -> None:
        call.finish(request_headers(trailers, caller_credentials=False))
        self._answer.sent_at = self._jira.clock()
        self.touch()

    def _after_write(self, call: Call) -> None:
        if call.writable:
            self._return_credit()
        if self._trailers is None:
            # While the caller is the slow one the clock stands still; while Jira does not take bytes it runs.
            self.deadline = inf if call.writable else self._jira.clock() + self.timeout

    def jira_writable(self) -> None:
        """Return the credit of what Jira's socket has taken meanwhile."""
        if self._call is not None:
            self._after_write(self._call)

    def pause(self) -> bool:
        """Stop reading Jira's answer; the clock stands still, for now it is the caller who is slow."""
        if self._call is None:
            return False
        self._call.pause()
        self.deadline = inf
        return True

    def _return_credit(self) -> None:
        if self._owed:
            owed, self._owed = self._owed, 0
            self._stream.consume(owed)

    def _check_registration(self) -> None:
        body = b"".join(self._held)
        order = self._order
        objection = order.screening.check_registration(order.request.method, body)
        if objection is not None:
            self.fail(objection.code, Progress.NOT_SENT, objection.detail)
            return
        order.cleared.head.body = len(body)  # what was checked is what is sent, in one piece
        self._held = [body] if body else []
        self._start()

    # ---- the end

    def touch(self) -> None:
        """Give Jira its full time again."""
        self.deadline = self._jira.clock() + self.timeout

    def expire(self, now: float) -> None:
        """Give up waiting (sweeper item)."""
        del now
        if self.state is State.WAITING:
            self.refused(self._jira.protection.waited_too_long(self))
        elif self.state is State.CHECKING:
            self.fail(ErrorCode.BAD_REQUEST, Progress.NOT_SENT, "the webhook registration did not arrive in time")
        elif self.state is State.CARRYING:
            progress = Progress.NOT_SENT if self._call is None else Progress(self._call.progress)
            reason = f"Jira gave no sign within {self.timeout:g} s"
            if self._is_waiting_for_answer:
                self._jira.protection.timed_out(self._answer.sent_at, reason)
            self.fail(ErrorCode.JIRA_TIMEOUT, progress, reason)

    def judge_again(self, judge: Callable[[StreamRequest], Cleared | Refused]) -> None:
        """End it, unless it has gone to Jira, when the rules that are in force now do not allow it."""
        if self.state in {State.WAITING, State.CHECKING}:
            verdict = judge(self._order.request)
            if isinstance(verdict, Refused):
                self.fail(verdict.code, Progress.NOT_SENT, verdict.detail)

    def cut(self, detail: str) -> None:
        """End it wherever it is: the administrator does not wait."""
        progress = Progress.NOT_SENT if self._call is None else Progress(self._call.progress)
        is_unsent = progress is Progress.NOT_SENT
        self.fail(ErrorCode.PAUSED if is_unsent else ErrorCode.JIRA_PROTOCOL, progress, detail)

    def fail(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """End the exchange with a reset."""
        if self.state is State.ENDED:
            return
        self._jira.tally.reset(code)
        self.end(OUTCOMES[code], abort=True)
        self._stream.reset(code, progress, detail)
        self._jira.report(self._order.request, code, detail, None)

    def end(self, outcome: str, *, abort: bool) -> None:
        """Give back place, deadline and credit, and on `abort` Jira's socket. Only the first call counts."""
        if self.state is State.ENDED:
            return
        had_place = self.state is not State.WAITING  # what waits has none yet
        self.state = State.ENDED
        call, self._call = self._call, None
        self._held = []
        self._jira.sweeper.discard(self)
        if abort and call is not None:
            call.abort()
        elif not abort:
            self._return_credit()
        if had_place:
            self._jira.protection.release(self)
        else:
            self._jira.protection.leave(self)
        order, answer, took = self._order, self._answer, self._jira.clock() - self._began_at
        self._jira.audit.request(
            order.request, order.cleared.rule, outcome, answer.status, self._received, answer.sent, took
        )
        del self._answer  # it holds us: a cycle would wait for the collector, which then had 5 ms to do at a time

    @property
    def _is_waiting_for_answer(self) -> bool:
        """Whether Jira has had the whole request, or does not take the rest of it, and has not begun to answer."""
        call = self._call
        return call is not None and not self._answer.has_begun and (self._trailers is not None or not call.writable)

    def _pass_on_rate_limit(self, refusal: Refusal) -> None:
        """Answer as Jira has just answered to this login; the gateway words it (docs/protocol.md section 4.1)."""
        self._jira.tally.rate_limited()
        self.end(RATE_LIMITED, abort=True)
        meta = {b"problem": b"rate_limited", b"detail": refusal.detail.encode()}
        headers = [(b"Retry-After", b"%d" % (refusal.retry_after or 1))]
        self._stream.respond(StreamAnswer(_TOO_MANY, headers, 0, meta), end=True)


class Answer:
    """Jira's half of one exchange: http1 ResponseReceiver."""

    __slots__ = (
        "_carriage",
        "_is_paused",
        "_jira",
        "_keeps_cookies",
        "_stream",
        "has_begun",
        "sent",
        "sent_at",
        "status",
    )

    def __init__(self, carriage: Carriage, stream: Stream, jira: JiraSide, *, keeps_cookies: bool) -> None:
        self._carriage = carriage
        self._stream = stream
        self._jira = jira
        self._keeps_cookies = keeps_cookies
        self._is_paused = False
        self.has_begun = False
        self.status = 0
        self.sent = 0  # bytes of the answer's body
        self.sent_at = 0.0  # when the last byte of the request went to Jira, as far as it did

    def on_response(self, head: ResponseHead) -> None:
        """Pass on the head of the answer, with the microseconds that Jira took for it."""
        jira, now = self._jira, self._jira.clock()
        self.has_begun = True
        jira.tally.jira.observe(now - self.sent_at)
        self.status = head.status
        meta = {b"jira-us": b"%d" % int((now - self.sent_at) * 1_000_000)}
        login = jira.protection.answered(self._carriage, head.status, head.headers, self.sent_at, now)
        if login is not None and login is not LoginVerdict.OK:
            meta[b"jira-login"] = login.slug.encode()
        headers = passing(head.headers, caller_credentials=self._keeps_cookies)
        if head.status == _TOO_MANY:
            headers = with_retry_after(headers)
        answer = StreamAnswer(head.status, headers, head.body, meta)
        try:
            self._stream.respond(answer)
        except LocalProtocolError:  # larger than one frame; http1's own limits let a little more pass
            self._carriage.fail(
                ErrorCode.JIRA_PROTOCOL, Progress.ANSWERED, "the head of Jira's answer does not fit the tunnel"
            )
        else:
            self._carriage.touch()

    def on_body(self, data: bytes) -> None:
        """Pass on a piece of the answer; stop reading when the tunnel has enough of it."""
        self._stream.send_data(data)
        self.sent += len(data)
        if self._is_paused:
            return
        if self._stream.is_choked:
            self._is_paused = self._carriage.pause()
        else:
            self._carriage.touch()

    def on_end(self, trailers: Headers) -> None:
        """Close the exchange in good order."""
        try:
            self._stream.send_end(trailers)
        except LocalProtocolError:
            self._carriage.fail(
                ErrorCode.JIRA_PROTOCOL, Progress.ANSWERED, "the trailers of Jira's answer are too large"
            )
        else:
            self._jira.tally.answered()
            self._carriage.end(ANSWERED, abort=False)

    def on_writable(self) -> None:
        """Note that Jira's socket takes bytes of the request again."""
        self._carriage.jira_writable()

    def on_failure(self, failure: ClientFailure) -> None:
        """Pass on that there is no complete answer."""
        if failure.kind is FailureKind.UNREACHABLE:
            self._jira.protection.unreachable(self.sent_at, failure.reason)
        self._carriage.fail(CODES[failure.kind], Progress(failure.progress), failure.reason)

    def resume(self, call: Call) -> None:
        """Read on."""
        if self._is_paused:
            self._is_paused = False
            self._carriage.touch()
            call.resume()
