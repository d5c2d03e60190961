"""One caller's request on its way to Jira and back: the gateway's half of the request path.

A `Forward` stands between an `http1.exchange.Exchange` and a stream, of an agent's link or direct. Everything
here is a synchronous callback of one of the two: no task, no queue, no await. Credit goes back to the agent only when
the caller's socket has taken the bytes, and the caller is paused while the link is behind, so that nobody's
slowness piles up bytes here. Which outcome a caller gets is decided in replay.py and errors.py, not here.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final, Protocol

from gateway.admission import Admission, Refused
from gateway.answer import Answer, AnswerRules
from gateway.directory import ConnectionEntry
from gateway.errors import (
    AGENT_OFFLINE,
    BAD_REQUEST,
    JIRA_PROTOCOL,
    JIRA_TIMEOUT,
    JIRA_UNAVAILABLE,
    Problem,
    Processed,
    Source,
    answer,
    from_meta,
    from_refusal,
    from_reset,
)
from gateway.kept_body import KeptBody, KeptRoom
from gateway.registry import AgentLink, Registry, RelayStream, Way
from gateway.replay import may_replay
from http1.errors import UnsendableHead
from http1.exchange import Exchange
from http1.sweep import Sweeper
from jira_api.gzip_bodies import BodyUnreadable
from jira_api.headers import response_headers
from tunnel.errors import ErrorCode, LocalProtocolError, Progress, StreamRefused
from tunnel.heads import NO_BODY, Pairs, RequestHead, ResponseHead, share_fields

# The agent watches the same deadline, nearer to Jira; ours only catches what never comes back.
GRACE_SECONDS: Final = 0.25


class Outcomes(Protocol):
    """Who counts, logs and remembers what became of requests."""

    def answered(self, forward: "Forward", head: ResponseHead) -> None:
        """Jira's answer to one request has begun."""

    def finished(self, forward: "Forward", status: int, problem: Problem | None) -> None:
        """One request has its outcome; `status` is what the caller saw (0: it hung up before any)."""


class Direct(Protocol):
    """Who knows the ways to Jiras without an agent."""

    def pick(self, entry: ConnectionEntry) -> Way | None:
        """Return the way of this connection, None when its configuration cannot be used."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every request shares; without `direct` there are only agents."""

    registry: Registry
    rules: AnswerRules
    sweeper: Sweeper
    outcomes: Outcomes
    direct: Direct | None = None
    room: KeptRoom = field(default_factory=KeptRoom)


class Forward:
    """One request; the receiver of its exchange and of its stream."""

    __slots__ = (
        "_answer", "_around", "_attempts", "_body_ended", "_failed_links", "_head", "_kept", "_owed", "_patience",
        "_resent", "_stream", "_trailers", "admission", "answered_at", "deadline", "exchange", "has_hung_up", "jira_us",
        "link", "request_id", "sent_at", "started_at", "status",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, admission: Admission, request_id: str, around: Surroundings) -> None:
        self.exchange = exchange
        self.admission = admission
        self.request_id = request_id
        self.link: Way | None = None
        self.status = 0  # of the answer that the caller sees; 0 before
        self.started_at = perf_counter()
        self.sent_at = 0.0  # when it was handed to a way for the last time; 0 before
        self.answered_at = 0.0
        self.jira_us = b""  # Jira's part of the time, as the agent says it
        self.has_hung_up = False
        self.deadline = 0.0
        self._patience = admission.timeout + GRACE_SECONDS
        self._around = around
        self._head = _request_head(exchange, admission, request_id, around.rules)
        self._stream: RelayStream | None = None
        self._answer: Answer | None = None
        self._attempts = 0
        self._resent = False  # sent again although it may have reached Jira
        self._failed_links: set[int] = set()
        self._kept = KeptBody(around.room)
        self._body_ended = False
        self._trailers: Pairs = []
        self._owed = 0  # credit for bytes that the caller's socket has not taken yet

    def __repr__(self) -> str:
        return f"<Forward {self.request_id} attempts={self._attempts} status={self.status}>"

    def start(self) -> None:
        """Hand the request to the least loaded link of its agent, or answer why not."""
        self._touch()
        self._around.sweeper.add(self)
        self._send(None)

    # The caller's side (http1.exchange.ExchangeReceiver)

    def on_body(self, data: bytes) -> None:
        """Pass bytes of the request's body on, and keep them while they may have to go again."""
        stream = self._stream
        if stream is None:
            return
        self._kept.add(data)
        self._touch()
        stream.send_data(data)
        if stream.is_choked:
            self.exchange.pause_body()

    def on_body_end(self, trailers: Pairs) -> None:
        """The request is complete."""
        self._body_ended = True
        self._trailers = trailers
        self._touch()
        if self._stream is not None and self._has_body:
            self._stream.send_end(trailers)

    def on_disconnect(self) -> None:
        """The caller hung up: Jira is freed at once."""
        if self._stream is not None:
            self._stream.reset(ErrorCode.CANCEL)
        self.has_hung_up = True
        self._finish(None)

    def on_writable(self) -> None:
        """Either side takes bytes again (both call this): return owed credit, resume the caller's body."""
        stream = self._stream
        if stream is None:
            return
        if self._owed and self.exchange.writable:
            owed, self._owed = self._owed, 0
            self._touch()
            stream.consume(owed)
        if not stream.is_choked:
            self.exchange.resume_body()

    # The agent's side (tunnel.streams.StreamReceiver)

    def on_response(self, head: ResponseHead) -> None:
        """Jira's answer begins, or what the agent says in its place."""
        if b"problem" in head.meta and (problem := from_meta(head)) is not None:
            self._refused(problem)
            return
        self._touch()
        self.answered_at = perf_counter()
        self.jira_us = head.meta.get(b"jira-us", b"")
        self._kept.forget()
        reply = self._answer = self._around.rules.begin(self, head)
        try:
            self.exchange.respond(head.status, reply.headers, reply.body)
        except UnsendableHead as unsendable:
            self._give_up(f"Jira's answer cannot be passed on: {unsendable.reason}")
            return
        self.status = head.status
        self._around.outcomes.answered(self, head)

    def on_data(self, data: bytes) -> None:
        """Pass bytes of Jira's answer on; the agent gets credit for them when the caller has them."""
        stream, reply = self._stream, self._answer
        if stream is None or reply is None:
            return
        self._touch()
        if reply.links is None:
            self.exchange.write(data)
        elif not self._write_rewritten(reply, data):
            return
        if self.exchange.writable:
            stream.consume(len(data))
        else:
            self._owed += len(data)

    def on_end(self, trailers: Pairs) -> None:
        """Jira's answer is complete."""
        stream, reply = self._stream, self._answer
        if stream is None or reply is None or (reply.links is not None and not self._write_rewritten(reply, None)):
            return
        if not self._body_ended:
            stream.reset(ErrorCode.NO_ERROR)  # Jira has answered without waiting for the rest of the body
        elif self._owed:
            stream.consume(self._owed)
        try:
            self.exchange.finish(response_headers(trailers, caller_credentials=False) if trailers else ())
        except UnsendableHead as unsendable:
            self._give_up(f"Jira's answer cannot be passed on: {unsendable.reason}")
            return
        self._finish(None)

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """The stream is gone: send it again where that is safe, else tell the caller what is known."""
        self._stream = None
        if self.link is not None:
            self._failed_links.add(id(self.link))
        if code is ErrorCode.PAUSED and isinstance(self.link, AgentLink):
            # The whole instance: the attempts that there are must not be spent on its other links.
            self._failed_links |= self._around.registry.siblings(self.link)
        problem = self._as_ours(from_reset(code, progress, detail))
        method, kept = self._head.method, self._kept.is_whole
        if may_replay(method, code, progress, body_kept=kept, attempts=self._attempts, resent=self._resent):
            self._resent = self._resent or progress is not Progress.NOT_SENT
            self._send(problem)
        else:
            self._fail(problem)

    # The deadline (http1.sweep.Perishable)

    def expire(self, now: float) -> None:
        """Nothing has moved for the connection's timeout."""
        if self._owed or self._awaits_body:  # the caller is slow, not Jira; the front door bounds how slow it may be
            self.deadline = now + self.admission.timeout
            return
        stream, self._stream = self._stream, None
        processed = Processed.NO
        if stream is not None:
            processed = Processed.NO if stream.progress is Progress.NOT_SENT else Processed.UNKNOWN
            stream.reset(ErrorCode.DEADLINE)
        message = f"Jira did not answer within {self.admission.timeout:g} s."
        self._fail(Problem(JIRA_TIMEOUT, message, processed=processed))

    # Inside

    @property
    def _has_body(self) -> bool:
        return self._head.body not in {NO_BODY, 0}

    @property
    def _awaits_body(self) -> bool:
        """Whether the agent has everything that the caller sent, and the caller has not sent everything."""
        return not self._body_ended and self._stream is not None and not self._stream.queued_bytes

    def _touch(self) -> None:
        self.deadline = self._around.sweeper.now + self._patience

    def _send(self, otherwise: Problem | None) -> None:
        """Open a stream on the best way left; when there is none the caller gets `otherwise`, or that there is none."""
        while (link := self._pick()) is not None:
            self.link = link
            self._attempts += 1
            self.sent_at = perf_counter()
            try:
                stream = self._stream = link.link.open_stream(self._head, self)
            except StreamRefused as refused:
                self._failed_links.add(id(link))
                otherwise = from_refusal(refused.code)
                continue
            except Refused as refused:
                self._fail(refused.problem)
                return
            except LocalProtocolError:
                self._fail(Problem(BAD_REQUEST, "The request's head holds a byte that cannot be carried."))
                return
            self._send_kept(stream)
            return
        self._fail(otherwise or _no_way(self.admission.route))

    def _pick(self) -> Way | None:
        route = self.admission.route
        if route.agent is not None:
            return self._pick_link(route.agent)
        if self._around.direct is None or (self._attempts and not self._resent):
            return None  # there is one way only: what it could not reach it cannot reach now
        return self._around.direct.pick(route)

    def _pick_link(self, agent: str) -> AgentLink | None:
        """Return the best link; after a failure first one of another instance: a dying agent's links die together."""
        registry, failed = self._around.registry, self._failed_links
        if isinstance(self.link, AgentLink):
            elsewhere = registry.pick(agent, failed | registry.siblings(self.link))
            if elsewhere is not None:
                return elsewhere
        return registry.pick(agent, failed)

    def _send_kept(self, stream: RelayStream) -> None:
        if not self._has_body:
            return
        for data in self._kept.chunks:
            stream.send_data(data)
        if self._body_ended:
            stream.send_end(self._trailers)

    def _write_rewritten(self, reply: Answer, data: bytes | None) -> bool:
        """Write the next (None: the last) bytes with their links rewritten; False when the body is broken."""
        if reply.links is None:
            return True
        try:
            self.exchange.write(reply.links.finish() if data is None else reply.links.feed(data))
        except BodyUnreadable as broken:
            self._give_up(f"Jira's answer cannot be passed on: {broken.reason}")
            return False
        return True

    def _as_ours(self, problem: Problem) -> Problem:
        """Name who says so: of a direct connection there is no agent to say anything."""
        return problem if self.admission.route.agent is not None else replace(problem, source=Source.GATEWAY)

    def _refused(self, problem: Problem) -> None:
        if self._stream is not None and not self._body_ended:
            self._stream.reset(ErrorCode.NO_ERROR)  # the rest of the body is not needed
        self._fail(self._as_ours(problem))

    def _give_up(self, message: str) -> None:
        if self._stream is not None:
            self._stream.reset(ErrorCode.CANCEL)
        self._fail(Problem(JIRA_PROTOCOL, message, Source.GATEWAY, Processed.UNKNOWN))

    def _fail(self, problem: Problem) -> None:
        """Tell the caller: as an answer of ours, or by closing its connection once an answer has begun."""
        if self._resent:  # the first try may have reached Jira, whatever became of the second
            problem = replace(problem, processed=Processed.UNKNOWN)
        if self.status:
            self.exchange.abort()
        else:
            waited = perf_counter() - self.started_at if self._attempts else 0.0
            status, headers, body = answer(problem, self.request_id, waited)
            self.exchange.respond(status, headers, len(body))
            self.exchange.write(body)
            self.exchange.finish()
            self.status = status
        self._finish(problem)

    def _finish(self, problem: Problem | None) -> None:
        self._stream = None
        self._kept.forget()
        self._around.sweeper.discard(self)
        self._around.outcomes.finished(self, self.status, problem)


def _no_way(route: ConnectionEntry) -> Problem:
    if route.agent is None:
        return Problem(JIRA_UNAVAILABLE, "This connection's configuration cannot be used; the gateway's log says why.")
    return Problem(AGENT_OFFLINE, f"The agent {route.agent} is not connected; try again later.")


def _request_head(exchange: Exchange, admission: Admission, request_id: str, rules: AnswerRules) -> RequestHead:
    request, passport = exchange.request, admission.passport
    timeout_ms = max(1, int(admission.timeout * 1000))  # 0 would mean the agent's own default
    meta = {b"request-id": request_id.encode()}
    shared = passport.shared if passport is not None else None
    if shared is not None:
        meta.update(shared.meta)
        return RequestHead(request.method, admission.target.raw, shared.headers, request.body, timeout_ms, meta, shared)
    route = admission.route
    common = {
        b"caller": admission.grant.name.encode(),
        b"connection": route.name.encode(),
        b"credentials": route.credentials.value.encode(),
    }
    headers = rules.request_headers(admission)
    if passport is not None:
        with suppress(LocalProtocolError):  # told when it is sent
            passport.shared = shared = share_fields(common, headers)
    return RequestHead(request.method, admission.target.raw, headers, request.body, timeout_ms, meta | common, shared)
