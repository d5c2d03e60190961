"""Hands requests that are not for any Jira to the program that serves them on a unix socket of this machine.

Knows nothing of what they mean, but for one thing: who reads events may wait for long. It bounds both kinds of
requests, forwards the few headers that matter there, and adds the request's id and the caller's address under names
that no caller can set. Who may ask is the other side's business.
"""

import re
from time import perf_counter
from typing import Final

from gateway.access_log import Visit
from gateway.errors import BODY_TOO_LARGE, DRAINING, INTERNAL, OVERLOADED, Problem, Processed, answer
from gateway.outcomes import OutcomeLog
from http1.call import Call
from http1.errors import ClientFailure, Progress, UnsendableHead
from http1.exchange import Exchange
from http1.messages import Headers, RequestHead, ResponseHead
from http1.origin import ClientLimits
from http1.sweep import Sweeper
from http1.unix_pool import UnixPool

REQUEST_ID_HEADER: Final = "X-Request-ID"
PEER_HEADER: Final = "Tunnel-Peer"
CALLER_HEADER: Final = "Tunnel-Caller"
"""In answers: the name of the token that asked. It is for the access log and goes no further."""

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_REQUESTS: Final = 64
MAX_READERS: Final = 256
ANSWER_SECONDS: Final = 100.0  # a report that asks a slow Jira several things takes its time
GOODBYE_SECONDS: Final = 1.0  # for readers to be told by the other side that the gateway stops

_FORWARDED = frozenset(
    {
        b"authorization",
        b"tunnel-authorization",
        b"content-type",
        b"content-encoding",
        b"accept",
        b"last-event-id",
    }
)
_READS_EVENTS = re.compile(rb"/api/v1/triggers/[^/?]+/events(?:\?.*)?", re.DOTALL)
_CALLER = CALLER_HEADER.lower().encode()
_KEPT_BACK = frozenset({b"server", _CALLER})


class LocalRelay:
    """Carries exchanges to the server at `path`. `run` must be running."""

    def __init__(self, path: str, sweeper: Sweeper, outcomes: OutcomeLog) -> None:
        self._pool = UnixPool(path, sweeper, ClientLimits(max_idle=8))
        self._sweeper = sweeper
        self._outcomes = outcomes
        self._active: set[Relayed] = set()
        self._readers: set[Relayed] = set()
        self.is_draining = False

    def __repr__(self) -> str:
        return f"<LocalRelay {self._pool.origin.host} {len(self._active)} requests, {len(self._readers)} readers>"

    @property
    def active(self) -> int:
        """Requests in flight, readers of events among them."""
        return len(self._active) + len(self._readers)

    @property
    def readers(self) -> int:
        """Requests that read events, for which others are no reason to wait."""
        return len(self._readers)

    async def run(self) -> None:
        """Own the sockets until cancelled."""
        await self._pool.run()

    def begin(self, exchange: Exchange, request_id: str) -> "Relayed | None":
        """Send a request on its way, or answer why not."""
        reads = reads_events(exchange.request)
        problem = self._objection(exchange.request, reads=reads)
        if problem is None:
            relayed = Relayed(exchange, request_id, self, reads=reads)
            try:
                relayed.call = self._pool.start(_head(exchange, request_id), Reply(relayed))
            except UnsendableHead:
                problem = Problem(INTERNAL, "This request cannot be passed on.")
            else:
                self.prolong(relayed)
                (self._readers if reads else self._active).add(relayed)
                self._sweeper.add(relayed)
                return relayed
        self.refuse(exchange, problem, request_id)
        return None

    def drain(self) -> None:
        """Take no more readers, and let those that are there end: they would wait as long as we do."""
        self.is_draining = True
        for reader in self._readers:
            reader.deadline = min(reader.deadline, self._sweeper.now + GOODBYE_SECONDS)

    def prolong(self, relayed: "Relayed") -> None:
        """Give a request its time from now on; a reader has none left when we stop."""
        if not (relayed.reads and self.is_draining):
            relayed.deadline = self._sweeper.now + ANSWER_SECONDS

    def refuse(self, exchange: Exchange, problem: Problem, request_id: str) -> None:
        """Answer a request ourselves, or break an answer that has begun."""
        if exchange.responded:
            exchange.abort()
        else:
            status, headers, body = answer(problem, request_id)
            exchange.respond(status, headers, len(body))
            exchange.write(body)
            exchange.finish()
        self._outcomes.refused(exchange.peer, exchange.request, problem, request_id, caller="", exchange=exchange)

    def forget(self, relayed: "Relayed", visit: Visit | None = None) -> None:
        """Count a request that is over; no `visit`: its end is told by `refuse`."""
        self._active.discard(relayed)
        self._readers.discard(relayed)
        self._sweeper.discard(relayed)
        if visit is not None:
            self._outcomes.relayed(visit)

    def _objection(self, request: RequestHead, *, reads: bool) -> Problem | None:
        if request.body > MAX_BODY_BYTES:
            return _too_large()
        if reads and self.is_draining:
            return Problem(DRAINING, "The gateway is restarting; try again.")
        if reads and len(self._readers) >= MAX_READERS:
            return Problem(OVERLOADED, "There are as many readers of events as there may be; try again.")
        if not reads and len(self._active) >= MAX_REQUESTS:
            return Problem(OVERLOADED, "There are as many requests in flight as there may be; try again.")
        return None


class Relayed:
    """One request: the receiver of its exchange."""

    __slots__ = (
        "_has_ended", "_relay", "_sent", "_started_at", "call", "caller", "deadline", "exchange", "reads", "request_id",
        "status",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, request_id: str, relay: LocalRelay, *, reads: bool) -> None:
        self.exchange = exchange
        self.request_id = request_id
        self.reads = reads
        self.call: Call | None = None
        self.deadline = 0.0
        self.status = 0
        self.caller = ""
        self._started_at = perf_counter()
        self._has_ended = False
        self._relay = relay
        self._sent = 0

    def __repr__(self) -> str:
        return f"<Relayed {self.request_id} status={self.status}>"

    def on_body(self, data: bytes) -> None:
        """Pass bytes of the request's body on, up to the bound."""
        self._sent += len(data)
        if self.call is None:
            return
        if self._sent > MAX_BODY_BYTES:
            self.fail(_too_large())
            return
        self.call.write(data)
        if not self.call.writable:
            self.exchange.pause_body()

    def on_body_end(self, trailers: Headers) -> None:
        """The request is complete."""
        del trailers
        if self.call is not None:
            self.call.finish()

    def on_writable(self) -> None:
        """The caller takes bytes again."""
        if self.call is not None:
            self.call.resume()

    def on_disconnect(self) -> None:
        """The caller hung up."""
        self.end(has_hung_up=True)

    def on_progress(self) -> None:
        """A part of the answer came: who reads events has as long again."""
        if self.reads:
            self._relay.prolong(self)

    def expire(self, now: float) -> None:
        """There was no whole answer in time."""
        del now
        if self.reads and self._relay.is_draining:
            self.fail(Problem(DRAINING, "The gateway is restarting; try again."))
            return
        self.fail(Problem(INTERNAL, "There was no answer in time.", processed=Processed.UNKNOWN))

    def fail(self, problem: Problem) -> None:
        """Give up, and tell the caller why."""
        self._let_go(None)
        self._relay.refuse(self.exchange, problem, self.request_id)

    def end(self, *, has_hung_up: bool = False) -> None:
        """Let go of everything; the answer is complete, or nobody waits for it any more."""
        exchange = self.exchange
        self._let_go(
            Visit(
                self.request_id,
                exchange.peer,
                exchange.request,
                self.status,
                self.caller,
                has_hung_up=has_hung_up,
                exchange=exchange,
                started_at=self._started_at,
            )
        )

    def _let_go(self, visit: Visit | None) -> None:
        call, self.call = self.call, None
        if call is not None:
            call.abort()
        self._relay.forget(self, None if self._has_ended else visit)
        self._has_ended = True


class Reply:
    """The answer to one request (http1.origin.ResponseReceiver)."""

    __slots__ = ("_relayed",)

    def __init__(self, relayed: Relayed) -> None:
        self._relayed = relayed

    def on_response(self, head: ResponseHead) -> None:
        """The answer begins."""
        relayed = self._relayed
        headers = [pair for pair in head.headers if pair[0].lower() not in _KEPT_BACK]
        relayed.status = head.status
        relayed.caller = next((value.decode() for name, value in head.headers if name.lower() == _CALLER), "")
        relayed.exchange.respond(head.status, headers, head.body)

    def on_body(self, data: bytes) -> None:
        """Pass bytes of the answer on, as fast as the caller takes them."""
        relayed = self._relayed
        relayed.on_progress()
        relayed.exchange.write(data)
        if relayed.call is not None and not relayed.exchange.writable:
            relayed.call.pause()

    def on_end(self, trailers: Headers) -> None:
        """The answer is complete."""
        del trailers
        self._relayed.exchange.finish()
        self._relayed.end()

    def on_writable(self) -> None:
        """The request's body may go on."""
        self._relayed.exchange.resume_body()

    def on_failure(self, failure: ClientFailure) -> None:
        """There will be no answer."""
        if failure.progress is Progress.NOT_SENT:
            problem = Problem(OVERLOADED, "This part of the gateway does not answer at the moment; try again.")
        else:
            problem = Problem(INTERNAL, "Something of ours failed; try again.", processed=Processed.UNKNOWN)
        self._relayed.fail(problem)


def reads_events(request: RequestHead) -> bool:
    """Say whether a request is one that may wait for long: it asks for a trigger's events (docs/api.md)."""
    return request.method == b"GET" and _READS_EVENTS.fullmatch(request.target) is not None


def _head(exchange: Exchange, request_id: str) -> RequestHead:
    request = exchange.request
    headers = [pair for pair in request.headers if pair[0].lower() in _FORWARDED]
    headers.append((REQUEST_ID_HEADER.encode(), request_id.encode()))
    headers.append((PEER_HEADER.encode(), exchange.peer.encode()))
    return RequestHead(request.method, request.target, headers, request.body)


def _too_large() -> Problem:
    return Problem(BODY_TOO_LARGE, f"The body is larger than {MAX_BODY_BYTES} bytes.")
