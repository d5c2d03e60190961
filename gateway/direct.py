"""A direct connection's half of the request path: it offers the relay (forward.py) what a link offers.

`DirectCarrier.open_stream` screens a request as an agent would (allow-list of headers, built-in rules, one place
where Jira's login goes on) and sends it through an `http1` pool. `DirectStream` is the stream: synchronous
callbacks, credit as in the tunnel, so that Jira is read only as fast as the caller takes the answer.
"""

from collections.abc import Callable
from typing import Final

from gateway.admission import Refused
from gateway.errors import BAD_REQUEST, POLICY_DENIED, Problem
from gateway.store import Credentials
from http1.call import Call
from http1.client import ClientPool
from http1.errors import ClientFailure, FailureKind, UnsendableHead
from http1.messages import Headers
from http1.messages import RequestHead as JiraRequest
from http1.messages import ResponseHead as JiraAnswer
from http1.target import AmbiguousTarget, parse_target
from jira_api.decisions import Deny
from jira_api.headers import request_headers
from jira_api.profiles import NEVER, PROFILES
from jira_api.rules import RuleSet, evaluate
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import Pairs, RequestHead, ResponseHead
from tunnel.outbox import HIGH_WATER, LOW_WATER
from tunnel.streams import StreamReceiver

VIA: Final = (b"Via", b"1.1 jira-tunnel")
RULES: Final = RuleSet(PROFILES["full-rest"], NEVER)
"""What may pass where no agent's policy decides (docs/decisions/0010-direct-connections.md)."""

_CODES: Final = {
    FailureKind.UNREACHABLE: ErrorCode.JIRA_UNREACHABLE,
    FailureKind.TLS: ErrorCode.JIRA_TLS,
    FailureKind.PROTOCOL: ErrorCode.JIRA_PROTOCOL,
    FailureKind.CLOSED: ErrorCode.JIRA_PROTOCOL,
}


class DirectStream:
    """One exchange with a Jira: stream towards the relay, `http1` ResponseReceiver towards the pool."""

    __slots__ = ("_call", "_clock", "_ended", "_is_paused", "_owed", "_receiver", "_sent_at", "is_closed")

    def __init__(self, receiver: StreamReceiver, clock: Callable[[], float], ended: Callable[[], None]) -> None:
        self._receiver = receiver
        self._clock = clock
        self._ended = ended
        self._call: Call | None = None
        self._owed = 0  # bytes of the answer that the caller has not taken yet
        self._is_paused = False
        self._sent_at = clock()
        self.is_closed = False

    def __repr__(self) -> str:
        return f"<DirectStream {self.progress.name} owed={self._owed} closed={self.is_closed}>"

    def carried_by(self, call: Call) -> None:
        """Take the call of this exchange; before anything else."""
        self._call = call

    # What the relay asks of a stream

    @property
    def queued_bytes(self) -> int:
        """0 while Jira takes the request's body, more than HIGH_WATER while it does not."""
        return 0 if self._call is None or self._call.writable else HIGH_WATER + 1

    @property
    def progress(self) -> Progress:
        """How far the request got."""
        return Progress.NOT_SENT if self._call is None else Progress(self._call.progress)

    def send_data(self, data: bytes) -> None:
        """Send a part of the request's body."""
        if self._call is not None and not self.is_closed:
            self._call.write(data)
            self._sent_at = self._clock()

    def send_end(self, trailers: Pairs | None = None) -> None:
        """End the request's body."""
        if self._call is not None and not self.is_closed:
            self._call.finish(trailers or ())
            self._sent_at = self._clock()

    def consume(self, size: int) -> None:
        """Return credit: the caller has taken `size` bytes of the answer."""
        self._owed -= size
        if self._is_paused and self._owed <= LOW_WATER and self._call is not None:
            self._is_paused = False
            self._call.resume()

    def reset(self, code: ErrorCode, progress: Progress = Progress.SENT, detail: str = "") -> None:
        """Give up: Jira is freed at once, and nothing is heard any more."""
        del code, progress, detail
        if self._close() and self._call is not None:
            self._call.abort()

    # What the pool tells (http1.origin.ResponseReceiver)

    def on_response(self, head: JiraAnswer) -> None:
        """Jira's answer begins."""
        microseconds = int((self._clock() - self._sent_at) * 1_000_000)
        meta = {b"jira-us": b"%d" % microseconds}
        self._receiver.on_response(ResponseHead(head.status, head.headers, head.body, meta))

    def on_body(self, data: bytes) -> None:
        """Pass bytes of the answer on; stop reading when too many of them are not taken."""
        if self.is_closed:
            return
        self._owed += len(data)
        self._receiver.on_data(data)
        if self._owed > HIGH_WATER and not self._is_paused and self._call is not None:
            self._is_paused = True
            self._call.pause()

    def on_end(self, trailers: Headers) -> None:
        """The answer is complete."""
        if self._close():
            self._receiver.on_end(trailers)

    def on_writable(self) -> None:
        """Jira takes the request's body again."""
        if not self.is_closed:
            self._receiver.on_writable()

    def on_failure(self, failure: ClientFailure) -> None:
        """There is no complete answer."""
        if self._close():
            self._receiver.on_reset(_CODES[failure.kind], Progress(failure.progress), failure.reason)

    def _close(self) -> bool:
        """Return whether this is the end; only the first call counts."""
        if self.is_closed:
            return False
        self.is_closed = True
        self._ended()
        return True


class DirectCarrier:
    """What a link is for an agent: the way to one Jira, with one pool of sockets."""

    def __init__(
        self,
        pool: ClientPool,
        context_path: bytes,
        credentials: Credentials,
        user_agent: bytes,
        clock: Callable[[], float],
    ) -> None:
        self.pool = pool
        self.streams = 0
        self._context_path = context_path
        self._credentials = credentials
        self._user_agent = user_agent
        self._clock = clock

    def __repr__(self) -> str:
        return f"<DirectCarrier {self.pool.origin.host} streams={self.streams}>"

    def apart(self) -> "DirectCarrier":
        """Return a carrier on the same pool that counts for itself: for requests that no stop waits for."""
        return DirectCarrier(self.pool, self._context_path, self._credentials, self._user_agent, self._clock)

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> DirectStream:
        """Send a request; raises `gateway.admission.Refused` when it must not or cannot go to this Jira."""
        stream = DirectStream(receiver, self._clock, self._closed)
        try:
            stream.carried_by(self.pool.start(self._screened(head), stream))
        except UnsendableHead as error:
            raise Refused(Problem(BAD_REQUEST, f"The request cannot be sent: {error.reason}.")) from None
        self.streams += 1
        return stream

    def _closed(self) -> None:
        self.streams -= 1

    def _screened(self, head: RequestHead) -> JiraRequest:
        """Return what goes to Jira; the target that was checked is sent as it is, below the context path."""
        try:
            target = parse_target(head.target)
        except AmbiguousTarget as error:
            raise Refused(Problem(BAD_REQUEST, f"The path is ambiguous ({error.reason}).")) from None
        decision = evaluate(RULES, head.method, target, credentials=self._credentials.value)
        if isinstance(decision, Deny):
            rule = f" (rule {decision.rule_id})" if decision.rule_id else ""
            message = f"The gateway's rules for direct connections refused it: {decision.reason}{rule}."
            raise Refused(Problem(POLICY_DENIED, message))
        return JiraRequest(head.method, self._context_path + head.target, self._headers(head.headers), head.body)

    def _headers(self, given: Pairs) -> Headers:
        """Return the headers for Jira: the allow-list, our own, and the login (the caller's, or the sealed one)."""
        headers = request_headers(given, caller_credentials=self._credentials is Credentials.CALLER)
        headers += [(b"User-Agent", self._user_agent), VIA]
        if self._credentials is Credentials.GATEWAY:
            headers += [pair for pair in given if pair[0].lower() == b"authorization"]
        return headers
